// tensor/io/text_file.cpp — UTF-8 and UTF-16, strictly.
#include "tensor/io/text_file.h"

#include <algorithm>

#include "tensor/types.h"

namespace diptych {
namespace {

constexpr int64_t kPiece = 1 << 20;
constexpr int64_t kCut = 0, kNone = -1;  // instead of the bytes of a character

uint32_t byte_at(std::string_view in, size_t i) { return static_cast<unsigned char>(in[i]); }

// The Unicode Standard, table 3-7: no overlong forms, no surrogates, nothing beyond U+10FFFF.
bool may_follow(uint32_t first, size_t i, uint32_t byte) {
  const uint32_t low = i > 1 ? 0x80 : first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  const uint32_t high = i > 1 ? 0xbf : first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  return low <= byte && byte <= high;
}

/// Bytes of the first character of a text in UTF-8.
int64_t utf8_bytes(std::string_view in) {
  const uint32_t first = byte_at(in, 0);
  if (first < 0x80) return first != 0 ? 1 : kNone;
  if (first < 0xc2 || first > 0xf4) return kNone;
  const size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  for (size_t i = 1; i < length; ++i) {
    if (i == in.size()) return kCut;
    if (!may_follow(first, i, byte_at(in, i))) return kNone;
  }
  return static_cast<int64_t>(length);
}

void append_utf8(std::string& out, uint32_t c) {
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (c >> shift & 0x3f)); };
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    tail(6);
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    tail(12);
    tail(6);
  }
  if (c >= 0x80) tail(0);
}

uint32_t unit_at(std::string_view in, size_t i, bool little) {
  return little ? byte_at(in, i) | byte_at(in, i + 1) << 8
                : byte_at(in, i) << 8 | byte_at(in, i + 1);
}

bool is_high(uint32_t unit) { return unit >> 10 == 0xd800 >> 10; }
bool is_low(uint32_t unit) { return unit >> 10 == 0xdc00 >> 10; }

/// The same of a text in UTF-16; the character is appended to `out`.
int64_t take_utf16(std::string_view in, bool little, std::string& out) {
  if (in.size() < 2) return kCut;
  const uint32_t unit = unit_at(in, 0, little);
  if (unit == 0 || is_low(unit)) return kNone;
  if (!is_high(unit)) {
    append_utf8(out, unit);
    return 2;
  }
  if (in.size() < 4) return kCut;
  const uint32_t second = unit_at(in, 2, little);
  if (!is_low(second)) return kNone;
  append_utf8(out, 0x10000 + ((unit & 0x3ff) << 10 | (second & 0x3ff)));
  return 4;
}

void check_size(const InputFile& file, int64_t max_bytes) {
  check(file.size() <= max_bytes, file.where(), " is larger than the limit of ", max_bytes,
        " bytes");
}

int64_t line_ends(std::string_view text) { return std::count(text.begin(), text.end(), '\n'); }

}  // namespace

std::string TextDecoder::next(std::string_view bytes) {
  pending_ += bytes;
  if (encoding_ == Encoding::unknown) {
    if (pending_.size() < 3) return {};  // the longest mark
    find_mark();
  }
  return decode();
}

std::string TextDecoder::finish() {
  if (encoding_ == Encoding::unknown) find_mark();
  std::string out = decode();
  if (!pending_.empty()) refuse(0, "");
  return out;
}

void TextDecoder::find_mark() {
  const auto take = [this](std::string_view mark) {
    if (!pending_.starts_with(mark)) return false;
    pending_.erase(0, mark.size());
    taken_ = static_cast<int64_t>(mark.size());
    return true;
  };
  encoding_ = take("\xff\xfe")   ? Encoding::utf16_le
              : take("\xfe\xff") ? Encoding::utf16_be
                                 : Encoding::utf8;
  if (encoding_ == Encoding::utf8) take("\xef\xbb\xbf");
}

std::string TextDecoder::decode() {
  const std::string_view in = pending_;
  std::string out;
  size_t at = 0;
  for (int64_t bytes = 1; at < in.size(); at += static_cast<size_t>(bytes)) {
    bytes = encoding_ == Encoding::utf8
                ? utf8_bytes(in.substr(at))
                : take_utf16(in.substr(at), encoding_ == Encoding::utf16_le, out);
    if (bytes == kNone) refuse(at, encoding_ == Encoding::utf8 ? pending_.substr(0, at) : out);
    if (bytes == kCut) break;
  }
  if (encoding_ == Encoding::utf8) out = pending_.substr(0, at);
  line_ += line_ends(out);
  taken_ += static_cast<int64_t>(at);
  pending_.erase(0, at);
  return out;
}

void TextDecoder::refuse(size_t at, const std::string& decoded) const {
  const bool utf8 = encoding_ == Encoding::utf8;
  const bool nul = byte_at(pending_, at) == 0 &&
                   (utf8 || (at + 1 < pending_.size() && byte_at(pending_, at + 1) == 0));
  const char* what = nul    ? "a NUL, as in UTF-16 without its mark, or in no text at all"
                     : utf8 ? "what stands there is not UTF-8"
                            : "half a character of UTF-16";
  fail(where_, ": line ", line_ + line_ends(decoded), ", byte ", taken_ + static_cast<int64_t>(at),
       " from 0: ", what, "; save it as UTF-8, or as UTF-16 with a byte order mark");
}

void read_pieces(const InputFile& file, const std::function<void(std::string_view)>& take) {
  std::string piece;
  for (int64_t at = 0; at < file.size(); at += kPiece) {
    piece.resize(static_cast<size_t>(std::min(kPiece, file.size() - at)));
    file.read_at(at, piece.data(), static_cast<int64_t>(piece.size()));
    take(piece);
  }
}

void read_text(const InputFile& file, const std::function<void(std::string_view)>& take) {
  TextDecoder decoder(file.where());
  read_pieces(file, [&](std::string_view piece) { take(decoder.next(piece)); });
  take(decoder.finish());
  file.check_unchanged();
}

std::string read_text(const std::string& path, int64_t max_bytes) {
  const InputFile file("read", path);
  check_size(file, max_bytes);
  std::string text;
  read_text(file, [&](std::string_view piece) { text += piece; });
  return text;
}

void LineSplitter::take_line() {
  if (line_.ends_with('\r')) line_.pop_back();
  take_(std::exchange(line_, {}));
  ++number_;
}

void LineSplitter::next(std::string_view piece) {
  while (!piece.empty()) {
    const size_t end = std::min(piece.find('\n'), piece.size());
    check(line_.size() + end <= kMaxBytes, where_, ": line ", number_, " has more than ", kMaxBytes,
          " bytes; is it a text?");
    line_ += piece.substr(0, end);
    if (end == piece.size()) return;
    take_line();
    piece.remove_prefix(end + 1);
  }
}

void LineSplitter::finish() {
  if (!line_.empty()) take_line();
}

void read_lines(const InputFile& file, const LineSplitter::Take& take) {
  LineSplitter lines(file.where(), take);
  read_text(file, [&](std::string_view piece) { lines.next(piece); });
  lines.finish();
}

std::vector<std::string> read_lines(const std::string& path, int64_t max_bytes) {
  const InputFile file("read", path);
  check_size(file, max_bytes);
  std::vector<std::string> lines;
  read_lines(file, [&](std::string line) { lines.push_back(std::move(line)); });
  return lines;
}

}  // namespace diptych
