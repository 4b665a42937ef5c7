// tensor/io/text_file.h — texts that people write, with whatever editor: as UTF-8, or refused.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tensor/io/file.h"

namespace diptych {

/// Turns the bytes of a text, piece by piece, into UTF-8. A text is UTF-8, with or without a byte
/// order mark, or UTF-16 of the byte order that its mark tells (RFC 3629, RFC 2781). Whatever else
/// is refused, and so is a NUL: it gives away UTF-16 without a mark, and files that are no text.
class TextDecoder {
 public:
  /// `where` starts messages: "read: 'labels.txt'".
  explicit TextDecoder(std::string where) : where_(std::move(where)) {}

  /// The next bytes, without what is cut off at their end: that comes with the piece behind them.
  /// Throws Error, naming line and byte, for what is no text.
  std::string next(std::string_view bytes);
  /// The end. Throws Error if the last character is cut.
  std::string finish();

 private:
  enum class Encoding { unknown, utf8, utf16_le, utf16_be };

  void find_mark();
  std::string decode();
  [[noreturn]] void refuse(size_t at, const std::string& decoded) const;

  std::string where_, pending_;
  Encoding encoding_ = Encoding::unknown;
  int64_t line_ = 1, taken_ = 0;  // bytes before pending_
};

/// Cuts a text that comes in pieces into lines without what ends them: \n, or \r\n. A last line
/// need not end.
class LineSplitter {
 public:
  using Take = std::function<void(std::string)>;
  static constexpr size_t kMaxBytes = size_t{1} << 20;  ///< of a line: far more than texts have

  LineSplitter(std::string where, Take take) : where_(std::move(where)), take_(std::move(take)) {}
  /// Throws Error on a line of more than kMaxBytes.
  void next(std::string_view piece);
  void finish();

 private:
  void take_line();

  std::string where_, line_;
  Take take_;
  int64_t number_ = 1;
};

/// The bytes of a file as they are, in pieces of at most 1 MiB, as far as it went when it was
/// opened.
void read_pieces(const InputFile&, const std::function<void(std::string_view)>& take);
/// The text of a file, in pieces of at most a few MiB. Throws Error as TextDecoder does.
void read_text(const InputFile&, const std::function<void(std::string_view)>& take);
/// The whole text of a regular file of at most `max_bytes`.
std::string read_text(const std::string& path, int64_t max_bytes);
/// Its lines, one after the other: memory is that of one.
void read_lines(const InputFile&, const LineSplitter::Take&);
/// All of them.
std::vector<std::string> read_lines(const std::string& path, int64_t max_bytes);

}  // namespace diptych
