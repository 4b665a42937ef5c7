// clip/train/tensorboard.h — event files that TensorBoard opens.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace diptych {

/// A tag, such as "train/loss", and its value, which TensorBoard keeps as f32.
using Scalar = std::pair<std::string, double>;

/// How a file begins, and how it goes on when a run does: the version of the format, and the start
/// of a session, by which TensorBoard drops what it has of `first_step` and later ones, from
/// earlier files too. `wall_time`: seconds since 1970.
std::string session_start(double wall_time, int64_t first_step);

/// One record with all values of a step.
std::string scalars_event(double wall_time, int64_t step, const std::vector<Scalar>&);

/// What a line of metrics.jsonl holds: numbers, also those written as "nan" or "inf", of a step as
/// "train/…", those of "val" as "val/…"; under open_clip's names where it has them (train/scale,
/// train/samples_per_second). The step itself is no scalar.
std::vector<Scalar> scalars_of(const std::string& metrics_line);

/// The same as a record; empty for a line that holds no number. Throws Error for one without a
/// step.
std::string event_of_line(double wall_time, const std::string& metrics_line);

/// The name of a new file in a folder, sorted behind those there, as TensorBoard reads them.
std::string new_event_file(const std::string& folder, int64_t now);

/// CRC-32C of RFC 3720, the checksum of TFRecord files.
uint32_t crc32c(const std::string& bytes);

}  // namespace diptych
