// tensor/cpu/pixels.cpp — pictures as they were read become a model's: one look-up a value.
#include "tensor/cpu/rows.h"
#include "tensor/kernels.h"

namespace diptych::cpu {

void normalize_pixels(const Tensor& x, const Tensor& table, Tensor& y) {
  const int64_t C = x.dim(3), area = x.dim(1) * x.dim(2);
  const uint8_t* px = x.data<uint8_t>();
  visit_float(y.dtype(), [&]<class T>(Type<T>) {
    const T* values = table.data<T>();
    T* py = y.data<T>();
    parallel_for(x.dim(0) * C, row_grain(area), [&](int64_t begin, int64_t end) {
      for (int64_t plane = begin; plane < end; ++plane) {
        const int64_t b = plane / C, c = plane % C;
        const uint8_t* from = px + b * area * C + c;
        for (int64_t i = 0; i < area; ++i) py[plane * area + i] = values[256 * c + from[i * C]];
      }
    });
  });
}

}  // namespace diptych::cpu
