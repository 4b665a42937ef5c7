// tests/test_api_random_tensors.cpp — random calls of views, factories, the engine and modules: an
// Error or what is due. How to make more calls: tests/random_run.h.
#include <stdexcept>

#include "autograd/ops.h"
#include "nn/transformer.h"
#include "nn/vit.h"
#include "tests/random_rules.h"
#include "tests/random_run.h"

using namespace diptych;
using namespace diptych::test;

namespace {

Call view_call(Dice& dice) {
  const Tensor x = dice.tensor();
  const Extents to = dice.wild_shape(x.defined() ? extents(x) : Extents{2});
  const int64_t kind = dice.below(3);
  const char* names[] = {"reshape", "view", "expand"};
  Rule rule = kind == 2 ? expand_rule(x, to) : view_rule(x, to);
  if (kind == 1 && x.defined() && !x.is_contiguous()) rule = kRefused;
  return {Words(names[kind]) << x << to, {x}, rule, [=] {
            const Shape shape = to_shape(to);
            return kind == 0 ? reshape(x, shape) : kind == 1 ? x.view(shape) : expand(x, shape);
          }};
}

Call axes_call(Dice& dice) {
  const Tensor x = dice.tensor();
  const int rank = x.defined() ? x.rank() : 1, a = dice.axis(rank), b = dice.axis(rank);
  const bool fits = x.defined() && in_range(a, x) && in_range(b, x);
  Rule rule = kRefused;
  if (fits) {
    rule = extents(x);
    std::swap((*rule)[static_cast<size_t>(a < 0 ? a + rank : a)],
              (*rule)[static_cast<size_t>(b < 0 ? b + rank : b)]);
  }
  return {Words("transpose") << x << a << b, {x}, rule, [=] { return transpose(x, a, b); }};
}

Call slice_call(Dice& dice) {
  const Tensor x = dice.tensor();
  const int axis = dice.axis(x.defined() ? x.rank() : 1);
  const bool exists = x.defined() && in_range(axis, x);
  const int64_t n = exists ? x.dim(axis) : 4;
  const int64_t begin = dice.chance(0.8) ? dice.below(n + 1) : dice.number();
  const int64_t end = dice.chance(0.8) && is_small(begin) ? begin + dice.below(3) : dice.number();
  Rule rule = kRefused;
  if (exists && 0 <= begin && begin <= end && end <= n) {
    rule = extents(x);
    (*rule)[static_cast<size_t>(axis < 0 ? axis + x.rank() : axis)] = end - begin;
  }
  return {Words("slice") << x << axis << begin << end, {x}, rule, [=] {
            return slice(x, axis, begin, end);
          }};
}

Call cat_call(Dice& dice) {
  const Extents shape = dice.shape();
  const DType type = dice.dtype();
  std::vector<Tensor> xs;
  for (int64_t i = dice.below(4); i >= 0 && !dice.chance(0.05); --i)
    xs.push_back(dice.operand(shape, type));
  const int axis = dice.axis(static_cast<int>(shape.size()));
  Words words("cat");
  for (const Tensor& x : xs) words << x;
  return {words << axis, xs, cat_rule(xs, axis), [=] { return cat(xs, axis); }};
}

Call factory_call(Dice& dice) {
  const Extents shape = dice.wild_shape(dice.shape());
  const DType type = dice.dtype();
  const double value = dice.pick<double>({0, -1.5, 300, 1e300, NAN, INFINITY, -INFINITY});
  const int64_t kind = dice.below(5);
  const char* names[] = {"empty", "full", "randn", "uniform", "from_vector"};
  const auto values = static_cast<size_t>(
      dice.chance(0.5) ? std::max<int64_t>(0, std::min(count_of(shape), kSmall)) : dice.below(5));
  Rule rule = made(shape, kind < 2 || kind == 4 || is_float(type));
  if (kind == 4 && count_of(shape) != static_cast<int64_t>(values)) rule = kRefused;
  return {Words(names[kind]) << shape << name(type) << value,
          {},
          rule,
          [=] {
            const Shape s = to_shape(shape);
            if (kind == 0) return empty(s, type);
            if (kind == 1) return full(s, value, type);
            if (kind == 2) return randn(s, {1, 2}, type);
            if (kind == 3) return uniform(s, 1, 3, {1, 2}, type);
            return from_vector(std::vector<float>(values), s);
          },
          /*finite=*/kind > 1};
}

Call arange_call(Dice& dice) {
  int64_t n = dice.chance(0.5) ? dice.below(300) : dice.number();
  if (n > kSmall && n < int64_t{1} << 50) n = -n;  // memory that could be had
  const DType type = dice.dtype();
  return {Words("arange") << n << name(type),
          {},
          made({n}, n < 1 << 20),
          [=] { return arange(n, type); },
          /*finite=*/true,
          /*lenient=*/type == DType::u8 && n > 256};
}

Call conversion_call(Dice& dice) {
  const Tensor x = dice.tensor();
  const DType to = dice.dtype();
  const int64_t kind = dice.below(4);
  const char* names[] = {"to", "clone", "contiguous", "item"};
  const bool fits = x.defined() && (kind != 3 || x.numel() == 1);
  return {Words(names[kind]) << x << name(to),
          {x},
          fits && kind == 3 ? Rule(Extents{}) : like(x, fits),
          [=] {
            if (kind == 0) return x.to(to);
            if (kind == 1) return x.clone();
            return kind == 2 ? x.contiguous() : full({}, x.item());
          }};
}

bool repeats(const Tensor& x) {
  for (int i = 0; i < x.rank(); ++i)
    if (x.strides()[i] == 0 && x.dim(i) > 1) return x.numel() > 0;
  return false;
}

// Values must arrive as a copy made before would have brought them. (Whole numbers, since what is
// written may be integers.)
Call copy_call(Dice& dice) {
  const int64_t n = 4 + dice.below(40), length = dice.below(n), from = dice.below(n - length),
                to = dice.chance(0.1) ? 0 : dice.below(n - length);
  Tensor base = arange(n).to(dice.dtype());
  Tensor target = base.slice(0, to, to + length), source = base.slice(0, from, from + length);
  if (dice.chance(0.3)) source = source.to(dice.dtype());
  if (dice.chance(0.2)) target = base.slice(0, to, to + 1).expand({length});
  if (dice.chance(0.1)) source = dice.chance(0.5) ? Tensor() : dice.tensor({length + 1});
  const bool fits = source.defined() && source.shape() == target.shape() && !repeats(target);
  return {Words("copy_") << target << source << to << from << length, {}, like(target, fits), [=] {
            const Tensor before = source.clone();
            Tensor t = target;
            t.copy_(source);
            if (t.to_vector<double>() != before.to_vector<double>())
              throw std::logic_error("other values than those copied");
            return t;
          }};
}

// -- the engine ---------------------------------------------------------------------------------

Call backward_call(Dice& dice) {
  const Tensor x = dice.tensor();
  const Extents shape = x.defined() ? extents(x) : Extents{};
  const Tensor seed =
      dice.chance(0.3) ? Tensor() : dice.operand(shape, x.defined() ? x.dtype() : DType::f32);
  const bool fits = floating(x) && needs_grad(x) &&
                    (!seed.defined() || (alike(x, seed) && has_shape(seed, shape)));
  return {Words("backward") << x << seed, {x}, like(x, fits), [=] {
            backward(x + x, seed);
            return grad(x);
          }};
}

Call leaf_call(Dice& dice) {
  const Tensor x = dice.tensor();
  const int64_t kind = dice.below(4);
  const char* names[] = {"track", "grad", "set_grad", "add_hook"};
  const Tensor buffer = kind == 2 && x.defined() ? dice.operand(extents(x), x.dtype()) : Tensor();
  const bool fits = floating(x) && (kind == 0 || needs_grad(x)) && kind != 1 &&
                    (!buffer.defined() ||
                     (alike(x, buffer) && has_shape(buffer, extents(x)) && buffer.is_contiguous()));
  return {Words(names[kind]) << x << buffer, {}, like(x, fits), [=] {
            if (kind == 0) return track(x);
            if (kind == 1) return grad(x).clone();  // none yet: an undefined tensor has no clone
            if (kind == 2) set_grad(x, buffer);
            if (kind == 3) add_hook(x, [](Tensor&) {});
            return x.detach();
          }};
}

// Functions that are empty, give nothing, or give another shape than the product wants.
Call recomputed_call(Dice& dice) {
  using F = std::function<Tensor(const Tensor&)>;
  const F functions[] = {F(), [](const Tensor&) { return Tensor(); },
                         [](const Tensor& t) { return sum(t); },
                         [](const Tensor& t) { return t * 2; }};
  const int64_t kind = dice.below(4);
  const bool product = dice.chance(0.5);
  const Tensor x = dice.operand({2, 3}, DType::f32), w = dice.operand({4, 3}, DType::f32);
  Rule rule = kRefused;
  if (kind >= 2 && floating(x) && !product) rule = kind == 2 ? Rule(Extents{}) : extents(x);
  if (kind == 3 && product) rule = linear_rule(x, w, {}, {});
  return {Words(product ? "linear_of" : "checkpoint") << x << w << kind,
          {x, w},
          rule,
          [=, f = functions[kind]] { return product ? linear_of(f, x, w) : checkpoint(f, x); }};
}

// -- modules ------------------------------------------------------------------------------------

int64_t width_of(Dice& dice) { return dice.chance(0.3) ? dice.wild_extent() : dice.below(9); }

// Not memory that some machine might have.
bool out_of_question_or_small(const Extents& shape) {
  return count_of(shape) <= kSmall || count_of(shape) >= int64_t{1} << 50;
}

Call layer_call(Dice& dice) {
  const int64_t a = width_of(dice), b = width_of(dice), kind = dice.below(4);
  const char* names[] = {"Linear", "LayerNorm", "Embedding", "Conv2d"};
  const Extents shapes[] = {{b, a}, {a}, {a, b}, {b, a, 2, 2}};
  const bool affordable = out_of_question_or_small(shapes[kind]) && out_of_question_or_small({b});
  return {Words(names[kind]) << a << b,
          {},
          affordable ? made(shapes[kind], made({b}).has_value() || kind != 0) : kRefused,
          [=]() -> Tensor {
            if (!affordable) fail("test: such memory may be there");
            if (kind == 0) return nn::Linear(a, b).weight.detach();
            if (kind == 1) return nn::LayerNorm(a, 1e-5).weight.detach();
            if (kind == 2) return nn::Embedding(a, b, nn::Init::normal(1)).weight.detach();
            return nn::Conv2d(a, b, 2).weight.detach();
          },
          /*finite=*/false};
}

Call tower_call(Dice& dice) {
  const nn::PictureShape pictures{.size = width_of(dice), .channels = 1};
  nn::VitConfig c{.patch_size = width_of(dice)};
  nn::TowerConfig& t = c.transformer;
  t.width = dice.below(9);
  t.heads = dice.number();
  t.layers = dice.below(3) - dice.chance(0.1);
  const int64_t R = pictures.size, p = c.patch_size, E = dice.below(4);
  const bool heads = t.width > 0 && t.heads > 0 && t.width % t.heads == 0 && t.layers >= 0;
  const bool sides = p > 0 && R > 0 && R % p == 0;
  const int64_t side = sides ? R / p : 1;
  const bool fits = heads && sides && made({side, side, t.width}) && made({t.width, p, p});
  return {Words("VisionTransformer") << R << p << t.width << t.heads,
          {},
          fits ? Rule(Extents{1 + side * side, t.width}) : kRefused,
          [=] {
            const nn::VisionTransformer tower(c, pictures, E);
            for (const auto& entry : tower.state())
              if (entry.name == "positional_embedding") return entry.tensor.detach();
            return Tensor();
          },
          /*finite=*/false};
}

Call load_call(Dice& dice) {
  const Tensor weight = dice.operand({2, 3}, dice.dtype()), bias = dice.operand({2}, DType::f32);
  const int64_t kind = dice.below(6);
  std::vector<NamedTensor> values{{"weight", weight}, {"bias", bias}};
  if (kind == 0) values.pop_back();
  if (kind == 1) values.push_back({"bias", zeros({2})});
  if (kind == 2) values.push_back({"", zeros({2})});
  const bool fits = kind > 2 && weight.defined() && bias.defined() && has_shape(weight, {2, 3}) &&
                    has_shape(bias, {2});
  return {Words("load_state") << weight << bias << kind,
          {weight, bias},
          fits ? Rule(Extents{2, 3}) : kRefused,
          [=] {
            nn::Linear layer(3, 2);
            layer.load_state(values);
            return layer.weight.detach();
          }};
}

}  // namespace

TEST_CASE("random calls: views, factories and conversions give what they say or refuse") {
  make_random_calls({view_call, view_call, axes_call, slice_call, cat_call, factory_call,
                     arange_call, conversion_call, copy_call},
                    12);
}

TEST_CASE("random calls: the engine and modules refuse what makes no sense") {
  make_random_calls({backward_call, leaf_call, recomputed_call, layer_call, tower_call, load_call},
                    13);
}
