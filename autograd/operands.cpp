// autograd/operands.cpp — checks of operands, out of line: none is on a path that must be short.
#include "autograd/operands.h"

#include <sstream>

namespace diptych {
namespace {

// "f32 on cpu, f64 on cpu"
std::string kinds_of(Operands operands) {
  std::ostringstream kinds;
  const char* separator = "";
  for (const Tensor& x : operands) {
    if (!x.defined()) continue;
    kinds << separator << x.dtype() << " on " << x.device();
    separator = ", ";
  }
  return kinds.str();
}

}  // namespace

void check_float(const char* op, const Tensor& x) {
  check(is_float(x.dtype()), op, ": needs a floating-point tensor, got ", x.dtype());
}

void check_alike(const char* op, Operands operands) {
  const Tensor* first = nullptr;
  for (const Tensor& x : operands) {
    if (!x.defined()) continue;
    if (!first) first = &x;
    check(alike(x, *first), op, ": needs operands of one dtype on one device, got ",
          kinds_of(operands), "; cast() or move what differs");
  }
}

Tensor as_rows(const char* op, const Tensor& x) {
  check_float(op, x);
  check(x.rank() >= 1, op, ": needs at least one axis, got ", x.shape());
  Shape rows = x.shape();
  rows[x.rank() - 1] = 1;  // not numel / D: D may be 0
  return x.contiguous().view({rows.numel(), x.dim(-1)});
}

Gains::Gains(const char* op, const Tensor& x, const Tensor& w, const Tensor& b)
    : weight(w.to(statistics_dtype(x)).contiguous()), bias(b.to(statistics_dtype(x)).contiguous()) {
  const Shape D{x.dim(-1)};
  check(w.shape() == D && b.shape() == D, op, ": x ", x.shape(), " needs weight and bias ", D,
        ", got ", w.shape(), " and ", b.shape());
  const auto fits = [&](const Tensor& t) {
    return t.device() == x.device() && (t.dtype() == x.dtype() || t.dtype() == weight.dtype());
  };
  check(fits(w) && fits(b), op, ": x is ", x.dtype(), " on ", x.device(),
        "; weight and bias must be there too, of that dtype or ", weight.dtype(), ", got ",
        kinds_of({w, b}));
}

void check_picture(const char* op, const Tensor& x) {
  check(is_float(x.dtype()) && x.rank() == 4, op,
        ": needs floating-point pictures (B, H, W, C), got ", x.dtype(), ' ', x.shape());
}

void check_index(const char* what, const Tensor& index, int64_t n) {
  if (index.device() != Device::cpu) return;
  for (int64_t i : index.to_vector<int64_t>()) {
    check(0 <= i && i < n, what, " ", i, " is out of range [0, ", n, ")");
  }
}

}  // namespace diptych
