// tensor/types.cpp — names and sizes of dtypes, printing of shapes.
#include "tensor/types.h"

#include <cstdio>
#include <ostream>

namespace diptych {

void append_text(std::string& text, std::string_view more) { text += more; }
void append_text(std::string& text, char c) { text += c; }
void append_text(std::string& text, double x) {
  char digits[32];
  text.append(digits, static_cast<size_t>(std::snprintf(digits, sizeof digits, "%g", x)));
}

void append_text(std::string& text, const Shape& shape) {
  text += '(';
  for (int i = 0; i < shape.rank(); ++i) {
    if (i) text += ", ";
    append_text(text, shape[i]);
  }
  text += ')';
}

const char* name(DType t) {
  switch (t) {
    case DType::f32:
      return "f32";
    case DType::f64:
      return "f64";
    case DType::f16:
      return "f16";
    case DType::bf16:
      return "bf16";
    case DType::i64:
      return "i64";
    case DType::u8:
      return "u8";
  }
  return "?";
}

int64_t size_of(DType t) {
  return visit_all(t, []<class T>(Type<T>) { return static_cast<int64_t>(sizeof(T)); });
}

bool is_float(DType t) { return t != DType::i64 && t != DType::u8; }

bool is_addressable(const Shape& shape) {
  constexpr int64_t kMost = int64_t{1} << 56;  // elements: times 8 bytes, this still fits
  int64_t extent = 1;
  for (int64_t d : shape) {
    const int64_t factor = std::max<int64_t>(d, 1);
    if (d < 0 || extent > kMost / factor) return false;
    extent *= factor;
  }
  return true;
}

std::ostream& operator<<(std::ostream& os, DType t) { return os << name(t); }
std::ostream& operator<<(std::ostream& os, Device d) { return os << name(d); }
std::ostream& operator<<(std::ostream& os, const Shape& shape) {
  std::string text;
  append_text(text, shape);
  return os << text;
}

}  // namespace diptych
