// clip/cli/bench_ops.cpp — GB/s of the kernels that are bound by memory.
#include "autograd/ops.h"
#include "clip/cli/bench.h"
#include "tensor/kernels.h"
#include "tensor/scalar_ops.h"

namespace diptych::cli {
namespace {

// Matrices larger than a cache.
constexpr int64_t kRows = 16384, kWidth = 1024;

/// What the kernels work on. Results share a block: only time is asked for.
struct Operands {
  explicit Operands(Device device) : here(device) {}

  Tensor constant(Shape shape, double value) const { return full(shape, value, DType::f32, here); }
  Tensor normal(uint64_t stream) const { return randn(kShape, {0, stream}, DType::f32, here); }

  static inline const Shape kShape{kRows, kWidth}, kRow{kWidth}, kColumn{kRows};
  Device here;
  Tensor x = normal(1), g = normal(2);
  Tensor y = constant(kShape, 0), z = constant(kShape, 0);
  Tensor m = constant(kShape, 0), v = constant(kShape, 0);
  Tensor gain = constant(kRow, 1), shift = constant(kRow, 0);
  Tensor dgain = constant(kRow, 0), dshift = constant(kRow, 0);
  Tensor mean = constant(kColumn, 0), rstd = constant(kColumn, 1);
  Tensor column_mean = constant(kRow, 0), column_var = constant(kRow, 1);
  Tensor index = arange(kRows, DType::i64, here);
  Tensor first = full(kColumn, 0, DType::i64, here), squares = full({}, 1, DType::f64, here);
};

struct Case {
  const char* name;
  double passes;  // over a matrix: read or written once
  std::function<void()> run;
};

std::vector<Case> cases(Operands& o) {
  const Device here = o.here;
  const AdamWStep step{1e-3, 0.9, 0.98, 1e-6, 0.2, 0, 1};
  return {
      {"add", 3, [&o, here] { kernel::binary(here, Binary::add, o.x, o.g, o.y); }},
      {"quick_gelu", 2, [&o, here] { kernel::unary(here, Unary::quick_gelu, o.x, o.y); }},
      {"quick_gelu, gradient", 3,
       [&o, here] { kernel::unary_grad(here, Unary::quick_gelu, o.x, o.g, o.y); }},
      {"gelu", 2, [&o, here] { kernel::unary(here, Unary::gelu, o.x, o.y); }},
      {"gelu, gradient", 3, [&o, here] { kernel::unary_grad(here, Unary::gelu, o.x, o.g, o.y); }},
      {"layer_norm", 2,
       [&o, here] { kernel::layer_norm(here, o.x, o.gain, o.shift, 1e-5, o.y, o.mean, o.rstd); }},
      {"layer_norm, gradient", 3,
       [&o, here] {
         kernel::layer_norm_grad(here, o.x, o.gain, o.mean, o.rstd, o.g, o.y, o.dgain, o.dshift);
       }},
      {"batch_norm, relu", 2,
       [&o, here] {
         kernel::batch_norm(here, o.x, o.gain, o.shift, o.column_mean, o.column_var, 1e-5, true,
                            o.y);
       }},
      {"batch_norm, moments", 1,
       [&o, here] { kernel::moments(here, o.x, o.column_mean, o.column_var); }},
      {"batch_norm, gradient", 5,
       [&o, here] {
         kernel::batch_norm_grad(here, o.x, o.gain, o.shift, o.column_mean, o.column_var, 1e-5, o.g,
                                 true, true, o.y, o.dgain, o.dshift);
       }},
      {"softmax", 2, [&o, here] { kernel::softmax(here, o.x, o.y); }},
      {"cross_entropy", 1,
       [&o, here] { kernel::cross_entropy(here, o.x, o.first, o.mean, o.rstd); }},
      {"l2_normalize", 2, [&o, here] { kernel::l2_normalize(here, o.x, 1e-12, o.y, o.mean); }},
      {"gather_rows", 2, [&o, here] { kernel::gather_rows(here, o.x, o.index, o.y); }},
      {"gather_rows, gradient", 2,
       [&o, here] { kernel::scatter_add_rows(here, o.g, o.index, o.y); }},
      {"adamw_step", 7,
       [&o, here, step] {
         kernel::adamw_step(here, step, o.squares, {{o.g, o.m, o.v, o.z, true}});
       }},
      {"sum_squares", 1, [&o, here] { kernel::sum_squares(here, {o.x}, o.squares); }},
  };
}

}  // namespace

std::vector<Row> bench_ops(int64_t steps, Device device) {
  Operands operands(device);
  const double gigabytes = 4e-9 * static_cast<double>(operands.x.numel());
  std::vector<Row> rows;
  for (const Case& c : cases(operands)) {
    const double seconds = measure(steps, device, c.run).median;
    rows.push_back({c.name, {{"ms", 1e3 * seconds}, {"gb_per_s", c.passes * gigabytes / seconds}}});
  }
  return rows;
}

}  // namespace diptych::cli
