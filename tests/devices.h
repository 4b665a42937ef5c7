// tests/devices.h — where tests of kernels and operators run.
//
//   DIPTYCH_DEVICES=cuda          only there (default: wherever this build and machine can)
//   DIPTYCH_REQUIRE=cuda          fail instead of passing over it
//   DIPTYCH_DTYPES=f32,f64        rows of the op table in these types only
//   DIPTYCH_MOST_ELEMENTS=4096    rows of at most so many elements only, for slow checkers
//   DIPTYCH_UNCACHED=cuda         (read by main.cpp) no tensor there gets memory of another, for
//                                 checkers that know a block by its allocation
#pragma once

#include <cstdlib>
#include <string>
#include <vector>

#include "tensor/device.h"

namespace diptych::test {

/// Whether a list, separated by commas, in the environment names `word`; `otherwise` if there is no
/// such list.
inline bool asked_for(const char* variable, const std::string& word, bool otherwise) {
  const char* list = std::getenv(variable);
  return list ? ("," + std::string(list) + ",").find("," + word + ",") != std::string::npos
              : otherwise;
}

/// Every device that this build and this machine have, of those asked for.
inline std::vector<Device> devices() {
  std::vector<Device> there;
  for (const Device device : {Device::cpu, Device::cuda}) {
    check(available(device) || !asked_for("DIPTYCH_REQUIRE", name(device), false),
          "DIPTYCH_REQUIRE: no ", name(device), " device: ", cuda::why_not());
    if (available(device) && asked_for("DIPTYCH_DEVICES", name(device), true))
      there.push_back(device);
  }
  return there;
}

inline int64_t most_elements() {
  const char* most = std::getenv("DIPTYCH_MOST_ELEMENTS");
  return most ? std::atoll(most) : INT64_MAX;
}

/// The elements in row-major order, as bytes, wherever they are.
inline std::string bytes_of(const Tensor& x) {
  const Tensor packed = x.to(Device::cpu).contiguous();
  const auto bytes = static_cast<size_t>(x.numel() * size_of(x.dtype()));
  return bytes == 0 ? "" : std::string(static_cast<const char*>(packed.raw()), bytes);
}

inline bool same_bits(const Tensor& a, const Tensor& b) {
  if (!a.defined() || !b.defined()) return a.defined() == b.defined();
  return a.dtype() == b.dtype() && a.shape() == b.shape() && bytes_of(a) == bytes_of(b);
}

}  // namespace diptych::test
