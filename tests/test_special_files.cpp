// tests/test_special_files.cpp — pipes, devices, folders and links in circles where files should
// be: nothing waits for them, none is read, each is named, and in a data set it costs one sample.
#include <doctest/doctest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <functional>

#include "clip/eval/prompts.h"
#include "clip/weights/model_file.h"
#include "data/class_folders.h"
#include "data/loader.h"
#include "data/pairs.h"
#include "tensor/io/file.h"
#include "tensor/io/npy.h"
#include "tensor/io/text_file.h"
#include "tests/limited.h"
#include "tests/pictures.h"

using namespace diptych;
using namespace diptych::test;

namespace {

constexpr int64_t kMemory = int64_t{64} << 20;

void put_pipe(const std::string& path) { check(mkfifo(path.c_str(), 0600) == 0, "test: no pipe"); }

void put_socket(const std::string& path) {
  sockaddr_un address{AF_UNIX, {}};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM, 0);
  check(bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0,
        "test: no socket at ", path);
  close(fd);
}

void put_circle(const std::string& path) { std::filesystem::create_symlink(path, path); }

/// Something at `path` that is no file, and how.
struct Special {
  const char* name;
  std::function<void(const std::string& path)> put;
};

const std::vector<Special>& specials() {
  using std::filesystem::create_symlink;
  static const std::vector<Special> all = {
      {"pipe", put_pipe},
      {"socket", put_socket},
      {"circle", put_circle},
      {"folder", [](const std::string& path) { std::filesystem::create_directory(path); }},
      {"zeros", [](const std::string& path) { create_symlink("/dev/zero", path); }},
      {"nothing", [](const std::string& path) { create_symlink("/dev/null", path); }},
      {"terminal", [](const std::string& path) { create_symlink("/dev/tty", path); }},
      {"dangling", [](const std::string& path) { create_symlink("/nowhere/at/all", path); }},
  };
  return all;
}

/// Whatever opens a file by a name that a user gives.
struct Opener {
  const char* name;
  std::function<void(const std::string& path)> open;
};

const std::vector<Opener>& openers() {
  static const std::vector<Opener> all = {
      {"labels", [](const std::string& path) { read_labels(path); }},
      {"templates", [](const std::string& path) { prompt_templates(path); }},
      {"texts", [](const std::string& path) { read_lines(path, 1000); }},
      {"vocabulary", [](const std::string& path) { Tokenizer::load(path); }},
      {"table.tsv", [](const std::string& path) { read_pair_table(path); }},
      {"table.csv", [](const std::string& path) { read_pair_table(path); }},
      {"picture.png", [](const std::string& path) { load_picture(path); }},
      {"array.npy", [](const std::string& path) { load_npy(path); }},
      {"m.safetensors", [](const std::string& path) { load_model(path); }},
      {"m.pt", [](const std::string& path) { load_model(path); }},
  };
  return all;
}

const std::string kPicture = golden_pictures()[0].bytes;

std::vector<BadSample> bad_samples(const Dataset& data, int64_t& used) {
  const Tokenizer tokenizer = Tokenizer::train(std::vector<std::string>{"a"}, 514);
  LoaderOptions options;
  options.shuffle = false;
  options.workers = 0;
  options.batch_size = 4;
  Loader loader(data, tokenizer, options);
  loader.start(0);
  std::vector<BadSample> bad;
  used = 0;
  while (const auto batch = loader.next()) {
    bad.insert(bad.end(), batch->bad.begin(), batch->bad.end());
    used += static_cast<int64_t>(batch->indices.size());
  }
  return bad;
}

/// Whether one of some paths is among what was left out.
bool is_named(const std::vector<LeftOut>& all, const std::vector<std::string>& paths) {
  return std::any_of(all.begin(), all.end(), [&](const LeftOut& one) {
    return std::find(paths.begin(), paths.end(), one.name) != paths.end();
  });
}

}  // namespace

TEST_CASE("special files: given as any file, each is refused at once by a sentence that names it") {
  for (const Opener& opener : openers()) {
    for (const Special& special : specials()) {
      CAPTURE(opener.name);
      CAPTURE(special.name);
      const TempDir dir;
      const std::string path = dir / opener.name;
      special.put(path);
      const Limited got = run_limited(kMemory, [&] { opener.open(path); });
      CHECK_MESSAGE(contains(got.error, path), got.error);
      CHECK_FALSE(got.error.starts_with("died"));
    }
  }
}

TEST_CASE("special files: in a folder of pairs each costs one sample, which is named") {
  const TempDir dir;
  for (const Special& special : specials()) {
    const std::string stem = dir / special.name;
    special.put(stem + ".jpg");
    put_file(stem + ".txt", "a");
    special.put(stem + "_text.txt");
    put_file(stem + "_text.png", kPicture);
  }
  put_file(dir / "good.png", kPicture);
  put_file(dir / "good.txt", "a");
  const Limited got = run_limited(kMemory, [&] {
    const PairSource source = read_pair_folder(dir.path());
    check(source.pairs.size() == 1, source.pairs.size(), " pairs");
    for (const Special& special : specials()) {
      const std::string stem = dir / special.name;
      // A folder called x.jpg is no picture, so its text is alone.
      check(is_named(source.left_out, {stem + ".jpg", stem + ".txt"}), stem, " is not named");
      check(is_named(source.left_out, {stem + "_text.png"}), stem, "_text is not named");
    }
  });
  CHECK(got.error == "");
}

TEST_CASE("special files: in a table each costs one sample") {
  const TempDir dir;
  std::string table = "filepath\ttitle\ngood.png\ta\n";
  put_file(dir / "good.png", kPicture);
  for (const Special& special : specials()) {
    special.put(dir / special.name);
    table += std::string(special.name) + "\ta\n";
  }
  put_file(dir / "t.tsv", table + "/dev/zero\ta\n/dev/stdin\ta\n");
  const Limited got = run_limited(kMemory, [&] {
    int64_t used = 0;
    const PairDataset data(read_pair_table(dir / "t.tsv"), Preprocess{}, 0, false);
    const auto bad = static_cast<int64_t>(bad_samples(data, used).size());
    check(used == 1 && bad == data.size() - 1, used, " used, ", bad, " bad");
  });
  CHECK(got.error == "");
}

TEST_CASE("special files: in folders of classes each costs one picture") {
  const TempDir dir;
  for (const char* label : {"cat", "dog"}) {
    std::filesystem::create_directory(dir / label);
    put_file(dir / label + "/good.png", kPicture);
    for (const Special& special : specials())
      special.put(dir / label + "/" + special.name + ".png");
  }
  put_circle(dir / "circle");
  const Limited got = run_limited(kMemory, [&] {
    const ClassFolders data(dir.path(), Preprocess{});
    check(data.size() == 2, data.size(), " pictures");
    for (const Special& special : specials()) {
      const std::string path = dir / "dog/" + special.name + ".png";
      check(is_folder(path) || is_named(data.left_out(), {path}), path, " is not named");
    }
  });
  CHECK(got.error == "");
}
