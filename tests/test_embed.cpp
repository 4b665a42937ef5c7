// tests/test_embed.cpp — arrays of many pictures: what names them, rows as they come, names beside
// them, and memory that does not grow.
#include <nlohmann/json.hpp>

#include "data/picture_batches.h"
#include "tensor/io/npy.h"
#include "tests/limited.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

void put_picture(const std::string& path, uint8_t red) {
  fs::create_directories(fs::path(path).parent_path());
  save_png(path, plain(8, 8, {red, 0, 0}));
}

std::vector<std::string> names_of(const std::vector<std::string>& paths) {
  std::vector<std::string> names;
  for (const std::string& path : paths) names.push_back(fs::path(path).filename());
  return names;
}

using Names = std::vector<std::string>;

}  // namespace

TEST_CASE("embed: pictures are named one by one, by folders, by tables and by lists") {
  const TempDir dir;
  for (const char* name : {"d/b.png", "d/a/c.png", "d/.hidden/x.png", "e.png"})
    put_picture(dir / name, 1);
  put_file(dir / "d/n.webq", "");
  put_file(dir / "t.tsv", "filepath\nd/b.png\nd/a/c.png\n");
  put_file(dir / "u.csv", "title,picture\nred,e.png\n");
  put_file(dir / "l.txt",
           "\xef\xbb\xbf"
           "e.png\r\n\r\n" +
               (dir / "d/b.png"));
  const auto named = [&](const Names& specs, const PairOptions& options = {}) {
    return name_pictures(specs, options);
  };
  CHECK(names_of(named({dir / "d"}).pictures) == Names{"c.png", "b.png"});
  CHECK(named({dir / "d"}).others.size() == 2);
  CHECK(names_of(named({dir / "e.png", dir / "d", dir / "e.png"}).pictures) ==
        Names{"e.png", "c.png", "b.png", "e.png"});
  CHECK(named({dir / "t.tsv"}).pictures == Names{dir / "d/b.png", dir / "d/a/c.png"});
  PairOptions comma;
  comma.separator = ',';
  comma.image_key = "picture";
  CHECK(named({dir / "u.csv"}, comma).pictures == Names{dir / "e.png"});
  CHECK(named({dir / "l.txt"}).pictures == Names{dir / "e.png", dir / "d/b.png"});
  CHECK(contains(error_of([&] { named({dir / "u.csv"}); }), "no column 'filepath'"));
  put_file(dir / "l.txt", "\n\n");
  CHECK(contains(error_of([&] { named({dir / "l.txt"}); }), "names none"));
  fs::create_directories(dir / "empty/.git");
  CHECK(contains(error_of([&] { named({dir / "empty"}); }), "there is none below"));
}

TEST_CASE(
    "embed: batches hold all pictures in their order, and stop at once when too many are bad") {
  const TempDir dir;
  Names paths;
  for (uint8_t i = 0; i < 7; ++i) {
    paths.push_back(dir / (std::to_string(i) + ".png"));
    put_picture(paths.back(), i);
  }
  put_file(paths[1], "broken");
  put_file(paths[6], "broken");
  std::vector<int> reds;
  std::vector<int64_t> sizes;
  const auto read = [&](double fraction) {
    reds.clear();
    sizes.clear();
    return each_picture_batch("test", name_pictures(paths), {.size = 8}, fraction, {}, 3,
                              [&](const PictureBatch& batch) {
                                sizes.push_back(batch.bytes.dim(0));
                                REQUIRE(batch.names.size() == size_t(batch.bytes.dim(0)));
                                for (size_t b = 0; b < batch.names.size(); ++b) {
                                  const auto at = static_cast<int64_t>(b);
                                  const auto row = batch.bytes.select(0, at).contiguous();
                                  reds.push_back(row.to_vector<uint8_t>()[0]);
                                  CHECK(*batch.names[b] == paths[size_t(reds.back())]);
                                }
                              });
  };
  const Accounting account = read(0.3);
  CHECK(reds == std::vector<int>{0, 2, 3, 4, 5});
  CHECK(sizes == std::vector<int64_t>{2, 3});  // nothing is left of the last batch
  CHECK(account.listed == 7);
  CHECK(account.used == 5);
  CHECK(account.left_out.size() == 2);
  CHECK(contains(error_of([&] { read(0.1); }), "at least 1 of 7 pictures cannot be used"));
  CHECK(sizes.empty());  // of the first batch
  for (const std::string& path : paths) put_file(path, "broken");
  CHECK(contains(error_of([&] { read(1); }), "no picture is left of 7"));
}

TEST_CASE("embed: an array written row by row is the array, of fewer rows than expected too") {
  const TempDir dir;
  const Tensor x = randn({1234, 3}, {1, 0});
  for (const int64_t expected : {1234, 1235, 9999, 10000, 1000000000}) {
    write_file_atomically(dir / "x.npy", [&](FileWriter& out) {
      NpyRows rows(out, {3}, expected);
      rows.add(x.slice(0, 0, 1000));
      rows.add(x.slice(0, 1000, 1234));
      rows.finish();
      CHECK(rows.size() == 1234);
    });
    CHECK(same_bits(load_npy(dir / "x.npy"), x));
  }
  save_npy(dir / "whole.npy", x);
  write_file_atomically(dir / "x.npy", [&](FileWriter& out) {
    NpyRows rows(out, {3}, 1234);
    rows.add(x);
    rows.finish();
  });
  CHECK(get_file(dir / "x.npy") == get_file(dir / "whole.npy"));
  write_file_atomically(dir / "x.npy", [&](FileWriter& out) {
    NpyRows rows(out, {3}, 2);
    CHECK(contains(error_of([&] { rows.add(x); }), "at most 2"));
    CHECK(contains(error_of([&] { rows.add(zeros({1, 4})); }), "do not go on"));
    CHECK(contains(error_of([&] { rows.add(zeros({1, 3}, DType::f64)); }), "do not go on"));
  });
}

TEST_CASE("cli: embed has the same rows for a folder as for its pictures, and names each") {
  REQUIRE_BINARY();
  const TempDir dir;
  for (uint8_t i = 0; i < 70; ++i) put_picture(dir / ("d/" + std::to_string(i) + ".png"), i);
  put_picture(dir / "d/a \"tab\"\there.png", 99);
  put_file(dir / "d/zz.png", "broken");
  const std::string embed = "embed --model " + saved_model(dir) + " --max-bad-fraction 0.1 --out ";
  const Outcome r = diptych_run(embed + (dir / "x/x.npy") + " --json --images " + (dir / "d"));
  CHECK(r.exit_code == 1);  // there is no such folder
  fs::create_directories(dir / "x");
  const Outcome ok = diptych_run(embed + (dir / "x/x.npy") + " --json --images " + (dir / "d"));
  REQUIRE(ok.exit_code == 0);
  const Json said = Json::parse(ok.out);
  CHECK(said["shape"] == Json{71, 16});
  CHECK(said["listed"] == 72);
  CHECK(said["names"] == dir / "x/names.tsv");
  CHECK(contains(said["left_out"].dump(), "zz.png"));
  std::istringstream names(get_file(dir / "x/names.tsv"));
  std::string all;
  int64_t rows = 0;
  for (std::string name; std::getline(names, name); ++rows) {
    if (name.starts_with('"'))
      CHECK(name == "\"" + (dir / "d/a \"\"tab\"\"\there.png") + "\"");
    else
      all += ' ' + name;
  }
  CHECK(rows == 71);
  const Tensor x = load_npy(dir / "x/x.npy");
  REQUIRE(diptych_run(embed + (dir / "y.npy") + " --names " + (dir / "n") + " --images" + all)
              .exit_code == 0);
  CHECK(!fs::exists(dir / "names.tsv"));
  const Tensor y = load_npy(dir / "y.npy");
  CHECK(y.dim(0) == 70);
  CHECK(same_bits(y, x.slice(0, 0, 70)));  // the other is last in the order of paths
  put_file(dir / "names.tsv", "filepath\nd/1.png\n");
  CHECK(contains(diptych_run(embed + (dir / "z.npy") + " --images " + (dir / "names.tsv")).err,
                 "would be replaced by the names"));
  CHECK(get_file(dir / "names.tsv") == "filepath\nd/1.png\n");
  // Nothing is written if too much is bad, beside a device no names.
  fs::remove_all(dir / "x");
  fs::create_directories(dir / "x");
  const std::string model = "embed --model " + (dir / "m.safetensors");
  CHECK(diptych_run(model + " --out " + (dir / "x/x.npy") + " --images " + (dir / "d")).exit_code ==
        1);
  CHECK(fs::is_empty(dir / "x"));
  CHECK(diptych_run(embed + "/dev/null --images " + (dir / "d/1.png")).exit_code == 0);
  CHECK(!fs::exists("/dev/names.tsv"));
}

TEST_CASE("embed: names beside an array stay until it is written anew") {
  REQUIRE_BINARY();
  const TempDir dir;
  for (const char* name : {"d/\"1\".png", "d/2.png", "e/1.png", "e/2.png", "f/1.png"})
    put_picture(dir / name, 1);
  const std::string model = "embed --model " + saved_model(dir) + " --out " + dir.path();
  const auto run = [&](const std::string& flags) {
    const Outcome r = diptych_run(model + "/" + flags);
    CHECK(r.exit_code == 0);
    return r.err;
  };
  put_file(dir / "names.tsv", "of\nno array\n\"here");
  const std::string d = "--images " + (dir / "d"), e = "--images " + (dir / "e"),
                    f = "--images " + (dir / "f");
  run("a.npy " + d);
  const std::string names = get_file(dir / "names.tsv");
  run("b.npy " + d);  // they are those of both
  CHECK_FALSE(fs::exists(dir / "b.names.tsv"));
  fs::remove(dir / "b.npy");
  const std::string told = run("b.npy " + e);
  CHECK(contains(told, "names.tsv has the names of '" + (dir / "a.npy") + "'"));
  CHECK(contains(told, "those of '" + (dir / "b.npy") + "' go to '" + (dir / "b.names.tsv")));
  run("b.npy " + f);  // where they are already
  CHECK(get_file(dir / "b.names.tsv") == (dir / "f/1.png") + "\n");
  CHECK(get_file(dir / "names.tsv") == names);
  run("a.npy " + f);  // its own
  CHECK(get_file(dir / "names.tsv") == (dir / "f/1.png") + "\n");
  for (const char* gone : {"a.npy", "b.npy", "b.names.tsv"}) fs::remove(dir / gone);
  CHECK_FALSE(contains(run("c.npy " + e), "go to"));  // nobody's
}

TEST_CASE("embed: memory is that of a batch, not of all pictures") {
  const TempDir dir;
  put_picture(dir / "p.png", 7);
  const PictureNames names = name_pictures(Names(400, dir / "p.png"));
  const Limited got = run_limited(int64_t{64} << 20, [&] {  // all of them would be 241 MB
    write_file_atomically(dir / "x.npy", [&](FileWriter& out) {
      NpyRows rows(out, {3, 224, 224}, names.size());
      each_picture_batch("test", names, {}, 0, {}, 8, [&](const PictureBatch& batch) {
        rows.add(normalized(batch.bytes, pixel_table({})));
      });
      rows.finish();
    });
  });
  CHECK(got.error == "");
  CHECK(got.growth < int64_t{48} << 20);
}
