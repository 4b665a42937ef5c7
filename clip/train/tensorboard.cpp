// clip/train/tensorboard.cpp — the few messages of tensorflow/core/util/event.proto and
// framework/summary.proto that carry scalars, framed as TFRecords (tensorflow/core/lib/io).
#include "clip/train/tensorboard.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tensor/types.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kPrefix = "events.out.tfevents.";
constexpr int64_t kLastStamp = 9'999'999'999;  // names of equal length sort like numbers

template <class T>
std::string little_endian(T value) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(T); ++i) bytes += static_cast<char>(value >> (8 * i));
  return bytes;
}

// Protocol buffers: a field is its number and kind, then the value.
enum class Wire : uint8_t { varint = 0, eight_bytes = 1, text = 2, four_bytes = 5 };

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}

std::string key(int number, Wire wire) {
  return varint(static_cast<uint64_t>(number) << 3 | static_cast<uint64_t>(wire));
}

std::string integer_field(int number, int64_t value) {
  return key(number, Wire::varint) + varint(static_cast<uint64_t>(value));
}

std::string double_field(int number, double value) {
  return key(number, Wire::eight_bytes) + little_endian(std::bit_cast<uint64_t>(value));
}

std::string float_field(int number, float value) {
  return key(number, Wire::four_bytes) + little_endian(std::bit_cast<uint32_t>(value));
}

/// A string, or a message inside another.
std::string text_field(int number, const std::string& text) {
  return key(number, Wire::text) + varint(text.size()) + text;
}

// A file of zeros would have right checksums, so the format stirs them.
std::string checksum(const std::string& bytes) {
  return little_endian(std::rotr(crc32c(bytes), 15) + 0xa282ead8u);
}

std::string framed(const std::string& event) {
  const std::string size = little_endian(static_cast<uint64_t>(event.size()));
  return size + checksum(size) + event + checksum(event);
}

std::string tag_of(const std::string& name) {
  if (name == "logit_scale") return "train/scale";
  if (name == "pairs_per_second") return "train/samples_per_second";
  return "train/" + name;
}

void add_number(std::vector<Scalar>& to, const std::string& tag, const Json& value) {
  if (value.is_number()) to.emplace_back(tag, value.get<double>());
  if (value == "nan" || value == "-nan") to.emplace_back(tag, NAN);
  if (value == "inf") to.emplace_back(tag, INFINITY);
  if (value == "-inf") to.emplace_back(tag, -INFINITY);
}

}  // namespace

uint32_t crc32c(const std::string& bytes) {
  constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli's, bits reversed
  uint32_t rest = ~0u;
  for (const char byte : bytes) {
    rest ^= static_cast<uint8_t>(byte);
    for (int bit = 0; bit < 8; ++bit) rest = rest >> 1 ^ (rest & 1 ? kPolynomial : 0);
  }
  return ~rest;
}

std::string session_start(double wall_time, int64_t first_step) {
  const std::string time = double_field(1, wall_time);
  constexpr int kStart = 1;  // of SessionLog.SessionStatus
  return framed(time + text_field(3, "brain.Event:2")) +
         framed(time + integer_field(2, first_step) + text_field(7, integer_field(1, kStart)));
}

std::string scalars_event(double wall_time, int64_t step, const std::vector<Scalar>& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars)
    summary += text_field(1, text_field(1, tag) + float_field(2, static_cast<float>(value)));
  return framed(double_field(1, wall_time) + integer_field(2, step) + text_field(5, summary));
}

std::vector<Scalar> scalars_of(const std::string& metrics_line) {
  std::vector<Scalar> scalars;
  const Json line = Json::parse(metrics_line);
  for (const auto& [name, value] : line.items()) {
    if (name == "val") {
      for (const auto& [inner, number] : value.items()) add_number(scalars, "val/" + inner, number);
    } else if (name != "step") {
      add_number(scalars, tag_of(name), value);
    }
  }
  return scalars;
}

std::string event_of_line(double wall_time, const std::string& metrics_line) {
  const std::vector<Scalar> scalars = scalars_of(metrics_line);
  const Json line = Json::parse(metrics_line);
  check(line.contains("step"), "tensorboard: a record without a step: ", metrics_line);
  return scalars.empty() ? "" : scalars_event(wall_time, line.at("step"), scalars);
}

std::string new_event_file(const std::string& folder, int64_t now) {
  int64_t stamp = now;
  std::error_code none;  // where nothing can be listed nothing can be written
  for (fs::directory_iterator file(folder, none), end; !none && file != end; file.increment(none)) {
    const std::string name = file->path().filename().string();
    if (!name.starts_with(kPrefix)) continue;
    int64_t other = 0;
    std::from_chars(name.data() + std::string(kPrefix).size(), name.data() + name.size(), other);
    if (other < kLastStamp) stamp = std::max(stamp, other + 1);
  }
  return fmt::format("{}{:010}.diptych", kPrefix, stamp);
}

}  // namespace diptych
