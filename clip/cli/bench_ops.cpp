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
  Tensor x = randn({kRows, kWidth}, {0, 1}), g = randn({kRows, kWidth}, {0, 2});
  Tensor y = zeros(x.shape()), z = zeros(x.shape()), m = zeros(x.shape()), v = zeros(x.shape());
  Tensor gain = full({kWidth}, 1), shift = zeros({kWidth});
  Tensor dgain = zeros({kWidth}), dshift = zeros({kWidth});
  Tensor mean = zeros({kRows}), rstd = full({kRows}, 1);
  Tensor column_mean = zeros({kWidth}), column_var = full({kWidth}, 1);
  Tensor index = arange(kRows);
};

struct Case {
  const char* name;
  double passes;  // over a matrix: read or written once
  std::function<void()> run;
};

std::vector<Case> cases(Operands& o) {
  const Device cpu = o.x.device();
  const AdamWStep step{1e-3, 0.9, 0.98, 1e-6, 0.2, 1, 1};
  return {
      {"add", 3, [&o, cpu] { kernel::binary(cpu, Binary::add, o.x, o.g, o.y); }},
      {"quick_gelu", 2, [&o, cpu] { kernel::unary(cpu, Unary::quick_gelu, o.x, o.y); }},
      {"quick_gelu, gradient", 3,
       [&o, cpu] { kernel::unary_grad(cpu, Unary::quick_gelu, o.x, o.g, o.y); }},
      {"gelu", 2, [&o, cpu] { kernel::unary(cpu, Unary::gelu, o.x, o.y); }},
      {"gelu, gradient", 3, [&o, cpu] { kernel::unary_grad(cpu, Unary::gelu, o.x, o.g, o.y); }},
      {"layer_norm", 2,
       [&o, cpu] { kernel::layer_norm(cpu, o.x, o.gain, o.shift, 1e-5, o.y, o.mean, o.rstd); }},
      {"layer_norm, gradient", 3,
       [&o, cpu] {
         kernel::layer_norm_grad(cpu, o.x, o.gain, o.mean, o.rstd, o.g, o.y, o.dgain, o.dshift);
       }},
      {"batch_norm, relu", 2,
       [&o, cpu] {
         kernel::batch_norm(cpu, o.x, o.gain, o.shift, o.column_mean, o.column_var, 1e-5, true,
                            o.y);
       }},
      {"batch_norm, moments", 1,
       [&o, cpu] { kernel::moments(cpu, o.x, o.column_mean, o.column_var); }},
      {"batch_norm, gradient", 5,
       [&o, cpu] {
         kernel::batch_norm_grad(cpu, o.x, o.gain, o.shift, o.column_mean, o.column_var, 1e-5, o.g,
                                 true, true, o.y, o.dgain, o.dshift);
       }},
      {"softmax", 2, [&o, cpu] { kernel::softmax(cpu, o.x, o.y); }},
      {"cross_entropy", 1,
       [&o, cpu, targets = zeros({kRows}, DType::i64)] {
         kernel::cross_entropy(cpu, o.x, targets, o.mean, o.rstd);
       }},
      {"l2_normalize", 2, [&o, cpu] { kernel::l2_normalize(cpu, o.x, 1e-12, o.y, o.mean); }},
      {"gather_rows", 2, [&o, cpu] { kernel::gather_rows(cpu, o.x, o.index, o.y); }},
      {"gather_rows, gradient", 2, [&o, cpu] { kernel::scatter_add_rows(cpu, o.g, o.index, o.y); }},
      {"adamw_step", 7,
       [&o, cpu, step] {
         kernel::adamw_step(cpu, step, {{o.g, o.m, o.v, o.z, true}});
       }},
      {"sum_squares", 1,
       [&o, cpu, sum = zeros({}, DType::f64)]() mutable { kernel::sum_squares(cpu, {o.x}, sum); }},
  };
}

}  // namespace

std::vector<Row> bench_ops(int64_t steps) {
  Operands operands;
  const double gigabytes = 4e-9 * static_cast<double>(operands.x.numel());
  std::vector<Row> rows;
  for (const Case& c : cases(operands)) {
    const double seconds = measure(steps, c.run).median;
    rows.push_back({c.name, {{"ms", 1e3 * seconds}, {"gb_per_s", c.passes * gigabytes / seconds}}});
  }
  return rows;
}

}  // namespace diptych::cli
