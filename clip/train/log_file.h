// clip/train/log_file.h — lines behind the others of a file, each whole or not at all.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

namespace diptych {

/// A file that lines are added to. What a full disk, or any other failure, keeps out waits for the
/// next time, and nothing throws: a log must not end what it tells about.
class LogFile {
 public:
  explicit LogFile(std::string path) : path_(std::move(path)) {}

  /// Adds a line, `text` with its line end, behind those that wait: all of them or nothing. Of
  /// those that wait, the first 16 MiB are kept.
  void append(const std::string& text);
  void flush();  ///< tries again to add those that wait

  int64_t lost() const { return lost_; }                 ///< lines that wait or had no room to
  const std::string& reason() const { return reason_; }  ///< of the last failure
  const std::string& path() const { return path_; }

 private:
  bool take_back(int fd);
  bool try_append(const std::string& text);

  std::string path_, reason_, waiting_;
  int64_t lost_ = 0, waiting_lines_ = 0;
  int64_t whole_ = -1;  // bytes up to the last line that is sure to be there; -1: all
};

}  // namespace diptych
