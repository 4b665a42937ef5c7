// clip/cli/bench_ops.cpp — GB/s of the kernels that are bound by memory.
#include "autograd/ops.h"
#include "clip/cli/bench.h"
#include "tensor/kernels.h"
#include "tensor/scalar_ops.h"

namespace diptych::cli {
namespace {

constexpr int64_t kWidth = 1024;

/// What the kernels work on: matrices larger than a cache, of f32 64 MiB, on a GPU 512 MiB. Results
/// share a block: only time is asked for.
struct Operands {
  Operands(Device device, DType t) : here(device), dtype(t) {}

  Tensor constant(Shape of, double value) const { return full(of, value, dtype, here); }
  Tensor statistic(Shape of, double value) const { return full(of, value, DType::f32, here); }
  Tensor normal(uint64_t stream) const { return randn(shape, {0, stream}, dtype, here); }

  Device here;
  DType dtype;
  int64_t rows = here == Device::cpu ? 16384 : 131072;
  Shape shape{rows, kWidth}, row{kWidth}, column{rows};
  Tensor x = normal(1), g = normal(2);
  Tensor y = constant(shape, 0), z = constant(shape, 0);
  Tensor m = constant(shape, 0), v = constant(shape, 0);
  Tensor gain = statistic(row, 1), shift = statistic(row, 0);
  Tensor dgain = statistic(row, 0), dshift = statistic(row, 0);
  Tensor mean = statistic(column, 0), rstd = statistic(column, 1);
  Tensor column_mean = statistic(row, 0), column_var = statistic(row, 1);
  Tensor index = arange(rows, DType::i64, here);
  Tensor first = full(column, 0, DType::i64, here), squares = full({}, 1, DType::f64, here),
         vanished = zeros_like(squares);
};

struct Case {
  const char* name;
  double passes;  // over a matrix: read or written once
  std::function<void()> run;
};

std::vector<Case> cases(Operands& o) {
  const Device here = o.here;
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
      {"axpy", 3, [&o, here] { kernel::axpy(here, 0.5, o.x, o.y); }},
      {"sum_squares", 1, [&o, here] { kernel::sum_squares(here, {o.x}, o.squares); }},
  };
}

Case adamw_step(Operands& o) {
  const AdamWStep step{1e-3, 0.9, 0.98, 1e-6, 0.2, 0, 1};
  return {"adamw_step", 7, [&o, step] {
            kernel::adamw_step(o.here, step, o.squares, {{o.g, o.m, o.v, o.z, true}}, o.vanished);
          }};
}

/// Over texts of 64 tokens, so short that their rows matter more than their products.
std::vector<Case> attention_cases(Operands& o) {
  constexpr int64_t kHeads = 16;
  const Device here = o.here;
  const Ragged texts = Ragged::equal(o.rows / 64, 64, here);
  const Tensor qkv = randn({o.rows, 3 * kWidth}, {0, 3}, o.dtype, here);
  Tensor lse = zeros({kHeads, o.rows}, DType::f32, here);
  return {
      {"attention", 4,
       [&o, here, texts, qkv, lse]() mutable {
         kernel::attention(here, qkv, texts, kHeads, true, o.y, lse);
       }},
      {"attention, gradient", 8,
       [&o, here, texts, qkv, lse, dqkv = zeros_like(qkv)]() mutable {
         kernel::attention_grad(here, qkv, texts, kHeads, true, o.y, lse, o.g, dqkv);
       }},
  };
}

// What takes care to keep a GPU's memory busy with: reads along columns.
std::vector<Case> cases_of_gpu(Operands& o) {
  const Device here = o.here;
  return {
      {"copy, transposed", 2,
       [&o, here, turned = o.constant({kWidth, o.rows}, 0).transpose(0, 1)]() mutable {
         kernel::copy(here, o.x, turned);
       }},
      {"sum, rows", 1,
       [here, x = o.x.view({o.rows, kWidth, 1}), y = o.constant({o.rows, 1}, 0)]() mutable {
         kernel::reduce(here, Reduce::sum, x, y);
       }},
      {"sum, columns", 1,
       [here, x = o.x.view({1, o.rows, kWidth}), y = o.constant({1, kWidth}, 0)]() mutable {
         kernel::reduce(here, Reduce::sum, x, y);
       }},
  };
}

std::vector<Case> all_cases(Operands& o) {
  std::vector<Case> all = cases(o);
  for (Case& c : attention_cases(o)) all.push_back(std::move(c));
  if (o.here != Device::cpu)
    for (Case& c : cases_of_gpu(o)) all.push_back(std::move(c));
  if (o.dtype == DType::f32) all.push_back(adamw_step(o));
  return all;
}

Row bench_case(const Case& c, const Operands& o, int64_t steps) {
  const double seconds = measure(steps, o.here, c.run).median;
  const auto bytes = static_cast<double>(o.x.numel() * size_of(o.dtype));
  const std::string name = c.name;
  return {o.dtype == DType::f32 ? name : name + " " + diptych::name(o.dtype),
          {{"ms", 1e3 * seconds}, {"gb_per_s", c.passes * 1e-9 * bytes / seconds}}};
}

}  // namespace

std::vector<Row> bench_ops(int64_t steps, Device device) {
  Operands wide(device, DType::f32), half(device, DType::bf16);
  const std::vector<Case> in_f32 = all_cases(wide), in_bf16 = all_cases(half);
  std::vector<Row> rows;
  for (size_t i = 0; i < in_f32.size(); ++i) {
    rows.push_back(bench_case(in_f32[i], wide, steps));
    if (i < in_bf16.size()) rows.push_back(bench_case(in_bf16[i], half, steps));
  }
  return rows;
}

}  // namespace diptych::cli
