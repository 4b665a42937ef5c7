// tests/test_streams.cpp — results arrive or the command fails; what is told may be lost.
#include <sys/resource.h>

#include <csignal>
#include <limits>
#include <nlohmann/json.hpp>

#include "clip/console.h"
#include "clip/eval/zero_shot.h"
#include "clip/train/log_file.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

}  // namespace

TEST_CASE("streams: a result that is not a number is an error that names it") {
  using Json = nlohmann::ordered_json;
  CHECK(require_number(1.5, "x") == 1.5);
  CHECK(contains(error_of([] { require_number(kNan, "loss"); }), "loss is nan"));
  require_numbers(Json{{"a", {1, 2.5, "nan", nullptr}}}, "");
  CHECK(
      contains(error_of([] {
                 require_numbers(Json{{"a", {{"b", std::numeric_limits<double>::infinity()}}}}, "");
               }),
               "a.b is inf"));
  CHECK(contains(error_of([] { require_numbers(Json{{"a", {1.0, kNan}}}, ""); }), "a.1 is nan"));
}

TEST_CASE("streams: a log file takes whole lines, or counts what it lost") {
  const TempDir dir;
  LogFile file(dir / "x.log");
  file.append("one\n");
  file.append("two\n");
  CHECK(get_file(dir / "x.log") == "one\ntwo\n");
  CHECK(file.lost() == 0);
  for (const std::string& path : {std::string("/dev/full"), dir / "absent/x.log", dir.path()}) {
    CAPTURE(path);
    LogFile full(path);
    full.append("one\n");
    full.append("two\n");
    CHECK(full.lost() == 2);
    CHECK(!full.reason().empty());
  }
}

TEST_CASE("streams: of a line that does not fit nothing is left") {
  const TempDir dir;
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  LogFile file(dir / "x.log");
  file.append("1234567\n");
  const rlimit ten{10, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &ten);
  file.append("1234567\n");
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(file.lost() == 1);
  CHECK(get_file(dir / "x.log") == "1234567\n");
  file.append("last\n");  // and when there is room again, it is there
  CHECK(get_file(dir / "x.log") == "1234567\n1234567\nlast\n");
  CHECK(file.lost() == 0);
}

TEST_CASE("cli: a command whose results cannot be written says so and exits with 1") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string model = saved_model(dir);
  save_png(dir / "p.png", plain(8, 8, {9, 9, 9}));
  put_file(dir / "texts", "red\n");
  const std::string classify =
      "classify --labels a,b --templates exact --model " + model + ' ' + (dir / "p.png");
  const std::string commands[] = {"--help",
                                  "--version",
                                  "train --help",
                                  "info tiny",
                                  "info tiny --json",
                                  classify,
                                  classify + " --json",
                                  "tokenize --model " + model + " <" + (dir / "texts"),
                                  "gradcheck matmul",
                                  "gradcheck matmul --json",
                                  "convert " + model + ' ' + (dir / "c.safetensors"),
                                  "embed --json --model " + model + " --texts " + (dir / "texts") +
                                      " --out " + (dir / "e.npy")};
  for (const std::string& command : commands) {
    CAPTURE(command);
    CHECK(shell_run("$DIPTYCH " + command).exit_code == 0);
    for (const char* lost : {" >/dev/full", " >&-"}) {
      const Outcome r = shell_run("$DIPTYCH " + command + lost);
      CHECK(r.exit_code == 1);
      CHECK(contains(r.err, "stdout: the results could not be written: "));
    }
    for (const char* lost : {" 2>/dev/full", " 2>&-", " <&-"}) {
      if (std::string(lost) == " <&-" && command.starts_with("tokenize")) continue;
      const Outcome r = shell_run("$DIPTYCH " + command + lost);
      CHECK(r.exit_code == 0);
      CHECK(!r.out.empty());
    }
  }
  // A reader that closed its end: an error like any other, and no death by SIGPIPE.
  const Outcome pipe =
      shell_run("{ sleep 0.2; $DIPTYCH info tiny; echo $? >" + (dir / "code") + "; } | true");
  CHECK(get_file(dir / "code") == "1\n");
  CHECK(contains(pipe.err, "Broken pipe"));
  CHECK(shell_run("$DIPTYCH tokenize --model " + model + " <&-").exit_code == 1);
  CHECK(shell_run("$DIPTYCH tokenize --model " + model + " </").exit_code == 1);
}

TEST_CASE(
    "cli: training with streams that are full or closed goes on, and no file gets their text") {
  REQUIRE_BINARY();
  std::string parameters;
  for (const char* streams :
       {"", "2>/dev/full", "2>&-", ">&- 2>&- <&-", ">/dev/full 2>/dev/full"}) {
    CAPTURE(streams);
    const TempDir dir;
    CHECK(shell_run("$DIPTYCH " + small_run(dir, 2) + streams).exit_code == 0);
    const std::string bytes = get_file(dir / "run/checkpoints/step_00000004/model.safetensors");
    if (parameters.empty()) parameters = bytes;
    CHECK(!bytes.empty());
    CHECK(bytes == parameters);
    CHECK(get_file(dir / "run/lock").empty());
    CHECK(contains(get_file(dir / "run/out.log"), "done after 4 steps"));
  }
  const TempDir dir;
  const Outcome pipe = shell_run("{ $DIPTYCH " + small_run(dir, 40) + "--save-frequency 40" +
                                 "; echo $? >" + (dir / "code") + "; } 2>&1 | head -1");
  CHECK(get_file(dir / "code") == "0\n");
  CHECK(contains(get_file(dir / "run/out.log"), "done after 80 steps"));
}

TEST_CASE("cli: lines of the log that are lost are counted, and the exit code tells") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string run = small_run(dir, 1);
  std::filesystem::create_directories(dir / "run");
  std::filesystem::create_symlink("/dev/full", dir / "run/out.log");
  const Outcome r = shell_run("$DIPTYCH " + run);
  CAPTURE(r.err);
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "the checkpoint is complete, the log is not; lost: "));
  CHECK(contains(r.err, "lines of '" + (dir / "run/out.log") + "': No space left on device"));
  CHECK(std::filesystem::exists(dir / "run/checkpoints/step_00000002/manifest.json"));
}
