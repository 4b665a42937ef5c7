// data/image/format.cpp — the first bytes of well-known file formats.
#include "data/image/format.h"

#include <algorithm>

namespace diptych {
namespace {

using namespace std::string_view_literals;

struct Signature {
  size_t offset;
  std::string_view bytes;
  FileKind kind;
  const char* name;
};

// The first match counts.
constexpr Signature kSignatures[] = {
    {0, "\x89PNG\r\n\x1A\n"sv, FileKind::png, "PNG"},
    {0, "\xFF\xD8\xFF"sv, FileKind::jpeg, "JPEG"},
    {0, "GIF87a"sv, FileKind::gif, "GIF"},
    {0, "GIF89a"sv, FileKind::gif, "GIF"},
    {8, "WEBP"sv, FileKind::webp, "WebP"},
    {0, "BM"sv, FileKind::bmp, "BMP"},
    {0, "Pf\n"sv, FileKind::float_map, "a float map"},
    {0, "PF\n"sv, FileKind::float_map, "a float map"},
    {0, "\0\0\1\0"sv, FileKind::icon, "an icon"},
    {0, "II*\0"sv, FileKind::tiff, "TIFF"},
    {0, "MM\0*"sv, FileKind::tiff, "TIFF"},
    {4, "ftypavi"sv, FileKind::avif, "AVIF"},
    {4, "ftyphei"sv, FileKind::heic, "HEIC"},
    {4, "ftypmif1"sv, FileKind::heic, "HEIC"},
    {0, "\xFF\x0A"sv, FileKind::jpeg_xl, "JPEG XL"},
    {4, "JXL "sv, FileKind::jpeg_xl, "JPEG XL"},
    {4, "jP  "sv, FileKind::jpeg_2000, "JPEG 2000"},
    {0, "8BPS"sv, FileKind::photoshop, "a Photoshop file"},
    {0, "%PDF"sv, FileKind::pdf, "PDF"},
    {0, "\x1F\x8B"sv, FileKind::gzip, "a gzip archive"},
    {0, "PK\x03\x04"sv, FileKind::zip, "a zip archive"},
};

// Markup may start with spaces, in any case, and an SVG with an XML declaration.
FileKind kind_of_markup(std::string_view bytes) {
  std::string head(bytes.substr(0, 512));
  std::transform(head.begin(), head.end(), head.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const size_t start = head.find_first_not_of(" \t\r\n");
  if (start == head.npos || head[start] != '<') return FileKind::unknown;
  if (head.find("<svg") != head.npos) return FileKind::svg;
  const bool html = head.find("<html") != head.npos || head.find("<!doctype html") != head.npos;
  return html ? FileKind::html : FileKind::unknown;
}

// P and a digit, then white space.
bool is_pnm(std::string_view bytes) {
  return bytes.size() > 2 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' &&
         " \t\n\v\f\r"sv.find(bytes[2]) != std::string_view::npos;
}

// "48 69 0A" and "Hi." of the first bytes.
std::string first_bytes(std::string_view bytes) {
  constexpr size_t kShown = 8;
  std::string hex, text;
  for (const char c : bytes.substr(0, kShown)) {
    const auto byte = static_cast<uint8_t>(c);
    for (const int digit : {byte >> 4, byte & 15}) hex += "0123456789ABCDEF"[digit];
    hex += ' ';
    text += byte >= ' ' && byte < 127 && byte != '\'' ? c : '.';
  }
  return "; it begins with " + hex + "'" + text + "'";
}

}  // namespace

FileKind kind_of(std::string_view bytes) {
  for (const Signature& signature : kSignatures)
    if (bytes.size() >= signature.offset &&
        bytes.substr(signature.offset).starts_with(signature.bytes))
      return signature.kind;
  return is_pnm(bytes) ? FileKind::pnm : kind_of_markup(bytes);
}

std::string describe(FileKind kind, std::string_view bytes) {
  if (kind == FileKind::html) return " (it looks like an HTML page; did a download fail?)";
  const char* name = kind == FileKind::svg ? "SVG" : nullptr;
  for (const Signature& signature : kSignatures)
    if (signature.kind == kind) name = signature.name;
  if (name == nullptr) return first_bytes(bytes);
  return std::string(" (it looks like ") + name + "; convert it first)";
}

}  // namespace diptych
