// autograd/ops/index.cpp — rows by index: embeddings and pooling.
#include "autograd/operands.h"
#include "autograd/ops.h"
#include "tensor/kernels.h"

namespace diptych {

Tensor gather_rows(const Tensor& x, const Tensor& index) {
  return gather_rows(x, index, x.dtype());
}

Tensor gather_rows(const Tensor& x, const Tensor& index, DType dtype) {
  check(x.rank() == 2 && index.rank() == 1 && index.dtype() == DType::i64 &&
            index.device() == x.device(),
        "gather_rows: needs x (V, D) and i64 index (N) beside it, got ", x.shape(), " and ",
        index.dtype(), ' ', index.shape());
  check_float("gather_rows", x);
  check(is_float(dtype), "gather_rows: rows of ", x.dtype(), " cannot become ", dtype);
  check_index("gather_rows: index", index, x.dim(0));
  const Tensor rows = index.contiguous();
  Tensor y = empty({index.dim(0), x.dim(1)}, x.dtype(), x.device());
  kernel::gather_rows(x.device(), x.contiguous(), rows, y);
  return record(
      "gather_rows", y.to(dtype), {x},
      [rows = Saved(rows), V = x.dim(0), to = gradient_dtype(x)](const Tensor& g) -> Grads {
        Tensor dx = empty({V, g.dim(1)}, to, g.device());
        kernel::scatter_add_rows(g.device(), g.to(to), rows.get(), dx);
        return {dx};
      });
}

Tensor scatter_add_rows(const Tensor& x, const Tensor& index, int64_t V) {
  check(x.rank() == 2 && index.shape() == Shape{x.dim(0)} && index.dtype() == DType::i64 &&
            index.device() == x.device(),
        "scatter_add_rows: needs x (N, D) and i64 index (N) beside it, got ", x.shape(), " and ",
        index.dtype(), ' ', index.shape());
  check_float("scatter_add_rows", x);
  check(V >= 0 && is_addressable({V, x.dim(1)}), "scatter_add_rows: no result can have ", V,
        " rows");
  check_index("scatter_add_rows: index", index, V);
  const Tensor rows = index.contiguous();
  Tensor y = empty({V, x.dim(1)}, x.dtype(), x.device());
  kernel::scatter_add_rows(x.device(), x.contiguous(), rows, y);
  return record("scatter_add_rows", y, {x}, [rows = Saved(rows)](const Tensor& g) -> Grads {
    return {gather_rows(g, rows.get())};
  });
}

}  // namespace diptych
