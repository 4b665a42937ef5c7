// tests/test_curves.cpp — `diptych curves`: what is read of runs, and what is printed.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "clip/curves/history.h"
#include "clip/curves/settings.h"
#include "clip/curves/summary.h"
#include "tests/metrics.h"
#include "tests/program.h"

using namespace diptych;
using namespace diptych::test;
using namespace diptych::curves;

namespace fs = std::filesystem;

namespace {

History history_of(const std::string& metrics) {
  const TempDir dir;
  put_file(dir / "metrics.jsonl", metrics);
  return read_history(dir.path());
}

std::vector<int64_t> steps_of(const Series& series) {
  std::vector<int64_t> steps;
  for (const Point& p : series) steps.push_back(p.step);
  return steps;
}

using Steps = std::vector<int64_t>;

}  // namespace

TEST_CASE("curves: every figure of every record is read, with its step and its pairs") {
  const History run = history_of(step_line(1, "4.5", ",\"lr\":1e-3,\"eta_seconds\":5") +
                                 val_line(1, "\"loss\":3.5,\"acc1\":0.25") +
                                 step_line(2, "\"nan\"", ",\"lr\":2e-3,\"host\":\"x\""));
  CHECK(run.records == 3);
  CHECK(run.damaged == 0);
  CHECK(steps_of(run.of("loss")) == Steps{1, 2});
  CHECK(run.of("lr")[1].y == 2e-3);
  CHECK(run.of("lr")[1].samples == 16);
  CHECK(run.of("val/acc1")[0].y == 0.25);
  CHECK(std::isnan(run.of("loss")[1].y));
  CHECK(run.not_finite("loss") == 1);
  CHECK(run.unread == std::set<std::string>{"eta_seconds", "host"});
  CHECK(run.of("val/epoch").empty());
}

TEST_CASE("curves: lines that are no records are counted, the first by number and reason") {
  const std::string good = step_line(1, "4");
  const std::pair<std::string, std::string> cases[] = {
      {"{\"step\":2,\"sam\n", "line 2: damaged"},
      {"\n", "line 2: damaged"},
      {"[1,2]\n", "no object"},
      {"\xff\n", "line 2: "},
      {"{\"samples\":8,\"loss\":1}\n", "it has no step"},
      {"{\"step\":1,\"loss\":1}\n", "it has no samples"},
      {"{\"step\":-1,\"samples\":8,\"loss\":1}\n", "step is -1"},
      {"{\"step\":1e300,\"samples\":8,\"loss\":1}\n", "no whole number"},
      {"{\"step\":18446744073709551615,\"samples\":8,\"loss\":1}\n", "which no run reaches"},
      {step_line(2, "\"low\""), "loss is '\"low\"', no number"},
      {step_line(2, "null"), "loss is 'null', no number"},
      {step_line(2, "1", ",\"lr\":[]"), "lr is '[]', no number"},
      {step_line(2, "1", ",\"loss\":2"), "loss"},
      {"{\"step\":2,\"samples\":8,\"lr\":1}\n", "neither loss nor val"},
      {"{\"step\":2,\"samples\":8,\"val\":7}\n", "val is '7', no object"},
      {val_line(2, "\"\\u001b[0m\":1"), "val has '\\x1b[0m', no name of a figure"},
      {val_line(2, "\"loss\":true"), "val/loss is 'true', no number"},
      {step_line(2, "1", ",\"x\":\"" + std::string(70000, 'x') + '"'), "longer than 65536 bytes"}};
  for (const auto& [line, reason] : cases) {
    CAPTURE(reason);
    const History run = history_of(good + line + line + step_line(3, "3"));
    CHECK(run.damaged == 2);
    CHECK(run.first_damaged.starts_with("line 2: "));
    CHECK(contains(run.first_damaged, reason));
    CHECK(steps_of(run.of("loss")) == Steps{1, 3});
    CHECK(!run.unfinished);
  }
}

TEST_CASE("curves: the half line of a run in progress is no damage") {
  const std::string all = step_line(1, "4") + step_line(2, "3");
  const size_t first = step_line(1, "4").size();
  for (size_t cut = 0; cut <= all.size(); ++cut) {
    CAPTURE(cut);
    const History run = history_of(all.substr(0, cut));
    CHECK(run.damaged == 0);
    const int64_t whole = (cut + 1 >= first) + (cut + 1 >= all.size());
    CHECK(run.records == whole);
    CHECK(run.unfinished == (cut % first != 0 && cut + 1 != first && cut + 1 < all.size()));
  }
}

TEST_CASE("curves: of a step taken again the later record counts, and nothing behind it stays") {
  const History run = history_of(step_line(1, "5") + step_line(2, "4") + val_line(2, "\"loss\":9") +
                                 step_line(3, "3") + val_line(3, "\"loss\":8") + step_line(2, "7"));
  CHECK(steps_of(run.of("loss")) == Steps{1, 2});
  CHECK(run.of("loss")[1].y == 7);
  CHECK(run.of("val/loss").empty());
  CHECK(run.taken_again == 4);
  CHECK(run.records == 2);
  const History again = history_of(step_line(1, "5") + val_line(1, "\"loss\":9") +
                                   val_line(1, "\"loss\":8") + step_line(2, "4"));
  CHECK(again.of("val/loss").size() == 1);
  CHECK(again.of("val/loss")[0].y == 8);
  CHECK(steps_of(again.of("loss")) == Steps{1, 2});
}

TEST_CASE("curves: whatever byte is changed, every line is drawn or counted") {
  const std::string good = step_line(1, "4.5", ",\"lr\":1e-3") + val_line(1, "\"acc1\":0.5") +
                           step_line(2, "\"nan\"", ",\"lr\":2e-3");
  const TempDir dir;
  for (size_t at = 0; at < good.size(); ++at) {
    for (const char byte : {'\0', '\n', '"', '-', '9', 'e', '{', '}', '\xff'}) {
      std::string bytes = good;
      bytes[at] = byte;
      put_file(dir / "metrics.jsonl", bytes);
      const History run = read_history(dir.path());
      const int64_t whole = std::count(bytes.begin(), bytes.end(), '\n');
      const int64_t lines = whole + (bytes.back() != '\n');
      const int64_t told = run.records + run.taken_again + run.damaged + run.unfinished;
      CHECK_MESSAGE(told == lines, bytes);
    }
  }
}

TEST_CASE("curves: a file of many pieces is read whole") {
  std::string metrics;
  for (int step = 1; step <= 41000; ++step) metrics += step_line(step, "0.5");
  REQUIRE(metrics.size() > (size_t{1} << 21));
  const History run = history_of(metrics);
  CHECK(run.damaged == 0);
  REQUIRE(run.of("loss").size() == 41000);
  for (size_t i = 0; i < 41000; ++i) REQUIRE(run.of("loss")[i].step == static_cast<int64_t>(i) + 1);
}

TEST_CASE("curves: names tell runs apart") {
  const TempDir dir;
  const std::string a = run_in(dir, "x/a", ""), b = run_in(dir, "y/a", ""),
                    c = run_in(dir, "c", "");
  const auto runs = read_histories({a, b, c + "/"});
  CHECK(runs[0].name == a);
  CHECK(runs[1].name == b);
  CHECK(runs[2].name == "c");
  CHECK(contains(error_of([&] { read_histories({a, a}); }), "is given twice"));
  CHECK(contains(error_of([&] { read_histories({a, dir / "y/../x/a"}); }), "also as '" + a));
  CHECK(contains(error_of([&] { read_histories({dir / "y"}); }), "is no run: it has neither"));
  CHECK(contains(error_of([&] { read_histories({dir / "none"}); }), "is no folder"));
  CHECK(contains(error_of([&] { read_histories(std::vector<std::string>(65, a)); }), "at most 64"));
}

TEST_CASE("curves: final figures") {
  std::string metrics;
  for (int step = 1; step <= 20; ++step)
    metrics += step_line(step, std::to_string(step),
                         ",\"pairs_per_second\":" + std::to_string(step * step) +
                             ",\"skipped\":" + std::to_string(step / 10) + ",\"bad_samples\":4");
  metrics += val_line(5, "\"loss\":2,\"acc1\":0.5,\"image_to_text_median_rank\":3");
  metrics += val_line(10, "\"loss\":1,\"acc1\":0.7,\"image_to_text_median_rank\":2");
  metrics += val_line(15, "\"loss\":\"nan\",\"acc1\":0.7,\"image_to_text_median_rank\":4");
  const Summary s = summary_of(history_of(metrics));
  CHECK(s.steps == 20);
  CHECK(s.pairs == 160);
  CHECK(s.loss == 19.5);  // steps 19 and 20
  CHECK(s.pairs_per_second == (100 + 121) / 2.0);
  CHECK(s.skipped == 2);
  CHECK(s.bad_samples == 4);
  REQUIRE(s.validation.size() == 3);
  CHECK(s.validation[0].name == "acc1");
  CHECK(s.validation[0].best == 0.7);
  CHECK(s.validation[0].best_step == 10);
  CHECK(s.validation[1].best == 2);  // the lowest rank
  CHECK(s.validation[1].last == 4);
  CHECK(s.validation[2].best == 1);
  CHECK(std::isnan(s.validation[2].last));
}

TEST_CASE("curves: the final loss is the mean over the last tenth, of mean_loss where it is told") {
  std::string metrics = step_line(10, "9", ",\"mean_loss\":2") +
                        step_line(19, "9", ",\"mean_loss\":4") +
                        step_line(20, "9", ",\"mean_loss\":\"inf\"");
  CHECK(summary_of(history_of(metrics)).loss == 4);
  CHECK(summary_of(history_of(step_line(1, "3"))).loss == 3);
  CHECK(std::isnan(summary_of(history_of(step_line(1, "\"nan\""))).loss));
  CHECK(std::isnan(summary_of(history_of("")).loss));
}

TEST_CASE("curves: settings that differ, flat, with those that one run lacks") {
  const TempDir dir;
  const auto settings = [&](const std::string& params) {
    put_file(dir / "params.json", params);
    return read_settings(dir.path());
  };
  const Settings a =
      settings(R"({"lr":1e-3,"wd":null,"model":{"text":{"width":8}},"may_change":{"workers":1}})");
  const Settings b = settings(
      R"({"lr":2e-3,"wd":null,"model":{"text":{"width":9}},"seed":1,"may_change":{"workers":1}})");
  const auto rows = differences({a, b});
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].key == "lr");
  CHECK(rows[0].values == std::vector<std::string>{"0.001", "0.002"});
  CHECK(rows[1].key == "model.text.width");
  CHECK(rows[2].key == "seed");
  CHECK(rows[2].values == std::vector<std::string>{"", "1"});
  CHECK(a.at("workers") == "1");
  CHECK(differences({a, a}).empty());
  for (const char* bad : {"", "[]", "{}", "{\"\\u001b\":1}", "{\"a\":1,\"a\":1}",
                          "{\"seed\":1,\"may_change\":{\"seed\":2}}"})
    CHECK(contains(error_of([&] { settings(bad); }), "params.json' is damaged"));
  fs::remove(dir / "params.json");
  CHECK(contains(error_of([&] { read_settings(dir.path()); }), "there is no"));
}

TEST_CASE("curves: the command prints figures and settings, and names what it left out") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string a =
      run_in(dir, "a", step_line(1, "3") + "half\n" + step_line(2, "\"nan\""), R"({"lr":1})");
  const std::string b =
      run_in(dir, "b", step_line(1, "2") + val_line(1, "\"acc1\":0.5"), R"({"lr":2})");
  const Outcome r = diptych_run("curves " + a + " " + b + " --out " + (dir / "c.svg"));
  CHECK(r.exit_code == 0);
  for (const char* words :
       {"loss, last tenth", "val acc1", "0.5 (best)", "settings that differ", "lr "})
    CHECK_MESSAGE(contains(r.out, words), r.out);
  CHECK(contains(r.err, "a: 1 line is no record: line 2: damaged"));
  CHECK(contains(r.err, "a: 1 value of loss is NaN or infinite"));
  CHECK(contains(get_file(dir / "c.svg"), "</svg>"));
}

TEST_CASE("curves: --json is the same as one object") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string a = run_in(dir, "a", step_line(2, "3"), R"({"lr":1,"wd":2})");
  const std::string b = run_in(dir, "b", step_line(1, "\"nan\"") + "x", R"({"lr":null,"wd":2})");
  const Outcome r = diptych_run("curves --json " + a + " " + b);
  REQUIRE(r.exit_code == 0);
  const auto json = nlohmann::json::parse(r.out);
  CHECK(json["runs"][0]["loss"] == 3);
  CHECK(json["runs"][0]["steps"] == 2);
  CHECK(json["runs"][1]["loss"].is_null());
  CHECK(json["runs"][1]["notes"].size() == 2);
  CHECK(json["settings_that_differ"].size() == 1);
  CHECK(json["settings_that_differ"]["lr"]["a"] == 1);
  CHECK(json["settings_that_differ"]["lr"]["b"].is_null());
  CHECK(json["out"].is_null());
}

TEST_CASE("curves: what cannot be compared is an error, and nothing is written") {
  REQUIRE_BINARY();
  const TempDir dir;
  const std::string a = run_in(dir, "a", step_line(1, "3")), empty = run_in(dir, "e", "");
  const auto fails = [&](const std::string& arguments, int code, const std::string& words) {
    CAPTURE(arguments);
    const Outcome r = diptych_run("curves " + arguments + " --out " + (dir / "c.svg"));
    CHECK(r.exit_code == code);
    CHECK(r.out.empty());
    CHECK_MESSAGE(contains(r.err, words), r.err);
    CHECK(!fs::exists(dir / "c.svg"));
  };
  fails("", 2, "runs is required");
  fails(dir.path(), 1, "is no run");
  fails(a + " " + a, 1, "is given twice");
  fails(empty, 1, "no run has told anything yet");
  fails(dir / "a/metrics.jsonl", 1, "is no folder");
  const Outcome r = diptych_run("curves " + a + " --out c.png");
  CHECK(r.exit_code == 2);
  fs::remove(dir / "a/metrics.jsonl");
  fs::create_directory(dir / "a/metrics.jsonl");
  fails(a, 1, "metrics.jsonl'");
}
