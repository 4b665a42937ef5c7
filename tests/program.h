// tests/program.h — the program as a user meets it: run by a shell, with what it said and left.
#pragma once

#include <doctest/doctest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <string>

#include "clip/weights/model_file.h"
#include "data/image/transform.h"
#include "tests/squares.h"

namespace diptych::test {

struct Outcome {
  int exit_code;  ///< as a shell sees it: 128 + n of a process that died of signal n
  std::string out, err;
};

/// Runs a line of shell, in which $DIPTYCH is the program; what it redirects is not in the outcome.
inline Outcome shell_run(const std::string& line) {
  const TempDir dir;
  const std::string command = "{ " + line + "\n} >" + (dir / "out") + " 2>" + (dir / "err");
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), get_file(dir / "out"),
          get_file(dir / "err")};
}

/// Runs the binary named by the environment variable DIPTYCH, which make sets.
inline Outcome diptych_run(const std::string& arguments, const std::string& input = "",
                           const std::string& environment = "") {
  const TempDir dir;
  put_file(dir / "in", input);
  return shell_run(environment + " $DIPTYCH " + arguments + " <" + (dir / "in"));
}

inline RgbImage plain(int64_t width, int64_t height, std::array<uint8_t, 3> rgb) {
  RgbImage image{width, height, {}};
  for (int64_t i = 0; i < width * height; ++i)
    image.rgb.insert(image.rgb.end(), rgb.begin(), rgb.end());
  return image;
}

/// A tiny model with a vocabulary, saved in `dir`; returns its path.
inline std::string saved_model(const TempDir& dir) {
  const Tokenizer tokenizer = squares_tokenizer();
  ModelConfig config = tiny_config();
  config.text.vocab_size = tokenizer.vocab_size();
  Clip model(config);
  model.initialize(1);
  save_model(dir / "m.safetensors", model, &tokenizer);
  return dir / "m.safetensors";
}

/// A table of a few small pictures in `dir`, and the flags of the shortest run on it: 2 steps an
/// epoch. The run's folder is dir / "run".
inline std::string small_run(const TempDir& dir, int epochs) {
  std::string table = "filepath\ttitle\n";
  for (uint8_t i = 0; i < 8; ++i) {
    const auto grey = static_cast<uint8_t>(20 * i);
    save_png(dir / ("p" + std::to_string(i) + ".png"), plain(12, 12, {grey, grey, grey}));
    table += "p" + std::to_string(i) + ".png\ta thing " + std::to_string(i) + '\n';
  }
  put_file(dir / "t.tsv", table);
  return "train --model tiny --train-data " + (dir / "t.tsv") + " --batch-size 4 --epochs " +
         std::to_string(epochs) + " --logs " + dir.path() +
         " --name run --threads 1 --log-every-n-steps 1 ";
}

}  // namespace diptych::test

#define REQUIRE_BINARY()                                                 \
  if (!std::getenv("DIPTYCH")) {                                         \
    MESSAGE("skipped: DIPTYCH does not name the binary; use make test"); \
    return;                                                              \
  }
