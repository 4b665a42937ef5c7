// data/picture_set.cpp — reading pictures into one tensor.
#include "data/picture_set.h"

#include "tensor/factory.h"

namespace diptych {

PictureSet load_pictures(const char* op, const std::vector<std::string>& paths,
                         const Preprocess& settings, double max_bad_fraction) {
  Accounting a{static_cast<int64_t>(paths.size()), 0, {}};
  const Tensor pixels = empty({a.listed, settings.channels, settings.size, settings.size});
  for (const std::string& path : paths) {
    try {
      pixels.select(0, a.used).copy_(preprocess(load_picture(path), settings));
      ++a.used;
    } catch (const Error& error) {
      a.left_out.push_back({path, error.what()});
    }
  }
  check_accounting(op, a, max_bad_fraction);
  return {pixels.slice(0, 0, a.used), a};
}

}  // namespace diptych
