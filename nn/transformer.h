// nn/transformer.h — attention, MLP, the residual block and the stack, over packed sequences.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "nn/dropping.h"
#include "nn/layers.h"

namespace diptych::nn {

enum class Activation : uint8_t { quick_gelu, gelu, gelu_tanh };

const char* name(Activation);
/// Throws Error, listing the known names, for any other.
Activation activation_from(const std::string& name);

/// The stack of blocks of a tower.
struct TowerConfig {
  int64_t width = 512;  ///< D
  int64_t layers = 12;
  int64_t heads = 8;
  int64_t mlp_width = 0;  ///< inside the MLP; 0 means 4 D
  Activation activation = Activation::quick_gelu;
  double eps = 1e-5;  ///< of the layer norms, those around the blocks included

  int64_t inside() const { return mlp_width > 0 ? mlp_width : 4 * width; }
};

/// And what the kind of tower makes of it.
struct TransformerConfig : TowerConfig {
  bool causal = false;  ///< a position sees itself and what came before it
  /// OpenAI draws the text tower by width and depth and leaves the vision tower at PyTorch's
  /// defaults (openai/CLIP clip/model.py, initialize_parameters).
  bool scaled_init = false;
};

/// Which row of each sequence a tower reads.
enum class Pooling : uint8_t { first, last };

/// Multi-head self-attention. Parameters as in torch.nn.MultiheadAttention.
struct MultiHeadAttention : Module {
  explicit MultiHeadAttention(const TransformerConfig&);
  /// x + attention of norm(x).  x (ΣT, D) → (ΣT, D)
  Tensor operator()(const LayerNorm& norm, const Tensor& x, const Ragged& layout,
                    const Drop& = {}) const;
  /// The rows of that at `rows` i64 (B), see Transformer::pooled → (B, D)
  Tensor pooled(const LayerNorm& norm, const Tensor& x, const Ragged& layout, const Tensor& rows,
                const Drop& = {}) const;

  int64_t heads;
  bool causal;
  Tensor in_proj_weight;  // (3 D, D): q, k, v
  Tensor in_proj_bias;    // (3 D)
  Linear& out_proj;
};

/// x + c_proj(activation(c_fc(norm(x)))), wider inside.  x (…, D) → (…, D)
struct Mlp : Module {
  explicit Mlp(const TransformerConfig&);
  Tensor operator()(const LayerNorm& norm, const Tensor& x, const Drop& = {}) const;

  Activation activation;
  Linear &c_fc, &c_proj;
};

/// Pre-norm residual block:  x ← x + attn(ln_1(x));  x ← x + mlp(ln_2(x))
struct ResidualAttentionBlock : Module {
  explicit ResidualAttentionBlock(const TransformerConfig&);
  /// Attention and MLP leave out elements with the seeds at places `first` and behind it.
  Tensor operator()(const Tensor& x, const Ragged& layout, const Dropping& = {},
                    int64_t first = 0) const;
  /// The rows of that at `rows` i64 (B), see Transformer::pooled → (B, D)
  Tensor pooled(const Tensor& x, const Ragged& layout, const Tensor& rows, const Dropping& = {},
                int64_t first = 0) const;

  LayerNorm& ln_1;
  MultiHeadAttention& attn;
  LayerNorm& ln_2;
  Mlp& mlp;
};

/// A stack of blocks. What it gets may be a part of a batch, behind what `before` says.
class Transformer : public Module {
 public:
  explicit Transformer(const TransformerConfig&);
  /// x (ΣT, D) → (ΣT, D)
  Tensor operator()(const Tensor& x, const Ragged& layout, const Place& before = {}) const;
  /// One row of each sequence of that: all that a tower reads. The last block computes nothing else
  /// but the keys and values of the other rows. Throws Error if a sequence is empty, or if the row
  /// does not see the whole of it: under a causal mask it must be the last. → (B, D)
  Tensor pooled(const Tensor& x, const Ragged& layout, Pooling, const Place& before = {}) const;

  int64_t size() const { return static_cast<int64_t>(blocks_.size()); }
  /// The last `count` blocks, if it is above 0.
  void unlock_last(int64_t count);
  /// Whether a block is in training and not locked; of none, whether the stack is.
  bool learns() const { return blocks_.empty() ? training() : blocks_.back()->training(); }

  Dropping dropping;  ///< in blocks that are in training and not locked
  bool checkpointing =
      false;  ///< recompute each block during backward instead of keeping its insides

 private:
  /// f(x), recomputed during backward if checkpointing.
  Tensor run(const std::function<Tensor(const Tensor&)>& f, const Tensor& x) const;
  /// x through the first `count` blocks.
  Tensor through(size_t count, const Tensor& x, const Ragged& layout, const Place& before) const;
  Dropping dropping_in(const ResidualAttentionBlock& block, const Place& before) const {
    return block.training() ? dropping.behind(before) : Dropping{};
  }

  std::vector<ResidualAttentionBlock*> blocks_;
};

}  // namespace diptych::nn
