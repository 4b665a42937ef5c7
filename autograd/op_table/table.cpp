// autograd/op_table/table.cpp — the table put together, and the inputs its parts draw.
#include "autograd/op_table/table.h"

#include <iterator>
#include <numeric>

#include "autograd/op_table/parts.h"

namespace diptych {
namespace table {
namespace {

MakeInputs drawn(std::vector<Shape> shapes, double (*draw)(PhiloxStream&)) {
  return [=](PhiloxStream& rng) {
    Inputs inputs;
    for (const Shape& shape : shapes) {
      std::vector<double> values(static_cast<size_t>(shape.numel()));
      for (double& v : values) v = draw(rng);
      inputs.push_back(from_vector(values, shape));
    }
    return inputs;
  };
}

// 0 … n-1 in random order (Fisher and Yates).
std::vector<int64_t> shuffled(int64_t n, PhiloxStream& rng) {
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); i > 1; --i) {
    std::swap(order[i - 1], order[static_cast<size_t>(rng.below(static_cast<int64_t>(i)))]);
  }
  return order;
}

const std::vector<Inputs>& extreme_rows() {
  static const std::vector<Inputs> inputs = {{f64({}, {0, 3})},
                                             {f64({}, {3, 0})},
                                             {f64({7}, {1, 1})},
                                             {f64({1e4, -1e4, 0, 1e4, 1e4, 1e4}, {2, 3})},
                                             {f64({-1e4, -1e4, -1e4}, {3})}};
  return inputs;
}

struct NamedShape {
  const char* what;
  Shape shape;
};
const std::vector<NamedShape> kRows = {{"rows", {4, 7}},
                                       {"vector", {5}},
                                       {"three axes", {2, 3, 4}},
                                       {"long", {307, 67}},
                                       {"wide", {3, 2053}}};

}  // namespace

MakeInputs normal(std::vector<Shape> shapes) {
  return drawn(std::move(shapes), [](PhiloxStream& rng) { return rng.normal(); });
}

MakeInputs positive(std::vector<Shape> shapes) {
  return drawn(std::move(shapes), [](PhiloxStream& rng) { return rng.uniform(0.5, 2); });
}

MakeInputs apart(std::vector<Shape> shapes) {
  return drawn(std::move(shapes), [](PhiloxStream& rng) {
    const double size = rng.uniform(0.2, 2);
    return rng.uniform() < 0.5 ? -size : size;
  });
}

MakeInputs spaced(std::vector<Shape> shapes) {
  return [=](PhiloxStream& rng) {
    Inputs inputs;
    for (const Shape& shape : shapes) {
      const double shift = 0.2 * static_cast<double>(inputs.size());
      std::vector<double> values;
      for (int64_t k : shuffled(shape.numel(), rng)) {
        values.push_back(0.4 * static_cast<double>(k - shape.numel() / 2) + shift);
      }
      inputs.push_back(from_vector(values, shape));
    }
    return inputs;
  };
}

Tensor f64(const std::vector<double>& values, Shape shape) { return from_vector(values, shape); }

Tensor i64(const std::vector<int64_t>& values) {
  return from_vector(values, {static_cast<int64_t>(values.size())});
}

OpFunction call(Tensor (*op)(const Tensor&)) {
  return [op](const Inputs& in) { return op(in[0]); };
}

OpFunction call(Tensor (*op)(const Tensor&, const Tensor&)) {
  return [op](const Inputs& in) { return op(in[0], in[1]); };
}

OpFunction plain(double (*f)(double)) {
  return [f](const Inputs& in) {
    std::vector<double> y = in[0].to_vector<double>();
    for (double& v : y) v = f(v);
    return from_vector(y, in[0].shape());
  };
}

OpFunction plain(double (*f)(double, double)) {
  return [f](const Inputs& in) {
    const Shape shape = broadcast_shape("plain", in[0].shape(), in[1].shape());
    std::vector<double> y = in[0].expand(shape).to_vector<double>();
    const std::vector<double> b = in[1].expand(shape).to_vector<double>();
    for (size_t i = 0; i < y.size(); ++i) y[i] = f(y[i], b[i]);
    return from_vector(y, shape);
  };
}

Tensor rearrange(const Tensor& x, const std::vector<int64_t>& permutation, Shape to) {
  return reshape(gather_rows(reshape(x, {x.numel(), 1}), i64(permutation)), to);
}

Tensor selection(int64_t begin, int64_t n, int64_t size) {
  Tensor s = zeros({n, size}, DType::f64);
  for (int64_t i = 0; i < n; ++i) s.data<double>()[i * size + begin + i] = 1;
  return s;
}

std::vector<int64_t> cyclic(int64_t n, int64_t step, int64_t size) {
  std::vector<int64_t> values;
  for (int64_t i = 0; i < n; ++i) values.push_back(i * step % size);
  return values;
}

std::vector<OpCase> row_wise(const char* name, OpFunction f, const OpFunction& reference) {
  std::vector<OpCase> rows;
  for (const NamedShape& s : kRows) rows.push_back({name, s.what, f, normal({s.shape}), reference});
  rows[0].special = extreme_rows();
  rows[0].bad = {{": needs a floating-point tensor, got i64", [f] { return f({arange(3)}); }},
                 {": needs at least one axis, got ()", [f] { return f({zeros({})}); }}};
  return rows;
}

void append(std::vector<OpCase>& rows, std::vector<OpCase> more) {
  std::move(more.begin(), more.end(), std::back_inserter(rows));
}

}  // namespace table

const std::vector<OpCase>& op_table() {
  static const std::vector<OpCase> rows = [] {
    std::vector<OpCase> all;
    for (const auto& part :
         {table::elementwise_rows, table::expression_rows, table::shape_rows, table::join_rows,
          table::reduce_rows, table::matmul_rows, table::softmax_rows, table::norm_rows,
          table::batch_norm_rows, table::loss_rows, table::contrastive_rows, table::index_rows,
          table::random_rows, table::conv_rows, table::pool_rows, table::attention_rows,
          table::checkpoint_rows}) {
      table::append(all, part());
    }
    return all;
  }();
  return rows;
}

}  // namespace diptych
