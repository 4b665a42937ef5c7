// autograd/ops/attention.cpp — fused attention over packed sequences; scores are never stored.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {
namespace {

// `rows`: what the layout cuts into sequences.
void check_layout(const char* op, const Ragged& layout, const Tensor& rows) {
  check(layout.device() == rows.device() && layout.rows() == rows.dim(0), op, ": a layout of ",
        layout.rows(), " rows on ", layout.device(), " does not fit ", rows.shape(), " on ",
        rows.device());
}

}  // namespace

Tensor attention(const Tensor& qkv, const Ragged& layout, int64_t heads, bool causal) {
  const int64_t width = qkv.rank() == 2 ? qkv.dim(1) / 3 : 0;
  check(width > 0 && qkv.dim(1) == 3 * width && heads > 0 && width % heads == 0,
        "attention: needs qkv (ΣT, 3 D) with D a multiple of ", heads, " heads, got ", qkv.shape());
  check_layout("attention", layout, qkv);
  const Tensor in = as_rows("attention", qkv);
  Tensor y = empty({in.dim(0), width}, in.dtype(), in.device());
  Tensor lse = empty({heads, in.dim(0)}, statistics_dtype(in), in.device());
  kernel::attention(in.device(), in, layout, heads, causal, y, lse);

  return record("attention", y, {qkv},
                [heads, causal, in = Saved(in), layout, y = Saved(y),
                 lse = Saved(lse)](const Tensor& g) -> Grads {
                  Tensor dqkv = empty_like(in.get());
                  kernel::attention_grad(g.device(), in.get(), layout, heads, causal, y.get(),
                                         lse.get(), g, dqkv);
                  return {dqkv};
                });
}

Tensor attention_pool(const Tensor& q, const Tensor& kv, const Ragged& layout, int64_t heads) {
  const int64_t B = q.rank() == 2 ? q.dim(0) : 0, D = q.rank() == 2 ? q.dim(1) : 0;
  check(D > 0 && kv.rank() == 2 && kv.dim(1) == 2 * D && kv.dtype() == q.dtype() &&
            kv.device() == q.device() && heads > 0 && D % heads == 0,
        "attention_pool: needs q (B, D) and kv (ΣT, 2 D) of its dtype beside it, D a multiple of ",
        heads, " heads, got ", q.dtype(), ' ', q.shape(), " and ", kv.dtype(), ' ', kv.shape());
  check_layout("attention_pool", layout, kv);
  check(layout.count() == B, "attention_pool: ", B, " queries for ", layout.count(), " sequences");
  const Tensor queries = as_rows("attention_pool", q), keys = as_rows("attention_pool", kv);
  Tensor y = empty({B, D}, q.dtype(), q.device());
  Tensor lse = empty({B, heads}, statistics_dtype(q), q.device());
  kernel::attention_pool(q.device(), queries, keys, layout, heads, y, lse);

  return record("attention_pool", y, {q, kv},
                [heads, q = Saved(queries), kv = Saved(keys), layout, y = Saved(y),
                 lse = Saved(lse)](const Tensor& g) -> Grads {
                  Tensor dq = empty_like(q.get()), dkv = empty_like(kv.get());
                  kernel::attention_pool_grad(g.device(), q.get(), kv.get(), layout, heads, y.get(),
                                              lse.get(), g, dq, dkv);
                  return {dq, dkv};
                });
}

}  // namespace diptych
