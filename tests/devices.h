// tests/devices.h — where tests of kernels and operators run.
#pragma once

#include <vector>

#include "tensor/device.h"

namespace diptych::test {

/// Every device that this build and this machine have.
inline std::vector<Device> devices() {
  std::vector<Device> there;
  for (const Device device : {Device::cpu, Device::cuda})
    if (available(device)) there.push_back(device);
  return there;
}

}  // namespace diptych::test
