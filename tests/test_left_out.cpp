// tests/test_left_out.cpp — nothing is left out in silence: what a folder holds, what a command
// used, and that the numbers add up.
#include <sys/stat.h>

#include <nlohmann/json.hpp>

#include "data/class_folders.h"
#include "data/left_out.h"
#include "data/pairs.h"
#include "data/picture_batches.h"
#include "data/picture_files.h"
#include "tensor/io/npy.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

std::vector<std::string> names_of(const std::vector<LeftOut>& left_out) {
  std::vector<std::string> names;
  for (const LeftOut& one : left_out) names.push_back(fs::path(one.name).filename());
  return names;
}

void put_picture(const std::string& path, uint8_t red) {
  fs::create_directories(fs::path(path).parent_path());
  save_png(path, plain(8, 8, {red, 0, 0}));
}

// Two classes of two pictures each, and beside them one of every kind of file that is not used:
// eight that are or could be pictures, and two that are not.
void put_classes(const TempDir& dir) {
  for (const char* name : {"d/cat/1.png", "d/cat/2.png", "d/dog/1.png", "d/dog/2.png"})
    put_picture(dir / name, 200);
  for (const char* name : {"d/dog/a.avif", "d/dog/b.TIF", "d/cat/c.heic", "d/cat/notes", "d/x.csv"})
    put_file(dir / name, "what");
  put_file(dir / "d/cat/broken.png", "\x89PNG\r\n\x1a\nbroken");
  put_picture(dir / "d/loose.png", 1);
  fs::create_symlink("nowhere", dir / "d/cat/gone.png");
  fs::create_symlink("loop.jpg", dir / "d/cat/loop.jpg");
  fs::create_symlink("..", dir / "d/dog/up");
  ::mkfifo((dir / "d/dog/pipe.png").c_str(), 0644);
}

}  // namespace

TEST_CASE("left out: every file below a folder is a picture, named with a reason, or none") {
  const TempDir dir;
  put_classes(dir);
  const PictureFiles found = picture_files(dir / "d");
  CHECK(found.pictures.size() == 6);  // the broken one has a name like the others
  CHECK(names_of(found.left_out) == std::vector<std::string>{"c.heic", "gone.png", "loop.jpg",
                                                             "a.avif", "b.TIF", "pipe.png", "up"});
  for (const LeftOut& one : found.left_out) CHECK(!one.reason.empty());
  CHECK(contains(found.left_out[3].reason, ".avif is not read; convert it"));
  CHECK(found.others.size() == 2);
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(dir / "d"))
    files += entry.symlink_status().type() != fs::file_type::directory;
  CHECK(files == found.pictures.size() + found.left_out.size() + found.others.size());
}

TEST_CASE("left out: class folders know what is no part of them") {
  const TempDir dir;
  put_classes(dir);
  const ClassFolders data(dir / "d", {.size = 8});
  CHECK(data.size() == 5);
  CHECK(data.left_out().size() == 8);
  CHECK(data.left_out().back().reason == "lies in no class folder");
  CHECK(data.others().size() == 2);
}

TEST_CASE("left out: a class without pictures keeps its label and is named, one of them must do") {
  const TempDir dir;
  for (const char* name : {"d/a", "d/b", "d/c"}) fs::create_directories(dir / name);
  put_file(dir / "d/a/x.avif", "");
  put_file(dir / "d/b/notes.txt", "");
  CHECK(contains(error_of([&] { ClassFolders(dir / "d", {.size = 8}); }), ".avif is not read"));
  put_picture(dir / "d/b/1.png", 200);
  const ClassFolders data(dir / "d", {.size = 8});
  CHECK(data.class_names() == std::vector<std::string>{"a", "b", "c"});
  CHECK(data.empty_classes() == std::vector<std::string>{"a", "c"});
  CHECK(data.get(0, 0).label == 1);
  CHECK(names_of(data.left_out()) == std::vector<std::string>{"x.avif"});
}

TEST_CASE("left out: what is hidden is no class and no picture, and counted among other files") {
  const TempDir dir;
  for (const char* name : {"d/cat/1.png", "d/dog/1.png", "d/dog/.ipynb_checkpoints/1.png",
                           "d/.ipynb_checkpoints/1.png", "d/cat/._1.png", "d/.x.png"})
    put_picture(dir / name, 200);
  put_file(dir / "d/cat/1.txt", "a cat");
  put_file(dir / "d/cat/._1.txt", "what a Mac keeps beside it");
  fs::create_symlink("dog", dir / "d/.link");
  const ClassFolders data(dir / "d", {.size = 8});
  CHECK(data.class_names() == std::vector<std::string>{"cat", "dog"});
  CHECK(data.size() == 2);
  CHECK(data.left_out().empty());
  CHECK(data.others().size() == 7);
  const PairSource pairs = read_pair_folder(dir / "d");
  CHECK(pairs.pairs.size() == 1);
  CHECK(names_of(pairs.left_out) == std::vector<std::string>{"1.png"});
  CHECK(pairs.others.size() == 6);
  CHECK(picture_files(dir / "d/dog/.ipynb_checkpoints").pictures.size() == 1);  // asked for
}

TEST_CASE("left out: a class whose folder is gone is named") {
  const TempDir dir;
  put_classes(dir);
  fs::create_symlink("nowhere", dir / "d/bird");
  const auto names = names_of(ClassFolders(dir / "d", {}, {}).left_out());
  CHECK(std::count(names.begin(), names.end(), "bird") == 1);
}

TEST_CASE("left out: sums that do not agree, too many, and nothing at all are errors") {
  const LeftOut one{"a.png", "cut"};
  check_accounting("eval", {100, 99, {one}}, 0.01);
  CHECK(contains(error_of([&] { check_accounting("eval", {100, 98, {one}}, 1); }), "must agree"));
  CHECK(contains(error_of([&] { check_accounting("eval", {100, 100, {one}}, 1); }), "must agree"));
  CHECK(
      contains(error_of([&] {
                 check_accounting("eval", {99, 98, {one}}, 0.01);
               }),
               "1 of 99 pictures cannot be used, more than --max-bad-fraction 0.01: 'a.png': cut"));
  CHECK(contains(error_of([&] {
                   check_accounting("eval", {1, 0, {one}}, 1);
                 }),
                 "no picture is left"));
  CHECK(contains(error_of([&] { check_accounting("eval", {0, 0, {}}, 1); }), "no picture is left"));
  CHECK(naming({one, one, one, one, one}) == "'a.png': cut, 'a.png': cut, 'a.png': cut and 2 more");
}

TEST_CASE("cli: eval counts and names what it did not use, and stops if that is too much") {
  REQUIRE_BINARY();
  const TempDir dir;
  put_classes(dir);
  const std::string eval =
      "eval --templates exact --model " + saved_model(dir) + " --data " + (dir / "d");
  Outcome r = diptych_run(eval);
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "8 of 13 pictures cannot be used, more than --max-bad-fraction 0.01"));
  r = diptych_run(eval + " --max-bad-fraction 0.9");
  CHECK(r.exit_code == 0);
  CHECK(contains(r.out, "9 of 13 pictures were left out"));
  CHECK(contains(r.out, "2 other files are no pictures"));
  r = diptych_run(eval + " --max-bad-fraction 0.9 --json");
  REQUIRE(r.exit_code == 0);
  const Json said = Json::parse(r.out);
  CHECK(said["listed"] == 13);
  CHECK(said["used"] == 4);
  CHECK(said["pictures"] == 4);
  CHECK(said["left_out"].size() == 9);
  CHECK(said["other_files"] == 2);
  CHECK(contains(said["left_out"].dump(), "broken.png"));
  // One damaged picture alone is found out while they are read.
  for (const char* name : {"d/dog/a.avif", "d/dog/b.TIF", "d/cat/c.heic", "d/loose.png",
                           "d/cat/gone.png", "d/cat/loop.jpg", "d/dog/up", "d/dog/pipe.png"})
    fs::remove(dir / name);
  r = diptych_run(eval);
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "1 of 5 pictures cannot be used"));
  CHECK(contains(r.err, "broken.png"));
  for (const char* name : {"d/cat/1.png", "d/cat/2.png", "d/dog/1.png", "d/dog/2.png"})
    put_file(dir / name, "broken");
  r = diptych_run(eval + " --max-bad-fraction 1");
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "no picture is left of 5"));
}

TEST_CASE("cli: embed, preprocess and classify refuse a bad picture among others, or count it") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string model = " --model " + saved_model(dir);
  put_picture(dir / "a.png", 1);
  put_file(dir / "b.png", "broken");
  put_picture(dir / "c.png", 3);
  const std::string pictures = (dir / "a.png") + ' ' + (dir / "b.png") + ' ' + (dir / "c.png");
  const std::string allow = " --max-bad-fraction 0.4";
  const std::string commands[] = {
      "embed" + model + " --out " + (dir / "x.npy") + " --images " + pictures,
      "preprocess --size 8 --out " + (dir / "x.npy") + ' ' + pictures,
      "classify --labels red,blue --templates exact" + model + ' ' + pictures};
  for (const std::string& command : commands) {
    CAPTURE(command);
    const Outcome refused = diptych_run(command);
    CHECK(refused.exit_code == 1);
    CHECK(contains(refused.err, "1 of 3 pictures cannot be used"));
    CHECK(contains(refused.err, "b.png"));
    CHECK(!fs::exists(dir / "x.npy"));
    const Outcome counted = diptych_run(command + allow);
    CHECK(counted.exit_code == 0);
    CHECK(contains(counted.err, "b.png"));
    if (!command.starts_with("classify")) CHECK(load_npy(dir / "x.npy").dim(0) == 2);
    fs::remove(dir / "x.npy");
  }
  for (const std::string& command : {commands[0], commands[2]}) {
    const Json said = Json::parse(diptych_run(command + allow + " --json").out);
    CHECK(said["listed"] == 3);
    CHECK(said["used"] == 2);
    CHECK(said["left_out"][0]["name"] == dir / "b.png");
  }
  const Outcome none = diptych_run("classify --max-bad-fraction 1 --labels red,blue" + model + ' ' +
                                   (dir / "b.png"));
  CHECK(none.exit_code == 1);
  CHECK(contains(none.err, "no picture is left of 1"));
}

TEST_CASE("cli: every command that reads pictures has a limit of their pixels") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string model = " --model " + saved_model(dir), picture = dir / "d/cat/a.png";
  put_picture(picture, 1);
  put_picture(dir / "d/dog/a.png", 1);
  const std::string out = " --out " + (dir / "x.npy") + ' ', data = dir / "d";
  for (const std::string& command :
       {"embed" + model + out + "--images " + picture, "preprocess --size 8" + out + picture,
        "classify --labels red,blue --templates exact" + model + ' ' + picture,
        "eval --templates exact" + model + " --data " + data}) {
    CAPTURE(command);
    CHECK(diptych_run(command + " --max-image-pixels 64").exit_code == 0);
    const Outcome refused = diptych_run(command + " --max-image-pixels 63");
    CHECK(refused.exit_code == 1);
    CHECK(contains(refused.err, "too many pixels: 8 x 8, the limit is 63"));
  }
}

TEST_CASE("cli: train stops if too much of a folder makes no pair, and names it if not") {
  REQUIRE_BINARY();
  const TempDir dir;
  for (int i = 0; i < 8; ++i) {
    put_picture(dir / ("d/p" + std::to_string(i) + ".png"), 9);
    put_file(dir / ("d/p" + std::to_string(i) + ".txt"), "a thing");
  }
  put_picture(dir / "d/lonely.png", 9);
  put_file(dir / "d/q.avif", "");
  put_file(dir / "d/q.txt", "");
  put_file(dir / "d/gone.txt", "a picture that was lost");
  const std::string train = "train --model tiny --batch-size 4 --epochs 1 --logs " + dir.path() +
                            " --name run --train-data " + (dir / "d");
  Outcome r = diptych_run(train);
  CHECK(r.exit_code == 1);
  CHECK(contains(r.err, "3 of 11 pictures cannot be used"));
  r = diptych_run(train + " --max-bad-fraction 0.3");
  CHECK(r.exit_code == 0);
  for (const char* name : {"3 of 11", "lonely.png", "q.avif", "gone.txt"})
    CHECK(contains(r.err, name));
}

TEST_CASE("cli: captions that will be cut are announced before the first step, with what helps") {
  REQUIRE_BINARY();
  const TempDir dir;
  std::string run = small_run(dir, 1);
  std::string table = get_file(dir / "t.tsv");
  table.replace(table.find("a thing 3"), 9, "a thing with a long tail");
  put_file(dir / "t.tsv", table);
  const Outcome r = diptych_run(run);
  const std::string warning =
      "warning: 12.5 % of the captions (1 of 8) have more than the 16 tokens that tiny reads, each "
      "letter one, and lose their tail, the first is 'a thing with a long tail'; the longest has "
      "21; "
      "--model small reads 32, or shorten them";
  CHECK(contains(r.err, warning));
  CHECK(r.err.find(warning) < r.err.find("step 1/"));
  CHECK(contains(r.err, "1 captions truncated"));
  run.replace(run.find("tiny"), 4, "small");
  CHECK(!contains(diptych_run(run + "--name other").err, "tail"));
  put_file(dir / "texts", "red\n" + std::string(80, 'x') + '\n');
  const Outcome embed = diptych_run("embed --truncate --model " + saved_model(dir) + " --texts " +
                                    (dir / "texts") + " --out " + (dir / "x.npy"));
  CHECK(contains(embed.err, "1 of 2 texts were cut to the context of 8 tokens, the first is 'xxx"));
}

TEST_CASE("cli: the first model that train --help names is one for pictures of one's own") {
  REQUIRE_BINARY();
  const std::string help = diptych_run("train --help").out;
  const size_t at = help.find("architecture: ") + 14;
  const std::string name = help.substr(at, help.find(' ', at) - at);
  const ModelConfig config = preset(name);
  CHECK(config.preprocess.channels == 3);
  CHECK(config.text.context_length >= 32);
  CHECK(config.text.vocab_size > 2 * Tokenizer::kSmallest);
  CHECK(contains(diptych_run("info " + name).out, "for pictures and captions of one's own"));
  CHECK(contains(diptych_run("info tiny").out, "for benchmarks and tests alone"));
}
