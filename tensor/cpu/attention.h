// tensor/cpu/attention.h — what the forward and backward passes of attention share: one head of
// one sequence, packed, and the products of a tile of queries × keys.
//
// For one head of one sequence, with s = 1 / √(D/H) and masked scores -inf:
//   S = s Q Kᵀ,  lse_i = ln Σ_j e^S_ij,  P_ij = e^(S_ij - lse_i),  Y = P V
// and, given G = ∂L/∂Y and δ_i = Σ_d G_id Y_id,
//   dV = Pᵀ G,  dS = P ∘ (G Vᵀ - δ),  dQ = s dS K,  dK = s dSᵀ Q
//
// Where bf16 is multiplied as it is (factor.h) P and dS are rounded to it for the products they are
// factors of; scores, sums and everything between them stay f32.
//
// Scores exist for one tile at a time. Under a causal mask, blocks of keys behind the last query of
// a block are not computed at all.
#pragma once

#include <cmath>
#include <initializer_list>

#include "tensor/cpu/gemm_micro.h"
#include "tensor/cpu/pack_pairs.h"
#include "tensor/cpu/scratch.h"
#include "tensor/kernels.h"
#include "tensor/parallel.h"
#include "tensor/ragged.h"
#include "tensor/scalar_math.h"

namespace diptych::cpu {

inline constexpr int64_t kQueryTile = 8 * kTileRows;
inline constexpr int64_t kKeyTile = 256;

/// Rows of a left factor, `step` elements apart.
template <class P>
struct LeftRows {
  const P* data;
  int64_t step;
  const P* row(int64_t i) const { return data + i * step; }
};

/// One head of one sequence: where its rows are, and its operands packed for the kernels.
template <class T>
struct Head {
  using A = acc_t<T>;
  using P = factor_t<T>;
  static constexpr bool kPairs = kTerms<P> == 2;

  int64_t tokens, width;      // T, D / H
  int64_t pitch, keys_pitch;  // both padded to whole vectors
  int64_t row;                // distance between rows of y and g; of qkv it is 3 times that
  A scale;
  bool causal;

  /// Elements that hold n terms.
  static int64_t elements(int64_t n) { return (n + kTerms<P> - 1) / kTerms<P>; }

  /// T rows as the left factor of a product over the width: where they are, or converted into room
  /// (T, elements of the width).
  LeftRows<P> left_rows(const T* from, int64_t step, P* room) const {
    const int64_t n = elements(width);
    if constexpr (sizeof(P) == kTerms<P> * sizeof(T))
      if (width % kTerms<P> == 0 && step % kTerms<P> == 0)
        return {reinterpret_cast<const P*>(from), step / kTerms<P>};
    for (int64_t i = 0; i < tokens; ++i) {
      if constexpr (kPairs) {
        pack_panel(from + i * step, 1, width, width, 1, 1, room + i * n);
      } else {
        convert(from + i * step, width, room + i * n);
      }
    }
    return {room, n};
  }

  /// x (elements of T, pitch) = the rows as the right factor of a product over tokens.
  void pack_rows(const T* from, int64_t step, P* x) const {
    pack_panel(from, step, int64_t{1}, tokens, width, pitch, x);
  }

  /// x (elements of the width, keys_pitch) = the transposed rows.
  void pack_transposed(const T* from, int64_t step, P* x) const {
    pack_panel(from, int64_t{1}, step, width, tokens, keys_pitch, x);
  }

  /// Keys that query i may see, counted from key k0.
  int64_t visible(int64_t i, int64_t k0, int64_t keys) const {
    return causal ? std::clamp<int64_t>(i + 1 - k0, 0, keys) : keys;
  }
};

/// Elements of what is kept of a head while it is worked on: its rows, its transposed rows, a tile
/// of scores. A factor takes as much memory as a sum.
struct HeadSizes {
  template <class T>
  HeadSizes(const Head<T>& head, int64_t tile_pitch)
      : rows((head.tokens + 1) * head.pitch),
        transposed(head.elements(head.width) * head.keys_pitch),
        tile(kQueryTile * tile_pitch) {}

  int64_t rows, transposed, tile;
};

/// A tile of queries × keys. Blocks of kTileRows queries compute `limit` keys and leave the rest.
struct Tile {
  int64_t q0, queries, k0, keys, pitch;
};

/// scores (queries, keys) = a kᵀ for a tile: a (T, width), k transposed.
template <class T, class A, class P>
void score_tile(const Head<T>& head, const Tile& tile, const LeftRows<P>& a, const P* transposed,
                A* scores) {
  for (int64_t i = 0; i < tile.queries; i += kTileRows) {
    const int64_t rows = std::min<int64_t>(kTileRows, tile.queries - i);
    const int64_t limit = head.visible(tile.q0 + i + rows - 1, tile.k0, tile.keys);
    panel_product<P>(rows, padded<A>(limit) / kLanes<A>, head.elements(head.width),
                     a.row(tile.q0 + i), a.step, 1, transposed + tile.k0, head.keys_pitch,
                     {scores + i * tile.pitch, tile.pitch, nullptr, nullptr});
  }
}

/// w (queries, keys) as the left factor of a product over keys, in room where it needs another
/// form.
template <class T, class A, class P>
LeftRows<P> over_keys(const Head<T>&, const Tile& tile, const A* w, P* room) {
  if constexpr (Head<T>::kPairs) {
    const int64_t step = tile.pitch / kTerms<P>;
    for (int64_t i = 0; i < tile.queries; ++i)
      convert(w + i * tile.pitch, padded<A>(tile.keys), reinterpret_cast<T*>(room + i * step));
    return {room, step};
  } else {
    return {w, tile.pitch};
  }
}

/// wᵀ as the left factor of a product over queries: columns of w, `step` apart.
template <class T, class A, class P>
const P* over_queries(const Head<T>&, const Tile& tile, const A* w, P* room) {
  if constexpr (Head<T>::kPairs) {
    T even[kKeyTile], odd[kKeyTile];
    const int64_t n = padded<A>(tile.keys);
    for (int64_t i = 0; i < tile.queries; i += 2) {
      convert(w + i * tile.pitch, n, even);
      if (i + 1 < tile.queries) {
        convert(w + (i + 1) * tile.pitch, n, odd);
      } else {
        std::fill(odd, odd + n, T{});
      }
      detail::zip_rows(even, odd, n, room + i / 2 * tile.pitch);
    }
    return room;
  } else {
    return w;
  }
}

/// y (T, pitch) += w x over the keys of a tile: w over_keys, x pack_rows.
template <class T, class A, class P>
void add_over_keys(const Head<T>& head, const Tile& tile, const LeftRows<P>& w, const P* x, A* y) {
  for (int64_t i = 0; i < tile.queries; i += kTileRows) {
    const int64_t rows = std::min<int64_t>(kTileRows, tile.queries - i);
    const int64_t limit = head.visible(tile.q0 + i + rows - 1, tile.k0, tile.keys);
    A* out = y + (tile.q0 + i) * head.pitch;
    panel_product<P>(rows, head.pitch / kLanes<A>, head.elements(limit), w.row(i), w.step, 1,
                     x + head.elements(tile.k0) * head.pitch, head.pitch,
                     {out, head.pitch, nullptr, out});
  }
}

/// y (T, pitch) += wᵀ x over the queries of a tile: w over_queries, x pack_rows.
template <class T, class A, class P>
void add_over_queries(const Head<T>& head, const Tile& tile, const P* w, const P* x, A* y) {
  for (int64_t j = 0; j < tile.keys; j += kTileRows) {
    const int64_t rows = std::min<int64_t>(kTileRows, tile.keys - j);
    // The first query that sees key j; the blocks above it were not computed.
    const int64_t skip =
        head.causal ? std::clamp<int64_t>(tile.k0 + j - tile.q0, 0, tile.queries) : 0;
    const int64_t first = skip / kTileRows * kTileRows;
    A* out = y + (tile.k0 + j) * head.pitch;
    panel_product<P>(rows, head.pitch / kLanes<A>, head.elements(tile.queries - first),
                     w + head.elements(first) * tile.pitch + j, 1, tile.pitch,
                     x + head.elements(tile.q0 + first) * head.pitch, head.pitch,
                     {out, head.pitch, nullptr, out});
  }
}

/// A packed input: one row per token.
template <class T>
struct PackedRows {
  const T* data;
  int64_t width;

  /// Asks for a slice of rows [first, last). Heads read short pieces of distant rows, which no
  /// hardware prefetcher follows: so the next sequence is fetched along with the work on this one,
  /// unless it is too long to stay in the second-level cache.
  void prefetch(int64_t first, int64_t last, int64_t slice, int64_t slices) const {
    constexpr int64_t kLine = 64 / sizeof(T), kMost = (256 << 10) / sizeof(T);
    const int64_t n = (last - first) * width;
    if (n > kMost) return;
    const T *p = data + first * width + n * slice / slices, *end = p + n / slices;
    for (; p < end; p += kLine) __builtin_prefetch(p);
  }
};

/// Calls f(head, first token of its sequence, number of the head) for every head of every
/// sequence, in parallel.
template <class T, class F>
void for_each_head(std::initializer_list<PackedRows<T>> inputs, const Ragged& layout, int64_t heads,
                   int64_t row, bool causal, const F& f) {
  using A = acc_t<T>;
  const int64_t sequences = layout.count(), width = row / heads;
  const A scale = A(1) / std::sqrt(static_cast<A>(width));
  const int64_t* first = layout.ends().data();
  parallel_for(sequences * heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t item = begin; item < end; ++item) {
      const int64_t s = item / heads, h = item % heads, tokens = first[s + 1] - first[s];
      if (s + 1 < sequences)
        for (const auto& rows : inputs) rows.prefetch(first[s + 1], first[s + 2], h, heads);
      if (tokens > 0)
        f(Head<T>{tokens, width, padded<A>(width), padded<A>(tokens), row, scale, causal}, first[s],
          h);
    }
  });
}

}  // namespace diptych::cpu
