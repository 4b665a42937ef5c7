// data/image_decode.cpp — JPEG and PNG through stb_image, within a memory budget.
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "data/image.h"
#include "tensor/file.h"

namespace diptych {
namespace {

// stb_image allocates through these. Each block is preceded by its size, so that the bytes alive on
// this thread can be counted; beyond the budget they return null, which stb reports as a failure.
// Blocks start as zeros: stb_image 2.27 uses tables and planes that a damaged file never filled.
constexpr size_t kHeader = alignof(std::max_align_t);
thread_local size_t live_bytes = 0, byte_budget = 0;

void* budget_malloc(size_t bytes) {
  if (bytes > byte_budget - live_bytes) return nullptr;
  auto* block = static_cast<char*>(std::calloc(bytes + kHeader, 1));
  if (block == nullptr) return nullptr;
  std::memcpy(block, &bytes, sizeof bytes);
  live_bytes += bytes;
  return block + kHeader;
}

void budget_free(void* pointer) {
  if (pointer == nullptr) return;
  char* block = static_cast<char*>(pointer) - kHeader;
  size_t bytes;
  std::memcpy(&bytes, block, sizeof bytes);
  live_bytes -= bytes;
  std::free(block);
}

void* budget_realloc(void* old, size_t old_bytes, size_t bytes) {
  void* block = budget_malloc(bytes);
  if (block == nullptr) return nullptr;
  if (old != nullptr) std::memcpy(block, old, old_bytes < bytes ? old_bytes : bytes);
  budget_free(old);
  return block;
}

}  // namespace
}  // namespace diptych

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_ONLY_JPEG
#define STBI_ONLY_PNG
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_MAX_DIMENSIONS 16384
#define STBI_MALLOC(bytes) diptych::budget_malloc(bytes)
#define STBI_REALLOC_SIZED(old, old_bytes, bytes) diptych::budget_realloc(old, old_bytes, bytes)
#define STBI_FREE(pointer) diptych::budget_free(pointer)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image.h>
#pragma GCC diagnostic pop

namespace diptych {
namespace {

// A decoder may hold the samples several times over: progressive coefficients, 16-bit rows.
size_t budget_for(int64_t pixels, size_t file_bytes) {
  return 24 * static_cast<size_t>(pixels) + 8 * file_bytes + (size_t{1} << 20);
}

struct FreePixels {
  void operator()(stbi_uc* pixels) const { stbi_image_free(pixels); }
};

}  // namespace

Image decode_image(std::string_view bytes, const std::string& name, const ImageLimits& limits) {
  const int64_t announced = check_image_file(bytes, name, limits);
  byte_budget = live_bytes + budget_for(announced, bytes.size());
  int width = 0, height = 0, channels = 0;
  const std::unique_ptr<stbi_uc, FreePixels> pixels(
      stbi_load_from_memory(reinterpret_cast<const stbi_uc*>(bytes.data()),
                            static_cast<int>(bytes.size()), &width, &height, &channels, 3));
  check(pixels != nullptr, "image: '", name, "': cannot be decoded (",
        stbi_failure_reason() != nullptr ? stbi_failure_reason() : "no reason given", ")");
  const size_t count = 3 * static_cast<size_t>(width) * static_cast<size_t>(height);
  return {width, height, std::vector<uint8_t>(pixels.get(), pixels.get() + count)};
}

Image load_image(const std::string& path, const ImageLimits& limits) {
  return decode_image(read_file(path, limits.max_bytes), path, limits);
}

}  // namespace diptych
