// nn/registry.h — what can be chosen by name.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "tensor/types.h"

namespace diptych::nn {

/// Choices by name, in the order in which they are listed.
template <class T, size_t N>
using Registry = std::pair<const char*, T>[N];

template <class T, size_t N>
std::vector<std::string> names_in(const Registry<T, N>& registry) {
  std::vector<std::string> names;
  for (const auto& [name, unused] : registry) names.emplace_back(name);
  return names;
}

/// The choice of that name. Throws Error, starting with `what`, that lists the names if there is
/// none.
template <class T, size_t N>
const T& chosen_from(const Registry<T, N>& registry, const char* what, const std::string& name) {
  for (const auto& [known, choice] : registry)
    if (name == known) return choice;
  std::string all;
  for (const std::string& known : names_in(registry)) all += (all.empty() ? "" : ", ") + known;
  fail(what, ": '", name, "' is unknown; it must be one of ", all);
}

}  // namespace diptych::nn
