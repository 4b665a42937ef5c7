// tensor/io/file.h — reading files with bounds, and replacing them so that a crash leaves no half
// file.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace diptych {

/// Whether a path leads to a regular file, or to a folder, through symbolic links. Never throws:
/// neither does one that leads nowhere, or round in circles.
bool is_file(const std::string& path);
bool is_folder(const std::string& path);
/// Whether anything has this name, be it a link that leads nowhere: opening it will tell.
bool is_there(const std::string& path);

/// The bytes of a regular file, read until its end. Throws Error, naming the file and the reason,
/// if it cannot be read, is anything else (nothing waits for a pipe, no device is read), or holds
/// more than `max_bytes`: whoever reads a file knows how large one of its kind can be.
std::string read_file(const std::string& path, int64_t max_bytes);

/// A regular file open for reading at any position, read with pread and never mapped: a file that
/// another process cuts short gives an Error, not a SIGBUS. Whoever judges a file and then reads it
/// does both through one InputFile, so that no other file can take its name in between.
class InputFile {
 public:
  /// Throws Error unless `path` is a readable regular file; waits for none. `op` starts every
  /// message.
  InputFile(const char* op, const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  const std::string& path() const { return path_; }
  std::string where() const { return op_ + (": '" + path_ + '\''); }  ///< how messages start
  int64_t size() const { return size_; }                              ///< when it was opened
  /// Fills `out` with bytes [offset, offset + bytes). Throws Error if they are not all there.
  void read_at(int64_t offset, void* out, int64_t bytes) const;
  /// All of it until its end, which for a file of the system may lie beyond size(). Throws Error if
  /// that is more than `max_bytes`.
  std::string read_all(int64_t max_bytes) const;
  /// The same for 32-bit integers, widened to 64 bits in place.
  void read_i32_at(int64_t offset, int64_t* out, int64_t count) const;
  /// Throws Error if somebody has written to the file since it was opened: what was read of it may
  /// then be of two versions.
  void check_unchanged() const;

 private:
  const char* op_;
  std::string path_;
  int fd_;
  int64_t size_ = 0;
  int64_t modified_ = 0;  // nanoseconds since 1970
};

/// What `write_file_atomically` hands to its callback.
class FileWriter {
 public:
  ~FileWriter();
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;

  /// Appends. Throws Error on a full disk or any other failure.
  void write(const void* data, int64_t bytes);
  void write(std::string_view text) { write(text.data(), static_cast<int64_t>(text.size())); }

  /// Puts other bytes in the place of some that were written. Throws Error for a pipe, which keeps
  /// none.
  void overwrite(int64_t position, std::string_view bytes);

  int64_t position() const { return position_; }  ///< bytes written so far

 private:
  friend class AtomicFile;
  explicit FileWriter(const std::string& path);
  void flush();
  void write_out(const char* data, int64_t bytes);
  void require(bool ok) const;  // throws Error with the text of errno

  std::string path_;
  std::string note_;  // what a failure means for the file of before
  std::string buffer_;
  int64_t position_ = 0;
  int fd_ = -1;
};

/// Replaces a file in one step: writes a temporary sibling, fsyncs and closes it, renames it over
/// `path` and fsyncs the directory. If anything fails, or the process dies, the file of before is
/// untouched; the Error says what failed, and the sibling is removed. What `write` throws passes
/// through. A symbolic link is replaced, not followed; a pipe or a device is written in place.
void write_file_atomically(const std::string& path, const std::function<void(FileWriter&)>& write);
void write_file_atomically(const std::string& path, std::string_view bytes);

/// Text out of a file, in quotes and safe to print: control bytes become \\xNN, long text is cut.
std::string in_quotes(std::string_view text);

}  // namespace diptych
