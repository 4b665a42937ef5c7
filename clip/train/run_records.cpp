// clip/train/run_records.cpp — records up to a step, and no half lines.
#include "clip/train/run_records.h"

#include <fmt/core.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tensor/io/file.h"
#include "tensor/types.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;

std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  }
  return text;
}

/// Where a link leads, if that is a regular file; empty for devices, pipes and what is not there.
std::string file_at(const std::string& path) {
  std::error_code none;
  return fs::is_regular_file(path, none) ? fs::canonical(path, none).string() : "";
}

/// What a line of metrics.jsonl is about: step 0 of half a line.
struct Kept {
  int64_t step = 0;
  bool validation = false;
};

Kept record_in(const std::string& line) {
  const auto record = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!record.is_object()) return {};
  const auto step = record.find("step");
  if (step == record.end() || !step->is_number_integer()) return {};
  return {step->get<int64_t>(), record.contains("val")};
}

}  // namespace

BadSamples::BadSamples(const std::string& lines) : lines_(lines) {
  std::istringstream in(lines);
  for (std::string line; std::getline(in, line);) {
    int64_t index = -1;
    std::from_chars(line.data(), line.data() + line.size(), index);
    indices_.insert(index);
  }
}

std::string BadSamples::add(const BadSample& bad) {
  if (!indices_.insert(bad.index).second) return {};
  const std::string line =
      fmt::format("{}\t{}\t{}\n", bad.index, one_line(bad.name), one_line(bad.reason));
  lines_ += line;
  return line;
}

int64_t cut_metrics(const std::string& path, int64_t step) {
  int64_t damaged = 0;
  if (step == 0) replace_record(path, "");
  const std::string file = file_at(path);
  if (file.empty()) return damaged;
  std::ifstream in(file);
  write_file_atomically(file, [&](FileWriter& out) {
    int64_t last[2] = {0, 0};  // steps and validations are counted each
    for (std::string line; std::getline(in, line);) {
      const Kept of = record_in(line);
      damaged += of.step == 0;
      if (of.step <= last[of.validation] || of.step > step) continue;
      out.write(line + '\n');
      last[of.validation] = of.step;
    }
    check(in.eof(), "resume: '", path, "' cannot be read to its end");
  });
  return damaged;
}

void replace_record(const std::string& path, const std::string& text) {
  const std::string file = file_at(path);
  if (!text.empty() && (!file.empty() || !fs::exists(path)))
    return write_file_atomically(file.empty() ? path : file, text);
  if (file.empty()) return;
  std::error_code failed;
  fs::remove(file, failed);
  check(!failed, "train: '", file, "' cannot be removed: ", failed.message());
}

void end_last_line(const std::string& path) {
  std::fstream file(file_at(path), std::ios::in | std::ios::out | std::ios::binary | std::ios::ate);
  if (!file || file.tellg() == std::streampos(0)) return;
  file.seekg(-1, std::ios::end);
  if (file.get() == '\n') return;
  file.seekp(0, std::ios::end);
  file.put('\n');
}

}  // namespace diptych
