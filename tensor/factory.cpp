// tensor/factory.cpp — making tensors.
#include "tensor/factory.h"

#include <cstring>

#include "tensor/kernels.h"

namespace diptych {
namespace {

Tensor room_for_numbers(const char* op, Shape shape, DType dtype, Device device) {
  check(is_float(dtype), op, ": needs a floating-point dtype, got ", dtype);
  return empty(shape, dtype, device);
}

}  // namespace

Tensor empty(Shape shape, DType dtype, Device device) {
  check(is_addressable(shape), "empty: impossible shape ", shape);
  auto storage = std::make_shared<Storage>(shape.numel() * size_of(dtype), device);
  return Tensor(std::move(storage), dtype, shape, contiguous_strides(shape), 0);
}

Tensor empty_like(const Tensor& x) { return empty(x.shape(), x.dtype(), x.device()); }

Tensor full(Shape shape, double value, DType dtype, Device device) {
  Tensor y = empty(shape, dtype, device);
  kernel::fill(device, value, y);
  return y;
}

Tensor zeros(Shape shape, DType dtype, Device device) { return full(shape, 0, dtype, device); }
Tensor zeros_like(const Tensor& x) { return zeros(x.shape(), x.dtype(), x.device()); }

Tensor arange(int64_t n, DType dtype, Device device) {
  check(is_addressable({n}), "arange: needs a count of elements, got ", n);
  check(dtype != DType::u8 || n <= 256, "arange: u8 ends at 255, below ", n, " - 1");
  Tensor y = empty({n}, dtype, device);
  kernel::arange(device, y);
  return y;
}

template <class T>
Tensor from_vector(const std::vector<T>& values, Shape shape) {
  const auto count = static_cast<int64_t>(values.size());
  check(is_addressable(shape) && count == shape.numel(), "from_vector: ", count,
        " values for shape ", shape);
  Tensor y = empty(shape, dtype_of<T>());
  if (count) std::memcpy(y.raw(), values.data(), values.size() * sizeof(T));
  return y;
}
template Tensor from_vector(const std::vector<float>&, Shape);
template Tensor from_vector(const std::vector<double>&, Shape);
template Tensor from_vector(const std::vector<int64_t>&, Shape);
template Tensor from_vector(const std::vector<uint8_t>&, Shape);

Tensor randn(Shape shape, Seed seed, DType dtype, Device device) {
  Tensor y = room_for_numbers("randn", shape, dtype, device);
  kernel::normal(device, seed, y);
  return y;
}

Tensor uniform(Shape shape, double low, double high, Seed seed, DType dtype, Device device) {
  Tensor y = room_for_numbers("uniform", shape, dtype, device);
  kernel::uniform(device, seed, low, high, y);
  return y;
}

}  // namespace diptych
