// autograd/ops/attention.cpp — fused attention over packed sequences; scores are never stored.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {
namespace {

// `rows`: what the offsets cut into sequences.
void check_offsets(const char* op, const Tensor& offsets, const Tensor& rows) {
  check(offsets.dtype() == DType::i64 && offsets.rank() == 1 && offsets.dim(0) >= 1 &&
            offsets.device() == rows.device(),
        op, ": offsets must be i64 (B+1) beside its input, got ", offsets.dtype(), ' ',
        offsets.shape());
  if (offsets.device() != Device::cpu) return;
  const auto ends = offsets.to_vector<int64_t>();
  check(ends.front() == 0 && ends.back() == rows.dim(0) && std::is_sorted(ends.begin(), ends.end()),
        op, ": offsets must rise from 0 to the number of rows, ", rows.dim(0));
}

}  // namespace

Tensor attention(const Tensor& qkv, const Tensor& offsets, int64_t heads, bool causal) {
  const int64_t width = qkv.rank() == 2 ? qkv.dim(1) / 3 : 0;
  check(width > 0 && qkv.dim(1) == 3 * width && heads > 0 && width % heads == 0,
        "attention: needs qkv (ΣT, 3 D) with D a multiple of ", heads, " heads, got ", qkv.shape());
  check_offsets("attention", offsets, qkv);
  const Tensor in = as_rows("attention", qkv), ends = offsets.contiguous();
  Tensor y = empty({in.dim(0), width}, in.dtype(), in.device());
  Tensor lse = empty({heads, in.dim(0)}, statistics_dtype(in), in.device());
  kernel::attention(in.device(), in, ends, heads, causal, y, lse);

  return record("attention", y, {qkv},
                [heads, causal, in = Saved(in), ends = Saved(ends), y = Saved(y),
                 lse = Saved(lse)](const Tensor& g) -> Grads {
                  Tensor dqkv = empty_like(in.get());
                  kernel::attention_grad(g.device(), in.get(), ends.get(), heads, causal, y.get(),
                                         lse.get(), g, dqkv);
                  return {dqkv};
                });
}

Tensor attention_pool(const Tensor& q, const Tensor& kv, const Tensor& offsets, int64_t heads) {
  const int64_t B = q.rank() == 2 ? q.dim(0) : 0, D = q.rank() == 2 ? q.dim(1) : 0;
  check(D > 0 && kv.rank() == 2 && kv.dim(1) == 2 * D && kv.dtype() == q.dtype() &&
            kv.device() == q.device() && heads > 0 && D % heads == 0,
        "attention_pool: needs q (B, D) and kv (ΣT, 2 D) of its dtype beside it, D a multiple of ",
        heads, " heads, got ", q.dtype(), ' ', q.shape(), " and ", kv.dtype(), ' ', kv.shape());
  check_offsets("attention_pool", offsets, kv);
  check(offsets.dim(0) == B + 1, "attention_pool: ", B, " queries need ", B + 1, " offsets, got ",
        offsets.dim(0));
  const Tensor queries = as_rows("attention_pool", q), keys = as_rows("attention_pool", kv);
  const Tensor ends = offsets.contiguous();
  Tensor y = empty({B, D}, q.dtype(), q.device());
  Tensor lse = empty({B, heads}, statistics_dtype(q), q.device());
  kernel::attention_pool(q.device(), queries, keys, ends, heads, y, lse);

  return record("attention_pool", y, {q, kv},
                [heads, q = Saved(queries), kv = Saved(keys), ends = Saved(ends), y = Saved(y),
                 lse = Saved(lse)](const Tensor& g) -> Grads {
                  Tensor dq = empty_like(q.get()), dkv = empty_like(kv.get());
                  kernel::attention_pool_grad(g.device(), q.get(), kv.get(), ends.get(), heads,
                                              y.get(), lse.get(), g, dq, dkv);
                  return {dq, dkv};
                });
}

}  // namespace diptych
