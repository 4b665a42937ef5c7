// tests/test_api_random.cpp — random calls of every operator: an Error or a result of the right
// shape, with gradients; nothing else comes out. How to make more calls: tests/random_run.h.
#include "autograd/ops.h"
#include "tensor/scalar_ops.h"
#include "tests/random_rules.h"
#include "tests/random_run.h"

using namespace diptych;
using namespace diptych::test;

namespace {

Call one_operand(Dice& dice) {
  struct Op {
    const char* name;
    Tensor (*f)(const Tensor&);
    int least_rank;
    bool finite;
  };
  static const std::vector<Op> ops = {
      {"neg", neg, 0, true},
      {"exp", exp, 0, true},
      {"log", log, 0, false},
      {"sqrt", sqrt, 0, false},
      {"square", square, 0, true},
      {"tanh", tanh, 0, true},
      {"sigmoid", sigmoid, 0, true},
      {"relu", relu, 0, true},
      {"gelu", gelu, 0, true},
      {"gelu_tanh", gelu_tanh, 0, true},
      {"quick_gelu", quick_gelu, 0, true},
      {"softmax", softmax, 1, true},
      {"log_softmax", log_softmax, 1, true},
      {"l2_normalize", [](const Tensor& x) { return l2_normalize(x); }, 1, true},
      {"x + 1", [](const Tensor& x) { return x + 1; }, 0, true},
      {"x / -2", [](const Tensor& x) { return x / -2; }, 0, true},
      {"checkpoint",
       [](const Tensor& x) { return checkpoint([](const Tensor& t) { return tanh(t); }, x); }, 0,
       true}};
  const Op op = dice.pick(ops);
  const Tensor x = dice.tensor();
  return {Words(op.name) << x,
          {x},
          like(x, floating(x) && x.rank() >= op.least_rank),
          [=] { return op.f(x); },
          op.finite};
}

Call conversion(Dice& dice) {
  const Tensor x = dice.tensor();
  const DType to = dice.dtype();
  return {Words("cast") << x << name(to), {x}, like(x, floating(x) && is_float(to)), [=] {
            return cast(x, to);
          }};
}

Call two_operands(Dice& dice) {
  struct Op {
    const char* name;
    Tensor (*f)(const Tensor&, const Tensor&);
    bool finite;
  };
  static const std::vector<Op> ops = {{"add", add, true},
                                      {"sub", sub, true},
                                      {"mul", mul, true},
                                      {"div", div, false},
                                      {"maximum", maximum, true}};
  const Op op = dice.pick(ops);
  const Tensor a = dice.tensor();
  const DType type = a.defined() ? a.dtype() : DType::f32;
  Extents shape = a.defined() ? extents(a) : Extents{2};
  for (int64_t& d : shape)
    if (dice.chance(0.2)) d = 1;
  if (!shape.empty() && dice.chance(0.3)) shape.erase(shape.begin());
  const Tensor b = dice.operand(shape, type);
  const Rule rule = floating(a) && alike(a, b) ? broadcast(extents(a), extents(b)) : kRefused;
  return {Words(op.name) << a << b, {a, b}, rule, [=] { return op.f(a, b); }, op.finite};
}

Call reduction(Dice& dice) {
  struct Op {
    const char* name;
    Tensor (*f)(const Tensor&, int, bool);
    bool of_nothing, keeps;
  };
  static const std::vector<Op> ops = {
      {"sum", sum, true, true},
      {"mean", mean, false, true},
      {"max", max, false, true},
      {"arg_max", [](const Tensor& x, int axis, bool) { return arg_max(x, axis); }, false, false}};
  const Op op = dice.pick(ops);
  const Tensor x = dice.tensor();
  const int axis = dice.axis(x.defined() ? x.rank() : 1);
  const bool keep = dice.chance(0.5);
  const bool fits = floating(x) && in_range(axis, x) && (op.of_nothing || x.dim(axis) > 0);
  return {Words(op.name) << x << axis << keep,
          {x},
          fits ? without(x, axis, keep && op.keeps) : kRefused,
          [=] { return op.f(x, axis, keep); }};
}

Call whole_reduction(Dice& dice) {
  const Tensor x = dice.tensor();
  const bool average = dice.chance(0.5);
  const bool fits = floating(x) && (!average || x.numel() > 0);
  return {Words(average ? "mean" : "sum") << x, {x}, fits ? Rule(Extents{}) : kRefused, [=] {
            return average ? mean(x) : sum(x);
          }};
}

Call product(Dice& dice) {
  const int64_t K = dice.extent();
  const DType type = dice.dtype();
  Extents a = dice.shape(static_cast<int>(dice.below(4))), b = a;
  for (int64_t& d : b)
    if (dice.chance(0.2)) d = 1;
  a.insert(a.end(), {dice.extent(), K});
  b.insert(b.end(), {K, dice.extent()});
  const Tensor x = dice.operand(a, type), y = dice.operand(b, type);
  return {Words("matmul") << x << y, {x, y}, matmul_rule(x, y), [=] { return matmul(x, y); }};
}

Call linear_call(Dice& dice) {
  const int64_t K = dice.extent(), N = dice.extent(), kind = dice.below(4);
  const DType type = dice.dtype();
  Extents shape = dice.shape(static_cast<int>(dice.below(4)));
  shape.push_back(K);
  const Tensor x = dice.operand(shape, type), w = dice.operand({N, K}, type);
  const Tensor b = dice.chance(0.3) ? Tensor() : dice.operand({N}, type);
  shape.back() = N;
  const Tensor residual = kind == 1 || dice.chance(0.5) ? Tensor() : dice.operand(shape, type);
  const char* names[] = {"linear", "linear_then", "linear_of(tanh)", "linear_of(f)"};
  return {Words(names[kind]) << x << w << b << residual,
          {x, w, b, residual},
          linear_rule(x, w, b, residual),
          [=] {
            if (kind == 0) return linear(x, w, b, residual);
            if (kind == 1) return linear_then(Unary::tanh, x, w, b);
            if (kind == 2) return linear_of(Unary::tanh, x, w, b, residual);
            return linear_of([](const Tensor& t) { return tanh(t); }, x, w, b, residual);
          }};
}

// Rows of the last axis, of which there may be some even where that is empty.
int64_t leading(const Tensor& x) {
  int64_t rows = 1;
  for (int axis = 0; axis + 1 < x.rank(); ++axis) rows *= x.dim(axis);
  return rows;
}

Call normalisation(Dice& dice) {
  const Tensor x = dice.tensor();
  const DType type = x.defined() ? x.dtype() : DType::f32;
  const Extents D{x.defined() && x.rank() > 0 ? x.dim(-1) : 3};
  const DType wide = type == DType::f64 ? DType::f64 : DType::f32;
  const Tensor w = dice.operand(D, type), b = dice.operand(D, type);
  const bool columns = columns_fit(x, {w, b});
  const int64_t kind = dice.below(3);
  if (kind == 0)
    return {Words("layer_norm") << x << w << b, {x, w, b}, like(x, columns), [=] {
              return layer_norm(x, w, b, 0.1);
            }};
  if (kind == 1)
    return {Words("batch_norm") << x << w << b, {x, w, b}, like(x, columns && leading(x) > 1), [=] {
              return batch_norm(x, w, b, 0.1, true).y;
            }};
  const Tensor mean = dice.operand(D, wide), var = dice.operand(D, wide);
  const bool fits = columns && mean.defined() && var.defined() && mean.dtype() == wide &&
                    var.dtype() == wide && has_shape(mean, D) && has_shape(var, D);
  return {Words("batch_norm") << x << w << b << mean << var,
          {x, w, b, mean, var},
          like(x, fits),
          [=] { return batch_norm(x, w, b, mean, var); },
          /*finite=*/false};
}

Call by_index(Dice& dice) {
  const int64_t V = dice.extent(), N = dice.extent();
  const Tensor x = dice.operand({V, dice.extent()}, DType::f32), index = dice.indices(N, 0, V);
  const bool matrix = floating(x) && x.rank() == 2;
  const bool vector = index.defined() && index.dtype() == DType::i64 && index.rank() == 1;
  if (dice.chance(0.5)) {
    const bool fits = matrix && vector && all_within(index, x.dim(0));
    return {Words("gather_rows") << x << index,
            {x, index},
            fits ? Rule(Extents{index.dim(0), x.dim(1)}) : kRefused,
            [=] { return gather_rows(x, index); }};
  }
  const Tensor target = matrix ? dice.indices(x.dim(0), 0, x.dim(1)) : index;
  const bool fits = matrix && x.dim(0) > 0 && target.defined() && target.dtype() == DType::i64 &&
                    has_shape(target, {x.dim(0)}) && all_within(target, x.dim(1));
  return {
      Words("cross_entropy") << x << target, {x, target}, fits ? Rule(Extents{}) : kRefused, [=] {
        return cross_entropy(x, target);
      }};
}

Call convolution(Dice& dice) {
  const DType type = dice.dtype();
  const int64_t C = dice.extent(), stride = dice.number(),
                padding = dice.chance(0.7) ? dice.below(3) : dice.number();
  const Tensor x = dice.operand({dice.below(3), dice.extent(), dice.extent(), C}, type),
               w = dice.operand({dice.extent(), C, 1 + dice.below(3), 1 + dice.below(3)}, type);
  return {Words("conv2d") << x << w << stride << padding, {x, w}, conv_rule(x, w, stride, padding),
          [=] { return conv2d(x, w, stride, padding); },  true,
          /*lenient=*/std::max(stride, padding) > 1 << 20};
}

Call squares(Dice& dice) {
  const int64_t k = dice.number(), side = is_small(k) ? k : 1;
  const bool pool = dice.chance(0.5);
  Extents shape{dice.extent(), std::max<int64_t>(0, side * dice.below(3)),
                std::max<int64_t>(0, side * dice.below(3)), dice.extent()};
  if (!pool) shape = {shape[0], shape[3], shape[1], shape[2]};
  const Tensor x = dice.operand(shape, dice.dtype());
  Rule rule = kRefused;
  const int rows = pool ? 1 : 2;
  if (x.defined() && x.rank() == 4 && k >= 1 && x.dim(rows) % k == 0 && x.dim(rows + 1) % k == 0) {
    const int64_t H = x.dim(rows) / k, W = x.dim(rows + 1) / k;
    if (pool && floating(x)) rule = {x.dim(0), H, W, x.dim(3)};
    const bool small = k < 1 << 20 || x.dim(1) == 0;  // else C k k wraps
    if (!pool && small) rule = {x.dim(0), H * W, x.dim(1) == 0 ? 0 : x.dim(1) * k * k};
  }
  return {Words(pool ? "avg_pool" : "patches") << x << k,        {x},  rule,
          [=] { return pool ? avg_pool(x, k) : patches(x, k); }, true, /*lenient=*/k > 1 << 20};
}

Call attention_call(Dice& dice) {
  const DType type = dice.dtype();
  const int64_t heads = dice.number(), T = dice.extent(), B = dice.below(4);
  const int64_t D = (is_small(heads) ? std::max<int64_t>(1, heads) : 1) * dice.extent();
  const bool causal = dice.chance(0.5);
  const Tensor offsets = dice.offsets(B, T);
  if (dice.chance(0.5)) {
    const Tensor qkv = dice.operand({T, 3 * D}, type);
    const bool fits = floating(qkv) && qkv.rank() == 2 && qkv.dim(1) > 0 && qkv.dim(1) % 3 == 0 &&
                      heads > 0 && qkv.dim(1) / 3 % heads == 0 && are_offsets(offsets, qkv.dim(0));
    return {Words("attention") << qkv << offsets << heads << causal,
            {qkv, offsets},
            fits ? Rule(Extents{qkv.dim(0), qkv.dim(1) / 3}) : kRefused,
            [=] { return attention(qkv, Ragged::of_offsets(offsets), heads, causal); }};
  }
  const Tensor q = dice.operand({B, D}, type), kv = dice.operand({T, 2 * D}, type);
  const bool fits = floating(q) && alike(q, kv) && q.rank() == 2 && kv.rank() == 2 &&
                    q.dim(1) > 0 && kv.dim(1) == 2 * q.dim(1) && heads > 0 &&
                    q.dim(1) % heads == 0 && are_offsets(offsets, kv.dim(0)) &&
                    offsets.dim(0) == q.dim(0) + 1;
  return {
      Words("attention_pool") << q << kv << offsets << heads, {q, kv, offsets}, like(q, fits), [=] {
        return attention_pool(q, kv, Ragged::of_offsets(offsets), heads);
      }};
}

}  // namespace

TEST_CASE("random calls: operators refuse what does not fit and give the right shape of the rest") {
  make_random_calls({one_operand, conversion, two_operands, reduction, whole_reduction, product,
                     linear_call, normalisation, by_index, convolution, squares, attention_call},
                    11);
}
