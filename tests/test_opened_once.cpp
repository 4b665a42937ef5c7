// tests/test_opened_once.cpp — a model file is judged and read through one descriptor: what has its
// name later does not matter, and what is written into it meanwhile is noticed.
#include <doctest/doctest.h>

#include "clip/weights/model_file.h"
#include "clip/weights/run_folder.h"
#include "tensor/io/safetensors.h"
#include "tensor/io/sha256.h"
#include "tensor/io/torch_file.h"
#include "tests/openings.h"

using namespace diptych;
using namespace diptych::test;

namespace {

const std::string kGolden = "tests/golden/", kOurs = kGolden + "tiny_clip.safetensors",
                  kTorch = kGolden + "torch_state_dict.pt", kScript = kGolden + "tiny_script.pt";

std::string sha256_of(const std::string& path) { return sha256_of_file({"test", path}); }

}  // namespace

TEST_CASE("opened once: the counter of openings counts") {
  CHECK(count_openings(kOurs, [] { get_file(kOurs); }) == 1);
  CHECK(count_openings(kOurs, [] { (void)(get_file(kOurs) + get_file(kOurs)); }) == 2);
}

TEST_CASE("opened once: a model is hashed, recognised and read through one descriptor") {
  for (const std::string& path : {kOurs, kScript}) {
    CAPTURE(path);
    const std::string hash = sha256_of(path);
    CHECK(count_openings(path, [&] { load_model(path, {.sha256 = hash}); }) == 1);
    CHECK(count_openings(path, [&] {
            error_of([&] { load_model(path, {.sha256 = std::string(64, '0')}); });
          }) == 1);
  }
}

TEST_CASE("opened once: a checkpoint's model is verified and read through one descriptor") {
  const TempDir dir;
  const std::string checkpoint = dir / "step_00000001", model = checkpoint + '/' + kModelFile;
  std::filesystem::create_directory(checkpoint);
  put_file(model, get_file(kOurs));
  put_file(checkpoint + '/' + kTrainingFile, "state");
  write_manifest(checkpoint);
  for (const std::string& road : {checkpoint, model}) {
    CAPTURE(road);
    CHECK(count_openings(model, [&] { load_model(road); }) == 1);
  }
  put_file(model, get_file(kOurs) + ' ');
  for (const std::string& road : {checkpoint, model})
    CHECK(contains(error_of([&] { load_model(road); }), "is damaged"));
}

TEST_CASE("opened once: another file under the name of an open one is not read") {
  const TempDir dir;
  const std::string path = dir / "x";
  put_file(path, get_file(kOurs));
  const InputFile ours("test", path);
  const std::string hash = sha256_of_file(ours);
  put_file(path, "something else");
  CHECK(sha256_of_file(ours) == hash);
  CHECK(load_safetensors(ours).tensors.size() == load_safetensors(kOurs).tensors.size());
  put_file(path, get_file(kTorch));
  const InputFile torch("test", path);
  std::filesystem::remove(path);
  CHECK(load_torch(torch).size() == load_torch(kTorch).size());
  CHECK(error_of([&] { torch.check_unchanged(); }) == "");  // it is still the file it was
}

TEST_CASE("opened once: a file that is written to while it is read is refused") {
  const TempDir dir;
  const std::string path = dir / "x";
  put_file(path, "0123456789");
  const auto error_after = [&](const auto& change) {
    std::filesystem::last_write_time(
        path, std::filesystem::file_time_type::clock::now() - std::chrono::hours(1));
    const InputFile file("model", path);
    change();
    return error_of([&] { file.check_unchanged(); });
  };
  CHECK(error_after([] {}) == "");
  CHECK(error_after([&] { get_file(path); }) == "");
  const std::string changed = "model: '" + path + "' was written to while it was read";
  CHECK(contains(error_after([&] { std::fstream(path, std::ios::in | std::ios::out) << 'x'; }),
                 changed));
  CHECK(contains(error_after([&] { std::ofstream(path, std::ios::app) << 'x'; }), changed));
  CHECK(contains(error_after([&] { std::filesystem::resize_file(path, 3); }), changed));
}
