// autograd/ops/attention.cpp — fused attention over packed sequences; scores are never stored.
#include "autograd/ops.h"
#include "autograd/rows.h"
#include "tensor/kernels.h"

namespace diptych {
namespace {

void check_offsets(const Tensor& offsets, const Tensor& qkv) {
  const int64_t rows = qkv.dim(0);
  check(offsets.dtype() == DType::i64 && offsets.rank() == 1 && offsets.dim(0) >= 1 &&
            offsets.device() == qkv.device(),
        "attention: offsets must be i64 (B+1) beside qkv, got ", offsets.dtype(), ' ',
        offsets.shape());
  if (offsets.device() != Device::cpu) return;
  const auto ends = offsets.to_vector<int64_t>();
  check(ends.front() == 0 && ends.back() == rows && std::is_sorted(ends.begin(), ends.end()),
        "attention: offsets must rise from 0 to the number of rows, ", rows);
}

}  // namespace

Tensor attention(const Tensor& qkv, const Tensor& offsets, int64_t heads, bool causal) {
  const int64_t width = qkv.rank() == 2 ? qkv.dim(1) / 3 : 0;
  check(width > 0 && qkv.dim(1) == 3 * width && heads > 0 && width % heads == 0,
        "attention: needs qkv (ΣT, 3 D) with D a multiple of ", heads, " heads, got ", qkv.shape());
  check_offsets(offsets, qkv);
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

}  // namespace diptych
