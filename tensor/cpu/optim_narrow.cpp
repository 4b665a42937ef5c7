// tensor/cpu/optim_narrow.cpp — AdamW with f16 moments and 16-bit parameters, in blocks that are
// f32 while they are in the cache.
//
// f16 moments share a scale that depends on the largest of all, so they are computed twice: once to
// find that, once to be stored. The second time costs arithmetic alone, where keeping them in f32
// between would cost what 16 bits are to spare.
#include <algorithm>
#include <array>
#include <cmath>

#include "tensor/cpu/convert.h"
#include "tensor/cpu/gemm_split.h"
#include "tensor/cpu/optim.h"
#include "tensor/parallel.h"
#include "tensor/rounding.h"

namespace diptych::cpu {
namespace {

constexpr int64_t kBlock = 512, kPiece = 16384;
using Floats = std::array<float, kBlock>;

/// y = factor x[begin …], n of them.
void read(const Tensor& x, int64_t begin, int64_t n, float factor, Floats& y) {
  visit_float(x.dtype(), [&]<class T>(Type<T>) { convert(x.data<T>() + begin, n, y.data()); });
  for (int64_t i = 0; factor != 1 && i < n; ++i) y[static_cast<size_t>(i)] *= factor;
}

/// x[begin …] = y / scale, n of them.
void write(Floats& y, int64_t n, float scale, int64_t begin, const Tensor& x) {
  for (int64_t i = 0; scale != 1 && i < n; ++i) y[static_cast<size_t>(i)] /= scale;
  visit_float(x.dtype(), [&]<class T>(Type<T>) { convert(y.data(), n, x.data<T>() + begin); });
}

/// Elements of one slot that share the scales of their moments.
struct Piece {
  size_t slot;
  int64_t group, begin, end;
  float most_m = 0, most_v = 0;
  int64_t vanished = 0;
};

class Narrow {
 public:
  Narrow(const AdamWStep& step, float scale, const std::vector<AdamWSlot>& slots)
      : step_(step), scale_(scale), constants_(step), slots_(slots) {
    for (size_t s = 0; s < slots.size(); ++s) cut(s);
  }

  int64_t run() {
    each_piece([&](Piece& piece) { measure(piece); });
    share_maxima();
    each_piece([&](Piece& piece) { update(piece); });
    int64_t vanished = 0;
    for (const Piece& piece : pieces_) {
      store_scales(piece);
      vanished += piece.vanished;
    }
    return vanished;
  }

 private:
  void cut(size_t s) {
    const AdamWSlot& slot = slots_[s];
    const int64_t groups = slot.m_scale.defined() ? slot.m_scale.numel() : 1;
    const int64_t size = slot.p.numel() / std::max<int64_t>(groups, 1);
    for (int64_t r = 0; r < groups; ++r)
      for (int64_t at = 0; at < size; at += kPiece)
        pieces_.push_back({s, r, r * size + at, r * size + std::min(size, at + kPiece)});
  }

  template <class F>
  void each_piece(const F& f) {
    const auto count = static_cast<int64_t>(pieces_.size());
    int64_t total = 1;
    for (const Piece& piece : pieces_) total += piece.end - piece.begin;
    parallel_for(count, std::max<int64_t>(1, kPiece * count / total), [&](int64_t a, int64_t b) {
      for (int64_t i = a; i < b; ++i) f(pieces_[static_cast<size_t>(i)]);
    });
  }

  template <class F>
  static void each_block(const Piece& piece, const F& f) {
    for (int64_t i = piece.begin; i < piece.end; i += kBlock) f(i, std::min(kBlock, piece.end - i));
  }

  /// The moments of before.
  void read_moments(const Piece& piece, int64_t i, int64_t n, Floats& m, Floats& v) const {
    const AdamWSlot& slot = slots_[piece.slot];
    const bool scaled = slot.m_scale.defined();
    read(slot.m, i, n, scaled ? slot.m_scale.data<float>()[piece.group] : 1, m);
    read(slot.v, i, n, scaled ? slot.v_scale.data<float>()[piece.group] : 1, v);
  }

  void measure(Piece& piece) const {
    const AdamWSlot& slot = slots_[piece.slot];
    if (!slot.m_scale.defined()) return;
    const AdamWUpdate<float> update(constants_, scale_, slot);
    const float* g = slot.g.data<float>();
    each_block(piece, [&](int64_t begin, int64_t n) {
      Floats m, v;
      read_moments(piece, begin, n, m, v);
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
        update.moments(g[begin + static_cast<int64_t>(i)], m[i], v[i]);
        piece.most_m = std::max(piece.most_m, std::abs(m[i]));
        piece.most_v = std::max(piece.most_v, v[i]);
      }
    });
  }

  /// Pieces of one group stand side by side: each learns the largest of all.
  void share_maxima() {
    const auto same = [](const Piece& a, const Piece& b) {
      return a.slot == b.slot && a.group == b.group;
    };
    for (auto first = pieces_.begin(); first != pieces_.end();) {
      const auto last = std::find_if(first, pieces_.end(),
                                     [&](const Piece& piece) { return !same(*first, piece); });
      float m = 0, v = 0;
      for (auto it = first; it != last; ++it) {
        m = std::max(m, it->most_m);
        v = std::max(v, it->most_v);
      }
      for (; first != last; ++first) first->most_m = m, first->most_v = v;
    }
  }

  void update(Piece& piece) const {
    const AdamWSlot& slot = slots_[piece.slot];
    const AdamWUpdate<float> update(constants_, scale_, slot);
    const float* g = slot.g.data<float>();
    each_block(piece, [&](int64_t begin, int64_t n) {
      Floats m, v, p;
      read_moments(piece, begin, n, m, v);
      read(slot.p, begin, n, 1, p);
      for (size_t i = 0; i < static_cast<size_t>(n); ++i)
        update(g[begin + static_cast<int64_t>(i)], m[i], v[i], p[i]);
      store_parameter(slot, begin, n, p);
      store_moments(piece, begin, n, m, v);
    });
  }

  void store_parameter(const AdamWSlot& slot, int64_t begin, int64_t n, Floats& p) const {
    const auto by_chance = [&]<class T>(T* y) {
      round_stochastic(step_.seed, mix(slot.stream, static_cast<uint64_t>(step_.t)), begin,
                       p.data(), n, y + begin);
    };
    if (step_.stochastic && slot.p.dtype() == DType::bf16) return by_chance(slot.p.data<bf16>());
    if (step_.stochastic && slot.p.dtype() == DType::f16) return by_chance(slot.p.data<f16>());
    write(p, n, 1, begin, slot.p);
    if (slot.copy.defined()) write(p, n, 1, begin, slot.copy);
  }

  void store_moments(Piece& piece, int64_t begin, int64_t n, Floats& m, Floats& v) const {
    const AdamWSlot& slot = slots_[piece.slot];
    const bool scaled = slot.m_scale.defined();
    write(m, n, scaled ? moment_scale(piece.most_m) : 1, begin, slot.m);
    write(v, n, scaled ? moment_scale(piece.most_v) : 1, begin, slot.v);
    for (int64_t i = 0; scaled && i < n; ++i)
      piece.vanished +=
          v[static_cast<size_t>(i)] > 0 && static_cast<float>(slot.v.data<f16>()[begin + i]) == 0;
  }

  void store_scales(const Piece& piece) const {
    const AdamWSlot& slot = slots_[piece.slot];
    if (!slot.m_scale.defined()) return;
    slot.m_scale.data<float>()[piece.group] = moment_scale(piece.most_m);
    slot.v_scale.data<float>()[piece.group] = moment_scale(piece.most_v);
  }

  const AdamWStep& step_;
  const float scale_;
  const AdamWConstants<float> constants_;
  const std::vector<AdamWSlot>& slots_;
  std::vector<Piece> pieces_;
};

}  // namespace

int64_t step_narrow(const AdamWStep& step, float scale, const std::vector<AdamWSlot>& slots) {
  return Narrow(step, scale, slots).run();
}

}  // namespace diptych::cpu
