// autograd/ops/contrastive.cpp — losses of all pairs of two sets of rows, a tile of their logits at
// a time: memory for N rows is O(N D + tile²), never O(N²).
//
// Forward and backward compute each tile from the rows and forget it. With x = s a bᵀ + bias and p
// the derivative of the loss by x, which needs of other tiles only what the forward pass summed up,
// both losses have
//
//   da = s p b,   db = pᵀ (s a),   ds = Σ a ∘ (p b),   dbias = Σ p
#include <algorithm>
#include <limits>
#include <map>

#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"
#include "tensor/scalar_ops.h"

namespace diptych {
namespace {

/// The operands of a loss of pairs, without history and in the type it is computed in.
struct Pairs {
  Tensor a, b, s, bias;  ///< bias: undefined for none
  Tensor label;          ///< beside them
  int64_t tile;

  int64_t N() const { return a.dim(0); }
  int64_t D() const { return a.dim(1); }
  Tensor make(const Shape& shape) const { return empty(shape, a.dtype(), a.device()); }
  Tensor make(const Shape& shape, double value) const {
    return full(shape, value, a.dtype(), a.device());
  }
};

/// They, kept for the backward pass.
class SavedPairs {
 public:
  explicit SavedPairs(const Pairs& p)
      : a_(p.a),
        b_(p.b),
        s_(p.s),
        bias_(p.bias.defined() ? Saved(p.bias) : Saved()),
        label_(p.label),
        tile_(p.tile) {}
  Pairs get() const { return {a_.get(), b_.get(), s_.get(), bias_.get(), label_, tile_}; }

 private:
  Saved a_, b_, s_, bias_;
  Tensor label_;
  int64_t tile_;
};

void check_pairs(const char* op, const Tensor& a, const Tensor& b, const Tensor& s,
                 const Tensor& label, int64_t tile) {
  check(a.rank() == 2 && a.shape() == b.shape() && a.dim(0) > 0 && a.dim(1) > 0 && s.rank() == 0,
        op, ": needs a and b (N, D), neither 0, and s (), got ", a.shape(), ", ", b.shape(),
        " and ", s.shape());
  check_float(op, a);
  check(tile > 0, op, ": tiles need at least one row, got ", tile);
  check(!label.defined() || (label.dtype() == DType::i64 && label.shape() == Shape{a.dim(0)} &&
                             label.device() == Device::cpu),
        op, ": label must be i64 (", a.dim(0), ") on the cpu");
}

Tensor operand(const Tensor& x) { return x.detach().to(statistics_dtype(x)).contiguous(); }

Pairs pairs_of(const Tensor& a, const Tensor& b, const Tensor& s, const Tensor& bias,
               const Tensor& label, int64_t tile) {
  const int64_t N = a.dim(0);
  return {operand(a),
          operand(b),
          operand(s),
          bias.defined() ? operand(bias) : bias,
          label.defined() ? label.to(a.device()).contiguous() : arange(N, DType::i64, a.device()),
          std::min(tile, N)};
}

/// Rows begin … end-1.
struct Stretch {
  int64_t begin, end;
  int64_t size() const { return end - begin; }
  Tensor of(const Tensor& x) const { return x.slice(0, begin, end); }
};

template <class F>
void each_stretch(int64_t n, int64_t length, const F& f) {
  for (int64_t begin = 0; begin < n; begin += length)
    f(Stretch{begin, std::min(n, begin + length)});
}

void scale(const Tensor& x, const Tensor& s, Tensor& y) {
  kernel::binary(x.device(), Binary::mul, x, s.expand(x.shape()), y);
}

/// Calls f(rows, columns, s a of the rows, x) for every tile x of the logits; f may overwrite x.
template <class F>
void each_tile(const Pairs& p, const F& f) {
  const Tensor scaled_room = p.make({p.tile, p.D()}), x_room = p.make({p.tile * p.tile});
  const Tensor bias = p.bias.defined() ? p.bias.expand({p.tile}).contiguous() : p.bias;
  each_stretch(p.N(), p.tile, [&](const Stretch& rows) {
    Tensor scaled = scaled_room.slice(0, 0, rows.size());
    scale(rows.of(p.a), p.s, scaled);
    each_stretch(p.N(), p.tile, [&](const Stretch& columns) {
      const Shape shape{rows.size(), columns.size()};
      Tensor x = x_room.slice(0, 0, shape.numel()).view(shape);
      Epilogue end;
      if (bias.defined()) end.bias = bias.slice(0, 0, columns.size());
      kernel::matmul(x.device(), scaled, columns.of(p.b).transpose(0, 1), end, x);
      f(rows, columns, scaled, x);
    });
  });
}

/// c = a b the first time, then c + a b.
void multiply(const Tensor& a, const Tensor& b, bool first, Tensor c) {
  Epilogue end;
  if (!first) end.add = c;
  kernel::matmul(c.device(), a, b, end, c);
}

/// Σ x ∘ y over all elements, a few rows at a time.
Tensor dot(const Pairs& p, const Tensor& x, const Tensor& y) {
  Tensor total = p.make({}, 0);
  each_stretch(p.N(), kLossTile,
               [&](const Stretch& rows) { total = total + sum(rows.of(x) * rows.of(y)); });
  return total;
}

/// Of a, b, s and, if there is one, the bias, for the gradient g () of the mean over N. to_p makes
/// p of a tile.
template <class F>
Grads gradients(const Pairs& p, const Tensor& g, double share, const F& to_p) {
  Tensor pb = p.make(p.a.shape()), db = p.make(p.b.shape()), sums = p.make({p.N()}, 0);
  each_tile(p, [&](const Stretch& rows, const Stretch& columns, const Tensor& scaled, Tensor& x) {
    to_p(rows, columns, x);
    multiply(x, columns.of(p.b), columns.begin == 0, rows.of(pb));
    multiply(x.transpose(0, 1), scaled, rows.begin == 0, columns.of(db));
    Tensor so_far = rows.of(sums);
    if (p.bias.defined()) so_far.copy_(so_far + sum(x, 1));
  });
  const Tensor weight = g.to(p.a.dtype()) * share, ds = weight * dot(p, p.a, pb);
  pb = pb * (weight * p.s);
  db = db * weight;
  return {pb, db, ds, weight * sum(sums)};
}

/// Gradients in the types that those of the inputs have.
Grads in_dtypes(Grads grads, const std::vector<DType>& dtypes) {
  grads.resize(dtypes.size());
  for (size_t i = 0; i < dtypes.size(); ++i) grads[i] = grads[i].to(dtypes[i]);
  return grads;
}

/// One over the number of rows with the same label.
Tensor weights(const Pairs& p, const Tensor& label) {
  if (!label.defined()) return p.make({p.N()}, 1);
  const std::vector<int64_t> labels = label.to_vector<int64_t>();
  std::map<int64_t, double> times;
  for (const int64_t l : labels) ++times[l];
  std::vector<double> w;
  for (const int64_t l : labels) w.push_back(1 / times[l]);
  return from_vector(w, {p.N()}).to(p.a.dtype()).to(p.a.device());
}

LogSums no_sums(const Pairs& p) {
  return {p.make({p.N()}, -std::numeric_limits<double>::infinity()), p.make({p.N()}, 0)};
}

Tensor log_sum(const LogSums& sums) { return sums.most + log(sums.total); }

}  // namespace

Tensor contrastive(const Tensor& a, const Tensor& b, const Tensor& s, const Tensor& label,
                   int64_t tile) {
  check_pairs("contrastive", a, b, s, label, tile);
  check_alike("contrastive", {a, b, s});
  const std::vector<DType> dtypes{gradient_dtype(a), gradient_dtype(b), gradient_dtype(s)};
  const Pairs p = pairs_of(a, b, s, {}, label, tile);
  const LogSums rows = no_sums(p), columns = no_sums(p);
  const Tensor weight = weights(p, label), right = p.make({p.N()}, 0);
  each_tile(p, [&](const Stretch& r, const Stretch& c, const Tensor&, const Tensor& x) {
    Tensor of_rows = r.of(right);
    kernel::contrastive(x.device(), x, r.of(p.label), c.of(p.label),
                        {r.of(rows.most), r.of(rows.total)},
                        {c.of(columns.most), c.of(columns.total)}, of_rows);
  });
  const Tensor row_lse = log_sum(rows), column_lse = log_sum(columns);
  const Tensor loss = mean((row_lse + column_lse) * 0.5 - weight * right);
  return record("contrastive", loss, {a, b, s}, [=, saved = SavedPairs(p)](const Tensor& g) {
    const Pairs q = saved.get();
    const auto to_p = [&](const Stretch& r, const Stretch& c, Tensor& x) {
      kernel::contrastive_grad(x.device(), r.of(row_lse), c.of(column_lse), r.of(q.label),
                               c.of(q.label), r.of(weight), x);
    };
    return in_dtypes(gradients(q, g, 0.5 / static_cast<double>(q.N()), to_p), dtypes);
  });
}

Tensor contrastive_sigmoid(const Tensor& a, const Tensor& b, const Tensor& s, const Tensor& bias,
                           const Tensor& label, int64_t tile) {
  check_pairs("contrastive_sigmoid", a, b, s, label, tile);
  check(bias.rank() == 0, "contrastive_sigmoid: bias must be (), got ", bias.shape());
  check_alike("contrastive_sigmoid", {a, b, s, bias});
  const std::vector<DType> dtypes{gradient_dtype(a), gradient_dtype(b), gradient_dtype(s),
                                  gradient_dtype(bias)};
  const Pairs p = pairs_of(a, b, s, bias, label, tile);
  const Tensor losses = p.make({p.N()}, 0);
  each_tile(p, [&](const Stretch& r, const Stretch& c, const Tensor&, const Tensor& x) {
    Tensor of_rows = r.of(losses);
    kernel::contrastive_sigmoid(x.device(), x, r.of(p.label), c.of(p.label), of_rows);
  });
  return record("contrastive_sigmoid", mean(losses), {a, b, s, bias},
                [dtypes, saved = SavedPairs(p)](const Tensor& g) {
                  const Pairs q = saved.get();
                  const auto to_p = [&](const Stretch& r, const Stretch& c, Tensor& x) {
                    kernel::contrastive_sigmoid_grad(x.device(), r.of(q.label), c.of(q.label), x);
                  };
                  return in_dtypes(gradients(q, g, 1 / static_cast<double>(q.N()), to_p), dtypes);
                });
}

}  // namespace diptych
