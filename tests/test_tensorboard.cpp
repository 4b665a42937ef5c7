// tests/test_tensorboard.cpp — event files: their bytes, and what of a run is in them.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <sstream>

#include "clip/train/tensorboard.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace fs = std::filesystem;

namespace {

std::string hex(const std::string& bytes) {
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    text += "0123456789abcdef"[byte >> 4];
    text += "0123456789abcdef"[byte & 15];
  }
  return text;
}

// The records of an event file, without their frames.
std::vector<std::string> records(const std::string& bytes) {
  std::vector<std::string> found;
  for (size_t at = 0; at < bytes.size();) {
    uint64_t size = 0;
    REQUIRE(at + 16 <= bytes.size());
    std::memcpy(&size, bytes.data() + at, 8);
    REQUIRE(at + 16 + size <= bytes.size());
    found.push_back(bytes.substr(at + 12, size));
    at += 16 + size;
  }
  return found;
}

std::vector<std::string> files_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& file : fs::directory_iterator(folder)) names.push_back(file.path());
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> lines_of(const std::string& path) {
  std::istringstream in(get_file(path));
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// Of an event its time is not known; 9 bytes come first.
std::string without_time(const std::string& record) { return record.substr(9); }

std::string expected(const std::string& metrics_line) {
  return without_time(records(event_of_line(0, metrics_line))[0]);
}

// SessionLog START with the step from which on TensorBoard forgets.
std::string start_at(char step) { return std::string("\x10") + step + "\x3a\x02\x08\x01"; }

}  // namespace

TEST_CASE("tensorboard: CRC-32C has RFC 3720's check values") {
  CHECK(crc32c("123456789") == 0xe3069283);
  CHECK(crc32c(std::string(32, '\0')) == 0x8a9136aa);
  CHECK(crc32c(std::string(32, '\xff')) == 0x62a8ab43);
}

// These bytes were read by TensorBoard: tests/golden/check_events.py.
TEST_CASE("tensorboard: the bytes of a small file") {
  const std::string file = session_start(1.5, 300) +
                           scalars_event(2.5, 300, {{"train/loss", 1.25}, {"val/acc1", -INFINITY}});
  CHECK(hex(file) ==
        "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28"
        "646c100000000000000095fbfe1809000000000000f83f10ac023a020801713b788a32000000"
        "00000000241956ec09000000000000044010ac022a240a110a0a747261696e2f6c6f73731500"
        "00a03f0a0f0a0876616c2f6163633115000080ff9ee82bbf");
}

TEST_CASE("tensorboard: tags are open_clip's, and everything that is a number has one") {
  const auto scalars = scalars_of(
      R"({"step":3,"epoch":1,"loss":"nan","lr":0.5,"logit_scale":14,"pairs_per_second":"inf",)"
      R"("time":"noon","val":{"loss":2,"text_to_image_R@1":"-inf","pictures":7}})");
  std::vector<std::string> tags;
  for (const auto& [tag, unused] : scalars) tags.push_back(tag);
  CHECK(tags == std::vector<std::string>{"train/epoch", "train/loss", "train/lr", "train/scale",
                                         "train/samples_per_second", "val/loss",
                                         "val/text_to_image_R@1", "val/pictures"});
  CHECK(std::isnan(scalars[1].second));
  CHECK(scalars[4].second == INFINITY);
  CHECK(scalars[6].second == -INFINITY);
  CHECK(scalars[7].second == 7);
  CHECK(event_of_line(1, R"({"step":3,"note":"x"})").empty());
  CHECK(contains(error_of([] { event_of_line(1, R"({"loss":3})"); }), "without a step"));
}

TEST_CASE("tensorboard: a new file is sorted behind all that are there, whatever the clock says") {
  const TempDir dir;
  const std::string nowhere = dir / "none";
  CHECK(new_event_file(nowhere, 1700000000) == "events.out.tfevents.1700000000.diptych");
  for (const char* name : {"events.out.tfevents.1800000000.host", "events.out.tfevents.x",
                           "events.out.tfevents.99999999999999999999", "notes"})
    put_file(dir / name, "");
  CHECK(new_event_file(dir.path(), 1700000000) == "events.out.tfevents.1800000001.diptych");
  CHECK(new_event_file(dir.path(), 1900000000) == "events.out.tfevents.1900000000.diptych");
}

TEST_CASE("tensorboard: a run's file has each line of metrics.jsonl, a resumed one starts anew") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 3) + "--report-to tensorboard ";
  REQUIRE(diptych_run(flags).exit_code == 0);
  const auto first = files_in(dir / "run/tensorboard");
  REQUIRE(first.size() == 1);
  const auto lines = lines_of(dir / "run/metrics.jsonl");
  const auto events = records(get_file(first[0]));
  REQUIRE(lines.size() == 6);
  REQUIRE(events.size() == 2 + lines.size());
  CHECK(without_time(events[0]) ==
        "\x1a\x0d"
        "brain.Event:2");
  CHECK(without_time(events[1]) == start_at(1));
  for (size_t i = 0; i < lines.size(); ++i)
    CHECK(without_time(events[2 + i]) == expected(lines[i]));

  fs::remove_all(dir / "run/checkpoints/step_00000006");
  REQUIRE(diptych_run(flags + "--resume latest").exit_code == 0);
  const auto both = files_in(dir / "run/tensorboard");
  REQUIRE(both.size() == 2);
  CHECK(both[0] == first[0]);
  const auto again = records(get_file(both[1]));
  REQUIRE(again.size() == 4);
  CHECK(without_time(again[1]) == start_at(5));
}

TEST_CASE("tensorboard: where a run goes on, or is rolled back to, its file says from which step") {
  const TempDir dir;
  RunLog log(dir / "run", false, /*echo=*/false);
  log.report_to_tensorboard();
  const std::string line = R"({"step":5,"loss":1})";
  log.continue_from(4, "");
  log.metrics(line);
  log.continue_from(2, "");
  const auto files = files_in(dir / "run/tensorboard");
  REQUIRE(files.size() == 1);
  const auto events = records(get_file(files[0]));
  REQUIRE(events.size() == 5);
  CHECK(without_time(events[1]) == start_at(5));
  CHECK(without_time(events[2]) == expected(line));
  CHECK(without_time(events[4]) == start_at(3));
}

TEST_CASE("tensorboard: events that cannot be written end no training, and are told") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string flags = small_run(dir, 1) + "--report-to tensorboard ";
  fs::create_directories(dir / "run");
  put_file(dir / "run/tensorboard", "mine");
  const Outcome r = diptych_run(flags);
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "the checkpoint is complete, the log is not; lost: "));
  CHECK(contains(r.err, "run/tensorboard/events.out.tfevents."));
  CHECK(lines_of(dir / "run/metrics.jsonl").size() == 2);
  CHECK(get_file(dir / "run/tensorboard") == "mine");
}

TEST_CASE("tensorboard: nothing is written unless it is asked for") {
  REQUIRE_BINARY();
  const TempDir dir;
  REQUIRE(diptych_run(small_run(dir, 1)).exit_code == 0);
  CHECK(!fs::exists(dir / "run/tensorboard"));
  CHECK(diptych_run(small_run(dir, 1) + "--report-to wandb").exit_code == 2);
}
