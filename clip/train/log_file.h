// clip/train/log_file.h — lines behind the others of a file, each whole or not at all.
#pragma once

#include <cstdint>
#include <string>

namespace diptych {

/// A file that lines are added to. A full disk, or any other failure, loses lines and is counted,
/// and nothing throws: a log must not end what it tells about.
class LogFile {
 public:
  explicit LogFile(std::string path) : path_(std::move(path)) {}

  /// Adds `text`, which ends in a line end, or takes back what there was room for.
  void append(const std::string& text);

  int64_t lost() const { return lost_; }                 ///< calls that added nothing
  const std::string& reason() const { return reason_; }  ///< of the first
  const std::string& path() const { return path_; }

 private:
  bool try_append(const std::string& text) const;

  std::string path_, reason_;
  int64_t lost_ = 0;
};

}  // namespace diptych
