// clip/version.h — which Diptych this is.
#pragma once

namespace diptych {

/// Of the program, its files and its headers; CHANGELOG.md says what changed.
inline constexpr const char* kVersion = "0.1.0";

}  // namespace diptych
