// tensor/kernels.h — the contract between operators and backends: every kernel, one line each.
//
// Rules for all of them. Shapes, dtypes and devices were checked by the caller; kernels check
// nothing, and throw Error only when memory or the device fails. Outputs are allocated by the
// caller and come last. Tensors are contiguous unless the line says "strided". Float tensors of one
// call share a dtype T; arithmetic and sums are in acc_t<T>. An undefined Tensor stands for an
// absent operand or a result nobody wants. Results never depend on the number of threads. Letters:
// N rows, D width, M K N matrix sizes, V vocabulary, H heads; for pictures B batch, H W pixels, C O
// channels in and out, kh kw the kernel's sides.
#pragma once

#include <limits>
#include <optional>
#include <vector>

#include "tensor/factory.h"
#include "tensor/kernel.h"
#include "tensor/ragged.h"

namespace diptych {

// The element-wise operators. Only what names one of them includes tensor/scalar_ops.h, so that an
// edited functor recompiles little.
enum class Unary : uint8_t;
enum class Binary : uint8_t;

enum class Reduce : uint8_t { sum, max };

/// One AdamW step (Loshchilov and Hutter, 2019, algorithm 2), t = 1, 2, …:
///   g ← s g;  m ← β₁ m + (1-β₁) g;  v ← β₂ v + (1-β₂) g²
///   p ← p - lr (weight_decay p + m̂ / (√v̂ + eps)),  m̂ = m / (1-β₁ᵗ),  v̂ = v / (1-β₂ᵗ)
/// where s takes the loss scale out of all gradients and scales them to a norm of at most max_norm:
/// see gradient_scale.
struct AdamWStep {
  double lr, beta1, beta2, eps, weight_decay, max_norm;
  int64_t t;
  double loss_scale = 1;    ///< g is the gradient of loss_scale times the loss
  uint64_t seed = 0;        ///< of stochastic rounding
  bool stochastic = false;  ///< how p of 16 bits is rounded; else to nearest even

  /// s, for g of that norm; without clipping, max_norm = 0, what the loss scale asks for.
  DIPTYCH_HD double gradient_scale(double norm) const {
    const double own = norm / loss_scale;
    const double clip = max_norm > 0 && own > max_norm ? max_norm / (own + 1e-6) : 1.0;
    return clip / loss_scale;
  }
};

/// A parameter p with its gradient g and moments m and v, contiguous and of one shape. Without
/// `decays` its weight decay is 0; what it becomes is brought into [low, high].
///
/// All f64, or: g f32; p f32 or 16 bits, then rounded as the step says with random words of
/// Seed{step.seed, mix(stream, t)}; m and v f32, or both f16 with scales.
struct AdamWSlot {
  Tensor g, m, v, p;
  bool decays;
  double low = -std::numeric_limits<double>::infinity(),
         high = std::numeric_limits<double>::infinity();
  /// f32 (R), R a divisor of the size n: elements r n / R … of f16 moments stand for that many
  /// times m_scale[r]. A step sets scales of 1e-8 + max |m| / 65504 (openai/jukebox
  /// jukebox/utils/fp16.py). Undefined for other moments.
  Tensor m_scale = {}, v_scale = {};
  Tensor copy = {};     ///< 16 bits: becomes p, f32, to nearest; or undefined
  uint64_t stream = 0;  ///< of the parameter's random numbers
  double rate = 1;      ///< its lr is that many times the step's
};

/// What happens to a matrix product on its way out: c = f(a b + bias + add).
struct Epilogue {
  Tensor bias = {};  ///< (N), or undefined
  Tensor add = {};   ///< contiguous, of c's shape, perhaps c itself; or undefined
  std::optional<Unary> f = {};
  /// (M): becomes the sums of the rows of a, which is read anyway; or undefined. Without batch axes
  /// only.
  Tensor row_sums = {};
};

/// ln Σ eˣ over each of n lines of a matrix that comes a tile at a time (Milakov and Gimelshein,
/// 2018): the largest x so far and Σ e^(x - most), (n) each. Before the first tile -∞ and 0; then
///   most ← max(most, max x),  total ← total e^(most before - most) + Σ e^(x - most)
struct LogSums {
  Tensor most, total;
};

/// How a convolution's window moves: `stride` pixels at a time over a picture with `padding` zeros
/// on every side. An axis of n pixels under a kernel of k has (n + 2 padding - k) / stride + 1
/// places.
struct Window {
  static constexpr int64_t kMost = int64_t{1} << 30;  ///< for both: no position overflows then
  int64_t stride = 1, padding = 0;
  bool in_range() const {
    return stride >= 1 && stride <= kMost && padding >= 0 && padding <= kMost;
  }
  int64_t places(int64_t n, int64_t k) const { return (n + 2 * padding - k) / stride + 1; }
};

// Element-wise
/// y = f(x)
DIPTYCH_KERNEL(unary, Unary op, const Tensor& x, Tensor& y)
/// dx = g f'(s); s: x or y, as op needs; undefined if neither
DIPTYCH_KERNEL(unary_grad, Unary op, const Tensor& s, const Tensor& g, Tensor& dx)
/// y = f(x) and g ← g f'(x) in one loop
DIPTYCH_KERNEL(unary_both, Unary op, const Tensor& x, Tensor& y, Tensor& g)
/// y = f(a, b); a, b strided, already of y's shape
DIPTYCH_KERNEL(binary, Binary op, const Tensor& a, const Tensor& b, Tensor& y)
/// d = g ∂f/∂(operand 0: a, 1: b); a, b, g strided
DIPTYCH_KERNEL(binary_grad, Binary op, int operand, const Tensor& a, const Tensor& b,
               const Tensor& g, Tensor& d)
/// y = a where mask, u8, is not 0, else b; all strided, already of y's shape
DIPTYCH_KERNEL(where, const Tensor& mask, const Tensor& a, const Tensor& b, Tensor& y)
/// 0, 1, 2, …; any dtype
DIPTYCH_KERNEL(arange, Tensor& y)
/// any dtype; y strided
DIPTYCH_KERNEL(fill, double value, Tensor& y)
/// both strided, same shape, any dtypes: converts
DIPTYCH_KERNEL(copy, const Tensor& x, Tensor& y)
/// y += alpha x
DIPTYCH_KERNEL(axpy, double alpha, const Tensor& x, Tensor& y)

// Reductions
/// x (outer, N, inner) → y (outer, inner); sum of nothing is 0
DIPTYCH_KERNEL(reduce, Reduce op, const Tensor& x, Tensor& y)
/// x (outer, N, inner) → i64 (outer, inner): first maximum; a NaN counts as the maximum
DIPTYCH_KERNEL(arg_max, const Tensor& x, Tensor& index)
/// Σ x² over all elements of all x, of any shapes → y f64 (), accumulated in f64
DIPTYCH_KERNEL(sum_squares, const std::vector<Tensor>& x, Tensor& y)

// Matrix product: c = f(a b + bias + add).  a (…, M, K), b (…, K, N) strided in every axis, with
// batch axes already expanded to those of c (…, M, N); c contiguous. c may be of
// acc_t<T> while a and b are of T, for sums that are not to be rounded (gradients of weights): add
// and row_sums are of c's dtype, bias is of T. Where the processor multiplies bf16 itself (AVX-512
// BF16) subnormal numbers, as factors and as sums, count as 0 there.
DIPTYCH_KERNEL(matmul, const Tensor& a, const Tensor& b, const Epilogue& end, Tensor& c)

/// Pictures as they were read, x u8 (B, H, W, C), become a model's, y (B, C, H, W):
/// y[b, c, i, j] = table[c, x[b, i, j, c]] with table (C, 256)
DIPTYCH_KERNEL(normalize_pixels, const Tensor& x, const Tensor& table, Tensor& y)

// Rows of the last axis, all tensors (N, D)
DIPTYCH_KERNEL(softmax, const Tensor& x, Tensor& y)
/// dx = y (g - Σ g y)
DIPTYCH_KERNEL(softmax_grad, const Tensor& y, const Tensor& g, Tensor& dx)
DIPTYCH_KERNEL(log_softmax, const Tensor& x, Tensor& y)
/// dx = g - eʸ Σ g
DIPTYCH_KERNEL(log_softmax_grad, const Tensor& y, const Tensor& g, Tensor& dx)
/// weight, bias (D) and mean, rstd (N), all of acc_t: gains are never rounded to 16 bits
DIPTYCH_KERNEL(layer_norm, const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
               Tensor& y, Tensor& mean, Tensor& rstd)
/// any of the three may be undefined; dweight, dbias (D) of acc_t
DIPTYCH_KERNEL(layer_norm_grad, const Tensor& x, const Tensor& weight, const Tensor& mean,
               const Tensor& rstd, const Tensor& g, Tensor& dx, Tensor& dweight, Tensor& dbias)
/// y = x / max(‖x‖, eps); norm (N) of acc_t: the divisor
DIPTYCH_KERNEL(l2_normalize, const Tensor& x, double eps, Tensor& y, Tensor& norm)
/// dx = (g - y Σ g y) / norm, or g / eps where the norm was below eps
DIPTYCH_KERNEL(l2_normalize_grad, const Tensor& y, const Tensor& norm, double eps, const Tensor& g,
               Tensor& dx)
/// loss = lse - logits[target]; target i64 (N); loss, lse (N) of acc_t
DIPTYCH_KERNEL(cross_entropy, const Tensor& logits, const Tensor& target, Tensor& loss, Tensor& lse)
/// Of the mean loss: g / N (softmax(logits) - onehot(target)); g () of acc_t
DIPTYCH_KERNEL(cross_entropy_grad, const Tensor& logits, const Tensor& lse, const Tensor& target,
               const Tensor& g, Tensor& dlogits)

// Losses of all pairs, one tile x (M, N) of the logits at a time, f32 or f64 like all floats here;
// labels i64 (M) and (N): a pair is right if its row and its column have the same
/// The tile joins the sums of its rows and of its columns; right (M) += Σ x over right pairs
DIPTYCH_KERNEL(contrastive, const Tensor& x, const Tensor& row_label, const Tensor& column_label,
               const LogSums& rows, const LogSums& columns, Tensor& right)
/// x ← e^(x - row_lse) + e^(x - column_lse) - 2 weight of the row where a pair is right;
/// weight, row_lse (M), column_lse (N)
DIPTYCH_KERNEL(contrastive_grad, const Tensor& row_lse, const Tensor& column_lse,
               const Tensor& row_label, const Tensor& column_label, const Tensor& weight, Tensor& x)
/// loss (M) += Σ -ln σ(y x) over the row's pairs; y = 1 where a pair is right, else -1
DIPTYCH_KERNEL(contrastive_sigmoid, const Tensor& x, const Tensor& row_label,
               const Tensor& column_label, Tensor& loss)
/// x ← -y σ(-y x)
DIPTYCH_KERNEL(contrastive_sigmoid_grad, const Tensor& row_label, const Tensor& column_label,
               Tensor& x)

// Batch normalisation of the columns of x (N, D); mean and biased variance of a column, weight,
// bias and their gradients (D) of acc_t
DIPTYCH_KERNEL(moments, const Tensor& x, Tensor& mean, Tensor& var)
/// Running statistics of the same type follow those of a batch of N rows, and a batch is counted:
///   running ← (1 - momentum) running + momentum batch,  var made unbiased: var N / (N - 1)
/// count i64 (), on the host like all integers that modules keep
DIPTYCH_KERNEL(track_moments, const Tensor& mean, const Tensor& var, int64_t N, double momentum,
               Tensor& running_mean, Tensor& running_var, Tensor& count)
/// y = (x - mean) / √(var + eps) weight + bias, or the larger of that and 0 if relu
DIPTYCH_KERNEL(batch_norm, const Tensor& x, const Tensor& weight, const Tensor& bias,
               const Tensor& mean, const Tensor& var, double eps, bool relu, Tensor& y)
/// of_batch: mean and var are those of x, so that dx passes through them too; else constants. Any
/// of the three results may be undefined.
DIPTYCH_KERNEL(batch_norm_grad, const Tensor& x, const Tensor& weight, const Tensor& bias,
               const Tensor& mean, const Tensor& var, double eps, const Tensor& g, bool relu,
               bool of_batch, Tensor& dx, Tensor& dweight, Tensor& dbias)

// Pictures with channels last: x (B, H, W, C), w (O, kh, kw, C), y and g (B, H', W', O)
/// y[b, p, q] = Σ_ij w[:, i, j] x[b, s p + i - padding, s q + j - padding]
DIPTYCH_KERNEL(conv2d, const Tensor& x, const Tensor& w, const Window& window, Tensor& y)
DIPTYCH_KERNEL(conv2d_grad_input, const Tensor& g, const Tensor& w, const Window& window,
               Tensor& dx)
DIPTYCH_KERNEL(conv2d_grad_weight, const Tensor& x, const Tensor& g, const Window& window,
               Tensor& dw)
/// Means of k × k squares: x (B, H, W, C) → y (B, H/k, W/k, C); k divides H and W
DIPTYCH_KERNEL(avg_pool, const Tensor& x, int64_t k, Tensor& y)
DIPTYCH_KERNEL(avg_pool_grad, const Tensor& g, int64_t k, Tensor& dx)
/// Maxima of the same squares; a NaN counts as the maximum
DIPTYCH_KERNEL(max_pool, const Tensor& x, int64_t k, Tensor& y)
/// dx = g at the first maximum of each square, else 0
DIPTYCH_KERNEL(max_pool_grad, const Tensor& x, const Tensor& y, const Tensor& g, int64_t k,
               Tensor& dx)

// Rows by index; index i64 (N). Where a device meets one that is out of range, which the caller
// could not see, it takes the row for zeros and the next synchronize() throws (also for the target
// of cross_entropy).
/// y[i] = x[index[i]];  x (V, D), y (N, D)
DIPTYCH_KERNEL(gather_rows, const Tensor& x, const Tensor& index, Tensor& y)
/// dx[v] = Σ g[i] over index[i] = v; overwrites dx
DIPTYCH_KERNEL(scatter_add_rows, const Tensor& g, const Tensor& index, Tensor& dx)

// Attention over the packed sequences of `layout`: rows of qkv (ΣT, 3 D) are q, k, v of H heads of
// D / H.  y = softmax(q kᵀ / √(D/H) + mask) v (ΣT, D); lse (H, ΣT) of acc_t.
DIPTYCH_KERNEL(attention, const Tensor& qkv, const Ragged& layout, int64_t heads, bool causal,
               Tensor& y, Tensor& lse)
DIPTYCH_KERNEL(attention_grad, const Tensor& qkv, const Ragged& layout, int64_t heads, bool causal,
               const Tensor& y, const Tensor& lse, const Tensor& g, Tensor& dqkv)
// The same with one query per sequence: q (B, D), rows of kv (ΣT, 2 D) are k, v; y (B, D), lse (B,
// H) of acc_t. A sequence of nothing gives 0.
DIPTYCH_KERNEL(attention_pool, const Tensor& q, const Tensor& kv, const Ragged& layout,
               int64_t heads, Tensor& y, Tensor& lse)
DIPTYCH_KERNEL(attention_pool_grad, const Tensor& q, const Tensor& kv, const Ragged& layout,
               int64_t heads, const Tensor& y, const Tensor& lse, const Tensor& g, Tensor& dq,
               Tensor& dkv)

// Random numbers: element i takes words 2i, 2i+1 of the Philox sequence (seed, stream)
DIPTYCH_KERNEL(uniform, Seed seed, double low, double high, Tensor& y)
DIPTYCH_KERNEL(normal, Seed seed, Tensor& y)

/// y[i] = x[i] / (1 - rate) if word first + i of the Philox sequence (seed, stream) is_kept, else 0
DIPTYCH_KERNEL(dropout, Seed seed, double rate, int64_t first, const Tensor& x, Tensor& y)

/// y, of 16 bits, is x f32 rounded up or down by chance, so that its mean is x; element i takes
/// word i of the Philox sequence (seed, stream): see round_stochastic in tensor/rounding.h
DIPTYCH_KERNEL(round_stochastic, Seed seed, const Tensor& x, Tensor& y)

// Optimizers, over all parameters at once, updated in place. squares f64 (): the sum of squares of
// all gradients; nothing is touched if it is not finite. vanished f64 (): becomes the number of
// second moments that are 0 in f16 and were not before; or undefined.
DIPTYCH_KERNEL(adamw_step, const AdamWStep& step, const Tensor& squares,
               const std::vector<AdamWSlot>& slots, Tensor& vanished)

}  // namespace diptych
