// tests/cuda/test_layouts.cu — element-wise kernels, copies and reductions of the device against
// those of the CPU, in every layout that they tell apart: packs or single elements, squares of a
// transposition, rows and columns of one chunk or several, lists that take more than one launch.
#include <array>

#include "tensor/scalar_ops.h"
#include "tests/cuda/alike.h"

namespace diptych::test {
namespace {

constexpr DType kAll[] = {DType::f32, DType::f64, DType::f16, DType::bf16, DType::i64, DType::u8};

/// A tensor of shape (A, B, C), as a view of an array.
struct Layout {
  const char* name;
  Shape array;
  std::function<Tensor(const Tensor&)> view;
};

/// Those that can be written to.
std::vector<Layout> writable(int64_t A, int64_t B, int64_t C) {
  return {
      {"plain", {A, B, C}, [](const Tensor& x) { return x; }},
      {"crooked", {A + 1, B, C}, [=](const Tensor& x) { return x.slice(0, 1, A + 1); }},
      {"reversed axes", {C, B, A}, [](const Tensor& x) { return x.transpose(0, 2); }},
      {"outer axes", {B, A, C}, [](const Tensor& x) { return x.transpose(0, 1); }},
      {"inner axes", {A, C, B}, [](const Tensor& x) { return x.transpose(1, 2); }},
      {"a slice of columns", {A, B, C + 3}, [=](const Tensor& x) { return x.slice(2, 0, C); }},
      {"with packs", {A, B, (C + 31) & ~15}, [=](const Tensor& x) { return x.slice(2, 0, C); }},
      {"a slice of rows", {A, B + 2, C}, [=](const Tensor& x) { return x.slice(1, 1, B + 1); }},
  };
}

std::vector<Layout> readable(int64_t A, int64_t B, int64_t C) {
  std::vector<Layout> all = writable(A, B, C);
  const auto expanded = [&](const char* name, Shape from) {
    all.push_back({name, from, [=](const Tensor& x) { return x.expand({A, B, C}); }});
  };
  expanded("a scalar", {1, 1, 1});
  expanded("a row", {1, 1, C});
  expanded("a column", {A, B, 1});
  expanded("in the middle", {A, 1, C});
  return all;
}

constexpr int64_t kShapes[][3] = {{3, 5, 7}, {2, 4, 16}, {1, 1, 1}, {2, 0, 3}, {1, 9, 13}};

/// Numbers 0 … 255 in any dtype, NaN and infinities among the floats.
Tensor array(Shape shape, DType t, int64_t step) {
  Tensor x = diptych::empty(shape, is_float(t) ? DType::f32 : DType::i64);
  for (int64_t i = 0; i < x.numel(); ++i) {
    const int64_t v = i * step % 256;
    if (x.dtype() == DType::i64) {
      x.data<int64_t>()[i] = v;
    } else {
      x.data<float>()[i] = v == 200 ? NAN : v == 201 ? -INFINITY : static_cast<float>(v);
    }
  }
  return x.to(t).to(here);
}

Results combine(const Tensor& a, const Tensor& b) {
  const DType t = a.dtype();
  const Tensor g = noise(a.shape(), t, 3), mask = g.to(DType::u8);
  Results y = unwritten(4, a.shape(), t);
  kernel::binary(here, Binary::sub, a, b, y[0]);
  kernel::binary_grad(here, Binary::mul, 0, a, b, b, y[1]);
  kernel::binary_grad(here, Binary::mul, 1, a, b, g, y[2]);
  kernel::where(here, mask, a, b, y[3]);
  return y;
}

void check_copy(const Layout& from, const Layout& to, DType t_from, DType t_to) {
  CAPTURE(from.name);
  CAPTURE(to.name);
  check_alike([&] {
    const Tensor whole = full(to.array, 77, t_to);
    Tensor y = to.view(whole);
    kernel::copy(here, from.view(array(from.array, t_from, 37)), y);
    return Results{whole};
  });
}

Results reductions(const Tensor& x) {
  const Shape to{x.dim(0), x.dim(2)};
  Results y = unwritten(2, to, x.dtype());
  kernel::reduce(here, Reduce::sum, x, y[0]);
  kernel::reduce(here, Reduce::max, x, y[1]);
  if (x.dim(1) == 0) return y;
  y.push_back(full(to, -1, DType::i64));
  kernel::arg_max(here, x, y[2]);
  return y;
}

/// n slots of 0 … 5 elements, every third one with bounds.
std::vector<AdamWSlot> many_slots(int64_t n, DType t) {
  std::vector<AdamWSlot> slots;
  for (int64_t i = 0; i < n; ++i) {
    const Shape shape{i % 6};
    const auto stream = static_cast<uint64_t>(3 * i);
    AdamWSlot slot{noise(shape, t, stream), noise(shape, t, stream + 1), full(shape, 0.5, t),
                   noise(shape, t, stream + 2), i % 2 == 0};
    if (i % 3 == 0) slot.low = -0.5, slot.high = 0.5;
    slots.push_back(slot);
  }
  return slots;
}

/// The same of every kind that there is with 16 bits, a scale for each element of f16 moments or
/// one for all.
std::vector<AdamWSlot> many_narrow_slots(int64_t n) {
  constexpr DType kParameters[] = {DType::f32, DType::f16, DType::bf16};
  std::vector<AdamWSlot> slots = many_slots(n, DType::f32);
  for (size_t i = 0; i < slots.size(); ++i) {
    AdamWSlot& slot = slots[i];
    slot.p = slot.p.to(kParameters[i % 3]);
    slot.stream = i;
    if (i % 5 == 0) slot.copy = full(slot.p.shape(), 77, kParameters[1 + i % 2]);
    if (i % 4 == 0) continue;
    const Shape scales{i % 4 == 1 ? 1 : slot.p.numel()};
    slot.m = slot.m.to(DType::f16), slot.m_scale = full(scales, 0.25);
    slot.v = slot.v.to(DType::f16), slot.v_scale = full(scales, 0.125);
  }
  return slots;
}

Results stepped(double squares, const std::vector<AdamWSlot>& slots) {
  Tensor vanished = full({}, 77, DType::f64);
  AdamWStep step{0.1, 0.9, 0.98, 1e-6, 0.2, 1, 3};
  step.loss_scale = 2;
  step.stochastic = true;
  kernel::adamw_step(here, step, full({}, squares, DType::f64), slots, vanished);
  Results all{vanished};
  for (const AdamWSlot& slot : slots)
    for (const Tensor& x : {slot.m, slot.v, slot.p, slot.m_scale, slot.v_scale, slot.copy})
      if (x.defined()) all.push_back(x);
  return all;
}

}  // namespace

TEST_CASE("cuda layouts: binary and where") {
  for (const DType t : kFloats) {
    for (const auto& [A, B, C] : kShapes) {
      for (const Layout& a : readable(A, B, C)) {
        for (const Layout& b : readable(A, B, C)) {
          CAPTURE(a.name);
          CAPTURE(b.name);
          check_alike(
              [&] { return combine(a.view(noise(a.array, t, 1)), b.view(noise(b.array, t, 2))); });
        }
      }
    }
  }
}

TEST_CASE("cuda layouts: unary, at any address") {
  for (const DType t : kFloats) {
    for (const int64_t n : {0, 1, 3, 8, 255, 4099}) {
      for (const int64_t first : {0, 1}) {
        check_alike([&] {
          const Tensor x = noise({first + n}, t, 1).slice(0, first, first + n);
          Results y = unwritten(3, {n}, t);
          kernel::unary(here, Unary::tanh, x, y[0]);
          kernel::unary_grad(here, Unary::tanh, y[0], x, y[1]);
          kernel::unary_both(here, Unary::tanh, x, y[0], y[2]);
          kernel::axpy(here, 0.5, x, y[2]);
          return y;
        });
      }
    }
  }
}

TEST_CASE("cuda layouts: copies and fills") {
  for (const auto& [A, B, C] : kShapes) {
    for (const Layout& to : writable(A, B, C)) {
      for (const Layout& from : readable(A, B, C))
        for (const DType t : {DType::f32, DType::bf16, DType::u8}) check_copy(from, to, t, t);
      for (const DType t : kAll) {
        check_alike([&] {
          const Tensor whole = full(to.array, 77, t);
          Tensor y = to.view(whole);
          kernel::fill(here, -1.5, y);
          return Results{whole};
        });
      }
    }
  }
}

TEST_CASE("cuda layouts: every dtype to every other") {
  for (const DType from : kAll) {
    for (const DType to : kAll) {
      const auto layouts = writable(3, 5, 7);
      for (const Layout& layout : layouts) check_copy(layout, layouts[0], from, to);
    }
  }
}

TEST_CASE("cuda layouts: transpositions in squares") {
  for (const DType t : kAll) {
    for (const auto& [A, B, C] : {std::array<int64_t, 3>{3, 40, 37}, {33, 2, 70}, {1, 64, 32}}) {
      const auto layouts = writable(A, B, C);
      for (const Layout& from : layouts) check_copy(from, layouts[0], t, t);
    }
  }
}

TEST_CASE("cuda reduce: rows and columns of any length") {
  const Shape shapes[] = {{3, 5, 7},     {2, 0, 3},     {2, 0, 1},   {0, 4, 3},     {2, 4, 0},
                          {7, 1, 1},     {5, 33, 1},    {9, 32, 1},  {3, 1025, 1},  {1, 40001, 1},
                          {2, 16392, 1}, {2, 300, 2},   {3, 70, 31}, {1, 1000, 33}, {1, 70000, 3},
                          {3, 2, 768},   {2, 257, 129}, {1, 1, 100}};
  for (const DType t : kFloats) {
    for (const Shape& shape : shapes) {
      INFO(t, " ", shape);
      check_alike([&] { return reductions(noise(shape, t, 1)); }, 4);
      check_alike([&] { return reductions(array(shape, t, 37)); }, 4);
      check_alike([&] { return reductions(full(shape, -INFINITY, t)); });
    }
  }
}

TEST_CASE("cuda lists: more arrays than a launch has room for") {
  check_alike([&] { return stepped(9, many_narrow_slots(320)); });
  for (const DType t : {DType::f32, DType::f64}) {
    for (const double squares : {0.25, 9.0, HUGE_VAL})
      check_alike([&] { return stepped(squares, many_slots(700, t)); });
    check_alike([&] {
      std::vector<Tensor> x{noise({30000}, t, 1), noise({8192}, t, 2)};
      for (int64_t i = 0; i < 2600; ++i) x.push_back(full({i % 3}, 0.5, t));
      Results y = unwritten(1, {}, DType::f64);
      kernel::sum_squares(here, x, y[0]);
      return y;
    });
  }
}

}  // namespace diptych::test
