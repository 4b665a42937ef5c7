// tests/torture.cpp — a small run with a known end.
#include "tests/torture.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <sstream>

namespace diptych::test {
namespace {

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

}  // namespace

Ordeal::Ordeal(int epochs, const std::string& more)
    : flags_(small_run(dir_, epochs) + "--workers 0 --keep 99 ") {
  const Outcome end = shell_run(shell_line());
  check(end.exit_code == 0, "test: the undisturbed run failed: ", end.err);
  for (const int64_t step : visible()) reference_[step] = files_of(step);
  flags_ += more + ' ';
}

std::string Ordeal::shell_line(bool resume) const {
  return "$DIPTYCH " + flags_ + (resume ? "--resume latest " : "");
}

std::vector<std::string> Ordeal::command(bool resume) const {
  std::vector<std::string> all{std::getenv("DIPTYCH")};
  for (const std::string& word : words_of(flags_ + (resume ? " --resume latest" : "")))
    all.push_back(word);
  return all;
}

void Ordeal::clear() const { std::filesystem::remove_all(folder()); }

std::vector<int64_t> Ordeal::visible() const {
  std::vector<int64_t> steps;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder() + "/checkpoints", none)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("step_") && name.find('.') == name.npos)
      steps.push_back(std::stoll(name.substr(5)));
  }
  std::sort(steps.begin(), steps.end());
  return steps;
}

std::string Ordeal::files_of(int64_t step) const {
  const std::string checkpoint = checkpoint_path(folder(), step);
  return get_file(checkpoint + "/model.safetensors") +
         get_file(checkpoint + "/training.safetensors");
}

bool Ordeal::same_bits(int64_t step) const {
  const auto it = reference_.find(step);
  return it != reference_.end() && files_of(step) == it->second;
}

std::string Ordeal::damage() const {
  for (const int64_t step : visible()) {
    const std::string path = checkpoint_path(folder(), step);
    if (reference_.contains(step) ? !same_bits(step) : !is_intact(path))
      return "'" + path + "' is not what it should be";
  }
  return "";
}

int64_t Ordeal::logged() const {
  std::istringstream lines(get_file(folder() + "/metrics.jsonl"));
  int64_t step = 0;
  for (std::string line; std::getline(lines, line);) {
    const auto record = nlohmann::json::parse(line, nullptr, false);
    if (!record.is_object() || record.value("step", int64_t{0}) != ++step) return -1;
  }
  return step;
}

std::string Ordeal::log_fault() const {
  return logged() == steps() ? "" : "metrics.jsonl:\n" + get_file(folder() + "/metrics.jsonl");
}

Verdict Ordeal::finish() const {
  if (const std::string found = damage(); !found.empty()) return {found, Verdict::none};
  const bool resume = !visible().empty();
  Verdict::Way way = resume ? Verdict::resumed : Verdict::restarted;
  Outcome end = shell_run(shell_line(resume));
  const std::string first = end.err;
  if (end.exit_code != 0) {
    way = resume ? Verdict::restarted : Verdict::resumed;
    end = shell_run(shell_line(!resume));
  }
  if (end.exit_code != 0) return {"neither goes on: " + first + "nor: " + end.err, Verdict::none};
  if (!same_bits(steps())) return {"ends with other bits", way};
  return {damage() + log_fault(), way};
}

TracedEnd Ordeal::traced(const std::function<Fate(const SystemCall&)>& decide) const {
  clear();
  return trace(command(), decide);
}

std::vector<SystemCall> Ordeal::calls() const {
  std::vector<SystemCall> all;
  traced([&](const SystemCall& call) {
    if (!all.empty() || is_ours(call)) all.push_back(call);
    return Fate{};
  });
  return all;
}

// Under a sanitizer a process takes seconds to begin: one case in four there.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kSparser = 4;
#else
constexpr size_t kSparser = 1;
#endif

Selection::Selection(size_t all, size_t few)
    : stride_(std::getenv("DIPTYCH_TORTURE") ? 1 : std::max<size_t>(1, kSparser * all / few)) {}

int64_t Selection::moments(int64_t few) {
  const char* given = std::getenv("DIPTYCH_TORTURE");
  return given ? std::stoll(given) : std::max<int64_t>(1, few / static_cast<int64_t>(kSparser));
}

void Row::add(const std::string& where, const Verdict& verdict) {
  ++tried_;
  wrong_ += !verdict.fault.empty();
  restarted_ += verdict.way == Verdict::restarted;
  resumed_ += verdict.way == Verdict::resumed;
  CAPTURE(where);
  CHECK(verdict.fault == "");
}

Row::~Row() {
  if (!std::getenv("DIPTYCH_TORTURE")) return;
  std::printf("%-56s %6ld tried %6ld restarted %6ld resumed %6ld wrong\n", what_.c_str(), tried_,
              restarted_, resumed_, wrong_);
  std::fflush(stdout);
}

}  // namespace diptych::test
