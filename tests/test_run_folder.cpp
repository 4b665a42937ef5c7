// tests/test_run_folder.cpp — which folders are checkpoints, which of them may be trusted, and
// which may go.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <random>
#include <set>

#include "clip/weights/run_folder.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

namespace fs = std::filesystem;

// A run with a folder of checkpoints, which need no models inside to be verified.
struct Run : TempDir {
  Run() { fs::create_directories(path() + "/checkpoints"); }

  std::string named(const std::string& name) const { return path() + "/checkpoints/" + name; }
  std::string at(int64_t step) const { return checkpoint_path(path(), step); }

  std::string fill(const std::string& folder) const {
    fs::create_directories(folder);
    put_file(folder + '/' + kModelFile, "the model in " + folder);
    put_file(folder + '/' + kTrainingFile, "the moments in " + folder);
    write_manifest(folder);
    return folder;
  }
  std::string add(int64_t step) const { return fill(at(step)); }

  std::vector<std::string> names() const {
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator(path() + "/checkpoints"))
      found.push_back(entry.path().filename());
    std::sort(found.begin(), found.end());
    return found;
  }
};

void damage(const std::string& checkpoint) {
  std::string bytes = get_file(checkpoint + '/' + kModelFile);
  bytes[3] ^= 1;
  put_file(checkpoint + '/' + kModelFile, bytes);
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("run folder: checkpoints are ordered by number, and other names are somebody else's") {
  const Run run;
  for (const int64_t step : {100000000, 7, 99999999}) run.add(step);
  for (const char* name : {"step_best", "step_8", "step_000000008", "step_00000008x", "step_",
                           "step_-0000008", "step_00000008.tmp", "step_99999999999999999999"}) {
    run.fill(run.named(name));
  }
  CHECK(checkpoints(run.path()) == Names{run.at(7), run.at(99999999), run.at(100000000)});
  CHECK(newest_checkpoint(run.path()) == run.at(100000000));
  CHECK(checkpoints(run / "absent").empty());
}

TEST_CASE("run folder: any flipped byte of a checkpoint is found, and its file named") {
  const Run run;
  const std::string checkpoint = run.add(1);
  CHECK(is_intact(checkpoint));
  for (const char* name : {kModelFile, kTrainingFile, "manifest.json"}) {
    const std::string path = checkpoint + '/' + name, bytes = get_file(path);
    for (size_t i = 0; i < bytes.size(); ++i) {
      std::string changed = bytes;
      changed[i] ^= 4;
      put_file(path, changed);
      CHECK(!is_intact(checkpoint));
    }
    put_file(path, bytes + ' ');
    CHECK(is_intact(checkpoint) == (std::string(name) == "manifest.json"));
    fs::remove(path);
    CHECK(contains(error_of([&] { verify_checkpoint(checkpoint); }), name));
    put_file(path, bytes);
  }
  CHECK(is_intact(checkpoint));
}

TEST_CASE("run folder: a part that is no regular file is damage, and nobody waits for it") {
  const Run run;
  const std::string checkpoint = run.add(1);
  for (const char* name : {kModelFile, kTrainingFile, "manifest.json"}) {
    const std::string path = checkpoint + '/' + name, bytes = get_file(path);
    fs::remove(path);
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    CHECK(contains(error_of([&] { verify_checkpoint(checkpoint); }), name));
    fs::remove(path);
    fs::create_directory(path);
    CHECK(!is_intact(checkpoint));
    fs::remove(path);
    fs::create_symlink("/dev/zero", path);
    CHECK(!is_intact(checkpoint));
    fs::remove(path);
    put_file(path, bytes);
  }
  CHECK(is_intact(checkpoint));
}

TEST_CASE("run folder: a damaged checkpoint is refused under every name it can have") {
  const Run run;
  const std::string checkpoint = run.add(1), copy = run.fill(run / "best"),
                    light = run.fill(run / "light"), bare = run.named("step_00000002");
  fs::create_directories(bare);
  put_file(bare + '/' + kModelFile, "a model");
  fs::create_symlink(checkpoint, run / "link");
  fs::create_symlink(checkpoint + '/' + kModelFile, run / "model.link");
  const Names roads = {checkpoint,
                       checkpoint + '/',
                       checkpoint + '/' + kModelFile,
                       run / "link",
                       run / "model.link",
                       copy,
                       copy + '/' + kModelFile};
  for (const std::string& road : roads) CHECK_NOTHROW(verify_if_checkpoint(road));
  damage(checkpoint);
  damage(copy);
  fs::remove(light + '/' + kTrainingFile);
  for (const std::string& road : roads) {
    CAPTURE(road);
    CHECK(contains(error_of([&] { verify_if_checkpoint(road); }), kModelFile));
  }
  CHECK(contains(error_of([&] { verify_if_checkpoint(light); }), kTrainingFile));
  for (const std::string& road : {bare, bare + '/' + kModelFile})
    CHECK(
        contains(error_of([&] { verify_if_checkpoint(road); }), "step_00000002' has no manifest"));
}

TEST_CASE("run folder: a model that is no checkpoint needs no manifest") {
  const Run run;
  put_file(run / "model.safetensors", "a model");
  put_file(run / "manifest.json", "{\"name\": \"of something else\"}");
  for (const std::string& road :
       {run / "model.safetensors", run.path(), run / "absent", run / "absent/model.safetensors"})
    CHECK_NOTHROW(verify_if_checkpoint(road));
}

TEST_CASE(
    "run folder: rotation keeps the newest intact ones and never the damaged in their place") {
  const Run run;
  for (const int64_t step : {1, 2, 3, 4}) run.add(step);
  damage(run.at(3));
  CHECK(rotate_checkpoints(run.path(), run.at(4), 2) == "");
  CHECK(run.names() == Names{"step_00000002", "step_00000003", "step_00000004"});
  CHECK(rotate_checkpoints(run.path(), run.at(4), 1) == "");
  CHECK(run.names() == Names{"step_00000003", "step_00000004"});
}

TEST_CASE("run folder: the checkpoint just written stays, also behind newer ones") {
  const Run run;
  for (const int64_t step : {1, 2, 8, 9}) run.add(step);
  rotate_checkpoints(run.path(), run.at(2), 1);
  CHECK(run.names() == Names{"step_00000002", "step_00000009"});
  damage(run.at(9));  // the road of a run that went back behind a damaged one
  run.add(3);
  rotate_checkpoints(run.path(), run.at(3), 1);
  CHECK(run.names() == Names{"step_00000003", "step_00000009"});
}

TEST_CASE("run folder: rotation goes by numbers, and leaves what is not its own") {
  const Run run;
  run.fill(run.named("step_best"));
  for (const int64_t step : {99999998, 99999999, 100000000}) run.add(step);
  rotate_checkpoints(run.path(), run.at(100000000), 2);
  CHECK(run.names() == Names{"step_100000000", "step_99999999", "step_best"});
}

TEST_CASE("run folder: deleting needs room for a name alone, and does not follow links") {
  const Run run;
  for (const int64_t step : {1, 2}) run.add(step);
  put_file(run.named("removed.tmp"), "where the folder of deleted ones cannot be made");
  CHECK(rotate_checkpoints(run.path(), run.at(2), 1) == "");
  CHECK(checkpoints(run.path()) == Names{run.at(2)});
  REQUIRE(run.fill(run / "elsewhere") != "");
  fs::create_symlink(run / "elsewhere", run.at(1));  // goes, and what it leads to stays
  CHECK(rotate_checkpoints(run.path(), run.at(2), 1) == "");
  CHECK(is_intact(run / "elsewhere"));
  CHECK(run.names() == Names{"step_00000002"});
}

TEST_CASE("run folder: a checkpoint that is written again replaces the one before") {
  const Run run;
  const std::string before = run.add(5);
  damage(before);
  put_checkpoint(run.fill(run.at(5) + ".tmp"), run.at(5));
  CHECK(is_intact(run.at(5)));
  CHECK(run.names() == Names{"step_00000005"});
  const std::string error = error_of([&] {
    try {
      put_checkpoint(run / "absent", run.at(5));
    } catch (const fs::filesystem_error& failed) {
      fail(failed.what());
    }
  });
  CHECK(!error.empty());
  CHECK(is_intact(run.at(5)));
  CHECK(run.names() == Names{"step_00000005"});
}

TEST_CASE("run folder: what dead processes left is tidied, and nothing else") {
  const Run run;
  run.fill(run.at(1));
  run.fill(run.at(2) + ".replaced");                               // died between two renames
  run.fill(run.at(1) + ".replaced");                               // died after them
  fs::create_directories(run.at(3) + ".tmp");                      // died in a save
  fs::create_directories(run.named("removed.tmp/step_00000000"));  // died in a deletion
  run.fill(run.named("step_best.tmp"));
  for (const char* name : {"params.json.tmp-12-0", "metrics.jsonl.tmp-7-0", "metrics.jsonl",
                           "params.json", "my.tmp-1-0"})
    put_file(run / name, "");
  tidy_run(run.path());
  CHECK(run.names() == Names{"step_00000001", "step_00000002", "step_best.tmp"});
  CHECK(is_intact(run.at(2)));
  CHECK(run.file_count() == 4);  // three files and the folder of checkpoints
}

TEST_CASE("run folder: whatever is saved and damaged in whatever order, rotation loses nothing") {
  std::mt19937 random(7);
  for (int round = 0; round < 40; ++round) {
    const Run run;
    std::set<std::string> intact, damaged;
    for (int i = 0; i < 12; ++i) {
      const std::string written = run.add(1 + random() % 9);  // also behind newer ones, or again
      const auto keep = static_cast<int>(1 + random() % 3);
      damaged.erase(written);
      intact.insert(written);
      REQUIRE(rotate_checkpoints(run.path(), written, keep) == "");
      const std::vector<std::string> left = checkpoints(run.path());
      std::vector<std::string> good;
      std::copy_if(left.begin(), left.end(), std::back_inserter(good), is_intact);
      for (const std::string& path : damaged) CHECK(std::count(left.begin(), left.end(), path));
      CHECK(std::count(good.begin(), good.end(), written) == 1);
      // The newest, and perhaps the written one beside them.
      const size_t kept = std::min(intact.size(), static_cast<size_t>(keep));
      CHECK(good.size() >= kept);
      CHECK(good.size() <= kept + 1);
      CHECK(std::equal(intact.rbegin(), std::next(intact.rbegin(), static_cast<long>(kept)),
                       good.rbegin()));
      intact = {good.begin(), good.end()};
      if (random() % 2) {
        damage(good[random() % good.size()]);
        for (const std::string& path : good)
          if (!is_intact(path)) damaged.insert(path), intact.erase(path);
      }
    }
  }
}
