// cuda/optim_narrow.cu — AdamW with f16 moments and 16-bit parameters.
//
//   scale = 1e-8 + max |m| / 65504,  stored: m / scale in f16; the same for v
//
// f16 moments of a group share a scale that depends on the largest of them, which is not known
// before all are computed. So they are computed twice: one launch finds the largest of each group,
// the next one stores the moments by the new scales, and a third one stores the scales, of which
// the second still reads the old ones. To compute them again, 8 bytes a parameter are read again;
// to keep them in f32 between would cost 16, and the memory.
//
// Floats that are not negative are ordered like their bits: the largest is found by atomicMax of
// integers, whose result no order changes.
#include <algorithm>
#include <bit>

#include "cuda/batch.cuh"
#include "cuda/optim.cuh"
#include "tensor/adamw.h"

namespace diptych::cuda {
namespace {

constexpr int S = 4;  // elements that a thread takes at once: 16 bytes of f32, 8 of 16 bits

/// The largest |m| and v of a group, or their scales.
struct Pair {
  float m, v;
};

/// A slot, cut into pieces: elements of one group, kPiece or what is left of them. A warp takes a
/// piece, for the rows of embedding tables are short.
struct Pieces {
  static constexpr int64_t kPiece = 1024, kChunk = kBlock / kWarp;

  Pieces() = default;
  Pieces(const AdamWSlot& s, int64_t groups, Pair* most, Seed seed)
      : g(s.g.data<float>()),
        m(s.m.raw()),
        v(s.v.raw()),
        p(s.p.raw()),
        m_scale(data_or_null<float>(s.m_scale)),
        v_scale(data_or_null<float>(s.v_scale)),
        copy(s.copy),
        largest(most),
        random(seed),
        low(static_cast<float>(s.low)),
        high(static_cast<float>(s.high)),
        rate(static_cast<float>(s.rate)),
        decays(s.decays),
        size(groups == 0 ? 0 : s.p.numel() / groups),
        of_group(ceil_div(size, kPiece)),
        n(groups * of_group) {
    const auto bytes = [](const void* x) { return static_cast<const char*>(x); };
    packed = (groups == 1 || size % S == 0) && copy.packed() &&
             is_packed(bytes(g), bytes(m), bytes(v), bytes(p));
  }

  const float* g;
  void *m, *v, *p;
  float *m_scale, *v_scale;  ///< null for f32 moments, like
  Copy copy;
  Pair* largest;
  Seed random;
  float low, high, rate;
  bool decays, packed;
  int64_t size, of_group;  ///< elements and pieces of a group
  int64_t n;               ///< pieces
};

/// What all of them are told.
struct Step {
  __device__ bool exists() const { return std::isfinite(*squares); }
  __device__ float scale() const {
    return static_cast<float>(step.gradient_scale(std::sqrt(*squares)));
  }

  AdamWStep step;
  AdamWConstants<float> constants;
  const double* squares;
};

/// The piece of a warp: elements begin … end of a slot, of one group; or none.
struct Work {
  __device__ Work(const Pieces& of, int64_t piece, bool exists, const Step& step)
      : slot(of),
        update(step.constants, step.scale(), of),
        group(exists ? piece / of.of_group : 0),
        begin(exists ? group * of.size + piece % of.of_group * Pieces::kPiece : 0),
        end(exists ? (group + 1) * of.size : 0) {
    if (end > begin + Pieces::kPiece) end = begin + Pieces::kPiece;
  }

  __device__ bool leads() const { return begin < end && lane() == 0; }
  __device__ Pair scales_before() const {
    return slot.largest ? Pair{slot.m_scale[group], slot.v_scale[group]} : Pair{1, 1};
  }
  __device__ Pair scales_after() const {
    if (!slot.largest) return {1, 1};
    return {moment_scale(slot.largest[group].m), moment_scale(slot.largest[group].v)};
  }

  /// Calls f(i, how many elements there are from i on) for each pack of this thread.
  template <class F>
  __device__ void each_pack(F f) const {
    for (int64_t i = begin + lane() * S; i < end; i += kWarp * S) f(i, end - i);
  }

  const Pieces& slot;
  const AdamWUpdate<float> update;
  const int64_t group, begin;
  int64_t end;
};

__device__ Work work_of(const Batch<Pieces>& batch, const Step& step) {
  const auto [number, first, last] = batch.find(blockIdx.x);
  const int64_t piece = first + warp();
  return {batch.item[number], piece, piece < last, step};
}

template <class T>
__device__ Pack<float, S> read(const void* x, int64_t i, int64_t left, bool packed, float factor) {
  return map<float>([factor](T value) { return widen(value) * factor; },
                    load<S>(static_cast<const T*>(x) + i, left, packed));
}

template <class T>
__device__ void write(const Pack<float, S>& values, int64_t i, int64_t left, bool packed, void* x) {
  store(map<T>([](float value) { return narrow<T>(value); }, values), left, packed,
        static_cast<T*>(x) + i);
}

/// A thread's moments, of type M in memory: those of before, until the step changes them.
template <class M>
struct Moments {
  __device__ Moments(const Work& work, Pair scale, int64_t i, int64_t left)
      : m(read<M>(work.slot.m, i, left, work.slot.packed, scale.m)),
        v(read<M>(work.slot.v, i, left, work.slot.packed, scale.v)) {}

  /// Stores them by that scale. Returns how many of v vanish.
  __device__ int write_to(const Work& work, Pair scale, int64_t i, int64_t left) {
    int vanished = 0;
    DIPTYCH_UNROLL
    for (int j = 0; j < S; ++j) {
      m.at[j] /= scale.m;
      v.at[j] /= scale.v;
      vanished += v.at[j] > 0 && widen(narrow<M>(v.at[j])) == 0;
    }
    write<M>(m, i, left, work.slot.packed, work.slot.m);
    write<M>(v, i, left, work.slot.packed, work.slot.v);
    return vanished;
  }

  Pack<float, S> m, v;
};

__device__ void raise(float x, float* most) {
  atomicMax(reinterpret_cast<uint32_t*>(most), std::bit_cast<uint32_t>(x));
}

/// slot.largest, which is 0 before, for all groups; passes over NaN.
__global__ void find_largest(const __grid_constant__ Batch<Pieces> batch, Step step) {
  if (!step.exists()) return;
  const Work work = work_of(batch, step);
  const Pair scale = work.scales_before();
  Pair most{0, 0};
  work.each_pack([&](int64_t i, int64_t left) {
    const Pack<float> g = load<S>(work.slot.g + i, left, work.slot.packed);
    Moments<f16> next(work, scale, i, left);
    DIPTYCH_UNROLL
    for (int j = 0; j < S; ++j) {
      work.update.moments(g.at[j], next.m.at[j], next.v.at[j]);
      const float m = std::fabs(next.m.at[j]), v = next.v.at[j];
      most = {m > most.m ? m : most.m, v > most.v ? v : most.v};
    }
  });
  most = {warp_fold(most.m, Max{}), warp_fold(most.v, Max{})};
  if (work.leads()) raise(most.m, &work.slot.largest[work.group].m);
  if (work.leads()) raise(most.v, &work.slot.largest[work.group].v);
}

template <class P>
__device__ void store_parameter(const Work& work, const AdamWStep& step, const Pack<float>& p,
                                int64_t i, int64_t left) {
  const bool packed = work.slot.packed;
  if constexpr (sizeof(P) == 2) {
    if (step.stochastic)
      return store(round_by_chance<P>(p, work.slot.random, i), left, packed,
                   static_cast<P*>(work.slot.p) + i);
  }
  write<P>(p, i, left, packed, work.slot.p);
  work.slot.copy.write(p, i, left, packed);
}

/// The step of slots with parameters of type P and moments of type M; `vanished` grows.
template <class P, class M>
__global__ void step_pieces(const __grid_constant__ Batch<Pieces> batch, Step step,
                            unsigned long long* vanished) {
  if (!step.exists()) return;
  const Work work = work_of(batch, step);
  const Pair before = work.scales_before(), after = work.scales_after();
  int count = 0;
  work.each_pack([&](int64_t i, int64_t left) {
    const Pack<float> g = load<S>(work.slot.g + i, left, work.slot.packed);
    Moments<M> next(work, before, i, left);
    Pack<float> p = read<P>(work.slot.p, i, left, work.slot.packed, 1);
    DIPTYCH_UNROLL
    for (int j = 0; j < S; ++j) work.update(g.at[j], next.m.at[j], next.v.at[j], p.at[j]);
    store_parameter<P>(work, step.step, p, i, left);
    count += next.write_to(work, after, i, left);
  });
  count = warp_fold(count, Sum{});
  if (count > 0 && work.leads()) atomicAdd(vanished, static_cast<unsigned long long>(count));
}

/// The scales of all groups, and what has vanished so far, unless nobody wants that.
__global__ void store_scales(const __grid_constant__ Batch<Pieces> batch, Step step,
                             const unsigned long long* count, double* vanished) {
  if (!step.exists()) return;
  const Work work = work_of(batch, step);
  if (work.leads() && work.begin == work.group * work.slot.size) {
    const Pair scale = work.scales_after();
    work.slot.m_scale[work.group] = scale.m;
    work.slot.v_scale[work.group] = scale.v;
  }
  if (vanished && thread_number() == 0) *vanished = static_cast<double>(*count);
}

/// Launches kernel(batch, args…) for all `pieces`.
template <class Kernel, class... Args>
void launch_all(Kernel* kernel, const std::vector<Pieces>& pieces, const Args&... args) {
  for_each_batch<Pieces>(pieces, [&](const Batch<Pieces>& batch) {
    launch("adamw_step", kernel, Grid{batch.blocks()}, batch, args...);
  });
}

int64_t scaled_groups(const AdamWSlot& slot) {
  return slot.m_scale.defined() ? slot.m_scale.numel() : 0;
}

/// `largest`: two numbers for every group of f16 moments.
std::vector<Pieces> cut(const AdamWStep& step, const std::vector<AdamWSlot>& slots,
                        const Tensor& largest) {
  std::vector<Pieces> all;
  Pair* next = reinterpret_cast<Pair*>(largest.data<float>());
  for (const AdamWSlot& slot : slots) {
    const bool scaled = slot.m_scale.defined();
    const Seed seed{step.seed, mix(slot.stream, static_cast<uint64_t>(step.t))};
    all.emplace_back(slot, scaled ? scaled_groups(slot) : 1, scaled ? next : nullptr, seed);
    next += scaled_groups(slot);
  }
  return all;
}

std::vector<Pieces> with_scales(const std::vector<Pieces>& all) {
  std::vector<Pieces> scaled;
  std::copy_if(all.begin(), all.end(), std::back_inserter(scaled),
               [](const Pieces& slot) { return slot.m_scale != nullptr; });
  return scaled;
}

/// The step of those slots that have parameters of type P and moments of type M.
template <class P, class M>
void step_kind(const std::vector<AdamWSlot>& slots, const std::vector<Pieces>& pieces,
               const Step& step, unsigned long long* vanished) {
  std::vector<Pieces> alike;
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i].p.dtype() == dtype_of<P>() && slots[i].m.dtype() == dtype_of<M>())
      alike.push_back(pieces[i]);
  launch_all(&step_pieces<P, M>, alike, step, vanished);
}

}  // namespace

void step_narrow(const AdamWStep& step, const Tensor& squares, const std::vector<AdamWSlot>& slots,
                 Tensor& vanished) {
  int64_t groups = 0;
  for (const AdamWSlot& slot : slots) groups += scaled_groups(slot);
  const Tensor largest = zeros({groups, 2}, DType::f32, Device::cuda);
  const Tensor lost = zeros({}, DType::i64, Device::cuda);
  const std::vector<Pieces> all = cut(step, slots, largest);
  const Step told{step, AdamWConstants<float>(step), squares.data<double>()};
  auto* const count = reinterpret_cast<unsigned long long*>(lost.data<int64_t>());

  const std::vector<Pieces> scaled = with_scales(all);
  launch_all(&find_largest, scaled, told);
  step_kind<float, f16>(slots, all, told, count);
  step_kind<f16, f16>(slots, all, told, count);
  step_kind<bf16, f16>(slots, all, told, count);
  step_kind<f16, float>(slots, all, told, count);
  step_kind<bf16, float>(slots, all, told, count);
  launch_all(&store_scales, scaled, told, count, data_or_null<double>(vanished));
}

}  // namespace diptych::cuda
