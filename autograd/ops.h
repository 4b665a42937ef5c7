// autograd/ops.h — every differentiable operator, one documented line each: the public API.
//
// All throw Error on shapes, dtypes or devices that do not fit; operands are never converted
// silently. Axes may be negative (from the back). Letters: B batch, N rows, D width, M K N matrix
// sizes, V vocabulary.
#pragma once

#include <functional>
#include <vector>

#include "autograd/graph.h"
#include "autograd/recompute.h"
#include "tensor/factory.h"
#include "tensor/ragged.h"

namespace diptych {

enum class Unary : uint8_t;  // tensor/scalar_ops.h

// Element-wise, one operand (formulas and derivatives: tensor/scalar_ops.h)
Tensor neg(const Tensor& x);              ///< -x
Tensor exp(const Tensor& x);              ///< eˣ
Tensor log(const Tensor& x);              ///< ln x
Tensor sqrt(const Tensor& x);             ///< √x
Tensor square(const Tensor& x);           ///< x²
Tensor abs(const Tensor& x);              ///< |x|; its derivative at 0 is 0
Tensor sin(const Tensor& x);              ///< sin x, in radians
Tensor cos(const Tensor& x);              ///< cos x
Tensor tanh(const Tensor& x);             ///< tanh x
Tensor sigmoid(const Tensor& x);          ///< 1 / (1 + e⁻ˣ)
Tensor relu(const Tensor& x);             ///< max(x, 0)
Tensor gelu(const Tensor& x);             ///< x Φ(x), exact (erf) form
Tensor gelu_tanh(const Tensor& x);        ///< gelu's approximation by tanh
Tensor quick_gelu(const Tensor& x);       ///< x sigmoid(1.702 x), the original CLIP's
Tensor silu(const Tensor& x);             ///< x sigmoid(x), also called Swish
Tensor unary(Unary op, const Tensor& x);  ///< any of those above
Tensor cast(const Tensor& x, DType);      ///< to a float dtype; the gradient is cast back

// Element-wise, two operands; shapes broadcast as in NumPy
Tensor add(const Tensor& a, const Tensor& b);      ///< a + b
Tensor sub(const Tensor& a, const Tensor& b);      ///< a - b
Tensor mul(const Tensor& a, const Tensor& b);      ///< a b
Tensor div(const Tensor& a, const Tensor& b);      ///< a / b
Tensor maximum(const Tensor& a, const Tensor& b);  ///< the larger; ties send the gradient to a
Tensor minimum(const Tensor& a, const Tensor& b);  ///< the smaller; ties send the gradient to a
Tensor pow(const Tensor& a, const Tensor& b);      ///< aᵇ; NaN for a < 0 unless b is an integer
Tensor pow(const Tensor& a, double b);             ///< b is rounded to a's dtype; so below
inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator-(const Tensor& x) { return neg(x); }
Tensor operator+(const Tensor& a, double b);
Tensor operator*(const Tensor& a, double b);
inline Tensor operator-(const Tensor& a, double b) { return a + -b; }
inline Tensor operator/(const Tensor& a, double b) { return a * (1 / b); }  ///< a times 1 / b
inline Tensor operator+(double a, const Tensor& b) { return b + a; }
Tensor operator-(double a, const Tensor& b);
inline Tensor operator*(double a, const Tensor& b) { return b * a; }
Tensor operator/(double a, const Tensor& b);
/// x = x + y, and so on: the handle x takes the result with its history; nothing is written in
/// place, and other handles keep the old values. Throws Error if x is a tracked leaf, which would
/// no longer be the one that collects the gradient, or if its shape would change.
Tensor& operator+=(Tensor& x, const Tensor& y);
Tensor& operator-=(Tensor& x, const Tensor& y);
Tensor& operator*=(Tensor& x, const Tensor& y);
Tensor& operator/=(Tensor& x, const Tensor& y);
Tensor& operator+=(Tensor& x, double y);
Tensor& operator-=(Tensor& x, double y);
Tensor& operator*=(Tensor& x, double y);
Tensor& operator/=(Tensor& x, double y);
/// x between low and high, which may be infinite; NaN stays NaN. The gradient is 0 outside, 1 from
/// low to high.
Tensor clamp(const Tensor& x, double low, double high);
/// a where mask, u8, is not 0, else b. All three broadcast; what is not chosen may be NaN.
Tensor where(const Tensor& mask, const Tensor& a, const Tensor& b);

// Shape
Tensor reshape(const Tensor& x, Shape);  ///< same elements in row-major order; one extent may be -1
Tensor transpose(const Tensor& x, int a, int b);  ///< a view with two axes exchanged
/// A view whose axis i is axis axes[i] of x; every axis stands in `axes` once.
Tensor permute(const Tensor& x, const std::vector<int>& axes);
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end);  ///< a view of begin … end-1
/// A view of element i along an axis, which goes; -1 is the last. x[i] is select(x, 0, i).
Tensor select(const Tensor& x, int axis, int64_t i);
Tensor expand(const Tensor& x, Shape);  ///< a view with extents of 1 repeated, axes added in front
Tensor cat(const std::vector<Tensor>& xs, int axis);  ///< joined along an existing axis
/// Tensors of one shape joined along a new axis, which comes before axis `axis` of theirs, or last
/// for -1.
Tensor stack(const std::vector<Tensor>& xs, int axis);
/// Views of `size` along an axis, one behind the other, the last perhaps shorter; at least one.
std::vector<Tensor> split(const Tensor& x, int64_t size, int axis);
/// Non-overlapping squares, row-major: x (B, C, H, W) → (B, H/p · W/p, C p p). p must divide H and
/// W. With a product by conv1.weight seen as (D, C p p) this is ViT's patch embedding.
Tensor patches(const Tensor& x, int64_t p);

// Reductions
Tensor sum(const Tensor& x);                               ///< over everything → ()
Tensor sum(const Tensor& x, int axis, bool keep = false);  ///< keep: the axis stays, with extent 1
Tensor mean(const Tensor& x);  ///< over everything → (); not of nothing. 16-bit types sum in f32
Tensor mean(const Tensor& x, int axis, bool keep = false);
/// Σ (x - mean)² / (n - correction): correction 0, NumPy's default, is the variance of these n
/// numbers; 1, PyTorch's, estimates that of what they were drawn from. 16-bit types sum in f32
Tensor var(const Tensor& x, int axis, bool keep = false, int64_t correction = 0);
Tensor max(const Tensor& x, int axis, bool keep = false);  ///< ties share the gradient equally
Tensor arg_max(const Tensor& x, int axis);  ///< i64, the first maximum; not differentiable

// Matrix products
/// (…, M, K) (…, K, N) → (…, M, N); leading axes broadcast. Transposed and sliced operands cost no
/// copy.
Tensor matmul(const Tensor& a, const Tensor& b);
/// y = x wᵀ + b + residual.  x (…, K), w (N, K), b (N) or undefined, residual (…, N) or undefined →
/// (…, N). A residual added here costs no pass over memory of its own.
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& b = {}, const Tensor& residual = {});
/// f(linear(x, w, b)). Without a history, f rides on the store of the product.
Tensor linear_then(Unary f, const Tensor& x, const Tensor& w, const Tensor& b = {});
/// linear(f(x), w, b, residual), keeping x but not f(x), which is computed again for the backward
/// pass: for what is cheaper to compute than to keep, such as norms and activations. f is called
/// twice and must give the same both times, as for `checkpoint`.
Tensor linear_of(const std::function<Tensor(const Tensor&)>& f, const Tensor& x, const Tensor& w,
                 const Tensor& b = {}, const Tensor& residual = {});
/// The same for an f without parameters: f and its derivative are computed in one loop.
Tensor linear_of(Unary f, const Tensor& x, const Tensor& w, const Tensor& b = {},
                 const Tensor& residual = {});

// Rows of the last axis
Tensor softmax(const Tensor& x);      ///< exp(x) / Σ exp(x)
Tensor log_softmax(const Tensor& x);  ///< x - ln Σ exp(x)
/// (x - mean) / √(var + eps) · weight + bias over the last axis, biased variance (Ba et al., 2016).
/// weight, bias (D), of x's dtype or in f32.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5);
/// What batch_norm returns: y, and the moments of x that it used, (D) in f32 or f64, for running
/// statistics. They carry no history.
struct BatchNormed {
  Tensor y, mean, var;
};
/// (x - mean) / √(var + eps) · weight + bias with the mean and biased variance of every column of x
/// (…, D), i.e. over all other axes (Ioffe and Szegedy, 2015); relu: negative results become 0.
/// weight, bias (D), of x's dtype or in f32. Throws Error if a column has a single value.
BatchNormed batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5,
                       bool relu = false);
/// The same by a given mean and variance, (D) in f32, or f64 for f64, which count as constants.
Tensor batch_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& mean,
                  const Tensor& var, double eps = 1e-5, bool relu = false);
/// x / max(‖x‖₂, eps)
Tensor l2_normalize(const Tensor& x, double eps = 1e-12);
/// Mean over rows of -ln softmax(logits)[target].  logits (N, V), target i64 (N) → (), f32 for
/// 16-bit logits.
Tensor cross_entropy(const Tensor& logits, const Tensor& target);

// Losses of all pairs of rows of a and b (N, D), whose logits are x = s a bᵀ, s (). They are
// computed in tiles of `tile` rows and columns, used and forgotten, and once more in the backward
// pass: memory is O(N D + tile²). 16-bit operands are computed with in f32. Row i of a and row j of
// b belong together where label[i] = label[j], i64 (N) on the cpu; where it is undefined, for i =
// j.
constexpr int64_t kLossTile = 1024;
/// Mean over rows of ½ ln Σⱼ e^xᵢⱼ + ½ ln Σⱼ e^xⱼᵢ - the mean of xᵢⱼ over the j that belong to i →
/// (): cross-entropies of rows and columns, halved, against targets that all right ones share.
Tensor contrastive(const Tensor& a, const Tensor& b, const Tensor& s, const Tensor& label = {},
                   int64_t tile = kLossTile);
/// 1/N Σᵢⱼ -ln σ(±(xᵢⱼ + bias)) → (), + where they belong together, else - (Zhai et al., "Sigmoid
/// loss for language image pre-training", 2023); bias ().
Tensor contrastive_sigmoid(const Tensor& a, const Tensor& b, const Tensor& s, const Tensor& bias,
                           const Tensor& label = {}, int64_t tile = kLossTile);

/// y[i] = x[index[i]].  x (V, D), index i64 (N) → (N, D). An embedding table is x.
Tensor gather_rows(const Tensor& x, const Tensor& index);
/// The same in another dtype: of a large table the rows are cast, not the table.
Tensor gather_rows(const Tensor& x, const Tensor& index, DType);
/// y[v] = Σ x[i] over index[i] = v, 0 where there is none.  x (N, D), index i64 (N) → (V, D)
Tensor scatter_add_rows(const Tensor& x, const Tensor& index, int64_t V);

// Pictures, channels last: a pixel is a row, so products and norms of rows work on pictures too
/// y[b, p, q] = Σ_ij w[:, :, i, j] x[b, stride p + i - padding, stride q + j - padding], zeros
/// outside.  x (B, H, W, C), w (O, C, kh, kw) as in PyTorch → (B, H', W', O),
/// H' = ⌊(H + 2 padding - kh) / stride⌋ + 1
Tensor conv2d(const Tensor& x, const Tensor& w, int64_t stride = 1, int64_t padding = 0);
/// Means of k × k squares.  x (B, H, W, C) → (B, H/k, W/k, C); k must divide H and W
Tensor avg_pool(const Tensor& x, int64_t k);
/// Maxima of k × k squares, as above; a NaN counts as the maximum. The gradient goes to the first
/// maximum of a square, row by row.
Tensor max_pool(const Tensor& x, int64_t k);

/// x / (1 - rate) where an element is kept, 0 where it is not, which happens with probability
/// `rate`, 0 ≤ rate < 1 (Srivastava et al., 2014). Which ones is a function of (seed, first +
/// element): whoever computes it again gets the same, and so does who computes a part of x that
/// begins at element `first`.
Tensor dropout(const Tensor& x, double rate, Seed seed, int64_t first = 0);

/// Multi-head self-attention over the packed sequences of `layout` (Vaswani et al., 2017):
///   y = softmax(q kᵀ / √(D/H) + mask) v   for each sequence and head.
/// qkv (ΣT, 3 D) with rows q, k, v; heads divides D; causal: row t sees rows up to t of its
/// sequence. → (ΣT, D)
Tensor attention(const Tensor& qkv, const Ragged& layout, int64_t heads, bool causal);

/// The same with one query per sequence, which sees all of it: q (B, D), kv (ΣT, 2 D) with rows k,
/// v → (B, D). A sequence of no rows gives 0.
Tensor attention_pool(const Tensor& q, const Tensor& kv, const Ragged& layout, int64_t heads);

}  // namespace diptych
