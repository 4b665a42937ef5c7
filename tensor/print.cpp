// tensor/print.cpp — tensors as text.
#include <cstdio>

#include "tensor/tensor.h"

namespace diptych {
namespace {

constexpr int64_t kEdge = 3;  // elements shown at each end of a long axis

void print_axis(std::string& out, const std::vector<double>& v, const Shape& shape, int axis,
                int64_t begin) {
  if (axis == shape.rank()) {
    char text[32];
    std::snprintf(text, sizeof text, "%.6g", v[static_cast<size_t>(begin)]);
    out += text;
    return;
  }
  int64_t step = 1;
  for (int i = axis + 1; i < shape.rank(); ++i) step *= shape[i];
  const bool last = axis + 1 == shape.rank();
  const std::string separator =
      last ? ", " : ",\n" + std::string(static_cast<size_t>(axis) + 1, ' ');
  out += '[';
  for (int64_t i = 0; i < shape[axis]; ++i) {
    if (i) out += separator;
    if (shape[axis] > 2 * kEdge + 1 && i == kEdge) {
      out += "…";
      i = shape[axis] - kEdge - 1;
      continue;
    }
    print_axis(out, v, shape, axis + 1, begin + i * step);
  }
  out += ']';
}

}  // namespace

std::string to_string(const Tensor& x) {
  if (!x.defined()) return "undefined tensor";
  std::string out = name(x.dtype());
  append_text(out += ' ', x.shape());
  out += std::string(" ") + name(x.device()) + '\n';
  print_axis(out, x.to_vector<double>(), x.shape(), 0, 0);
  return out;
}

std::ostream& operator<<(std::ostream& os, const Tensor& x) { return os << to_string(x); }

}  // namespace diptych
