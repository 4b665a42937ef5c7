// examples/01_tensor.cpp — arrays, views and what they share.
#include <iostream>

#include "tensor/factory.h"

using namespace diptych;

int main() {
  // 0 … 11 as three rows of four. A Tensor is a handle; copying it copies no data.
  const Tensor x = arange(12, DType::f32).view({3, 4});
  std::cout << x << "\n\n";

  // A view is another way of walking over the same memory: only shape and strides are new.
  const Tensor t = x.transpose(0, 1);
  std::cout << "transposed: shape " << t.shape() << ", strides " << t.strides() << '\n';
  Tensor column = x.slice(1, 2, 3);
  std::cout << "a column:   shape " << column.shape() << ", strides " << column.strides() << '\n';
  const Tensor wide = column.expand({3, 5});
  std::cout << "expanded:   shape " << wide.shape() << ", strides " << wide.strides() << "\n\n";

  // Writing through one view shows in all of them, and in the version that autograd watches.
  column.fill_(-1);
  std::cout << x << "\nversion " << x.version() << "\n\n";

  // 16-bit floats are for storage; arithmetic happens in f32.
  std::cout << "pi as bf16: " << full({}, 3.14159265, DType::bf16).item()
            << ", as f16: " << full({}, 3.14159265, DType::f16).item() << '\n';

  // Random numbers are a function of (seed, stream, element): the same on every machine.
  std::cout << randn({2, 3}, {.seed = 1, .stream = 0}) << "\n\n";

  try {
    x.slice(1, 2, 9);
  } catch (const Error& error) {
    std::cout << "errors say what is wrong: " << error.what() << '\n';
  }
}
