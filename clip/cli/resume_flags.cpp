// clip/cli/resume_flags.cpp — from the words of a command line to the folder of a run and its
// flags.
#include "clip/cli/resume_flags.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "clip/train/params_file.h"
#include "tensor/io/file.h"

namespace diptych::cli {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

std::string flag_of(const std::string& word) {
  return word.starts_with("--") ? word.substr(0, word.find('=')) : "";
}

// The last value of a flag, as "--flag value" or "--flag=value"; empty if it is not given.
std::string value_of(const Words& words, const std::string& flag) {
  std::string value;
  for (size_t i = 0; i < words.size(); ++i) {
    if (flag_of(words[i]) != flag) continue;
    const size_t equals = words[i].find('=');
    if (equals != std::string::npos)
      value = words[i].substr(equals + 1);
    else if (i + 1 < words.size())
      value = words[i + 1];
  }
  return value;
}

// The run whose checkpoint, or which itself, `path` is.
fs::path run_of(const fs::path& path) {
  std::error_code none;
  const fs::path real = fs::weakly_canonical(path, none);
  const bool checkpoint = real.parent_path().filename() == "checkpoints";
  return checkpoint ? real.parent_path().parent_path() : path;
}

// Where the run is that the words speak of; empty if they do not say.
fs::path run_in(const Words& words) {
  const std::string resume = value_of(words, "--resume");
  if (resume != "latest") return run_of(resume);
  std::string name = value_of(words, "--name"), logs = value_of(words, "--logs");
  if (name.empty()) name = value_of(words, "--preset");
  return name.empty() ? fs::path() : fs::path(logs.empty() ? "./logs" : logs) / name;
}

// A trailing slash is no name.
fs::path plain(const fs::path& folder) {
  return folder.has_filename() ? folder : folder.parent_path();
}

}  // namespace

void check_own_run(const std::string& resume, const std::string& folder) {
  if (resume.empty() || resume == "latest") return;
  std::error_code none;
  const fs::path run = plain(run_of(resume));
  check(fs::weakly_canonical(run, none) == fs::weakly_canonical(folder, none), "resume: '", resume,
        "' is of the run '", run.string(), "', which goes on in its own folder, not in '", folder,
        "'; leave --name and --logs out, or begin a new run with its weights: --pretrained ",
        run.string());
}

std::vector<std::string> with_flags_of_run(Words words) {
  const bool trains = !words.empty() && words[0] == "train";
  if (!trains || value_of(words, "--resume").empty()) return words;
  const std::string resume = value_of(words, "--resume");
  check(resume == "latest" || is_there(resume), "resume: there is no run and no checkpoint '",
        resume, "'; give the folder of one, such as logs/demo");
  const fs::path run = plain(run_in(words));
  const std::string params = run / "params.json";
  if (run.empty() || !is_file(params)) return words;
  GivenFlags kept = read_run_params(params).flags;
  kept["--logs"] = {run.has_parent_path() ? run.parent_path().string() : "."};
  kept["--name"] = {run.filename()};
  for (const std::string& word : words) kept.erase(flag_of(word));
  Words all{words[0]};
  for (const auto& [flag, values] : kept)
    for (const std::string& value : values) all.push_back(flag + '=' + value);
  all.insert(all.end(), words.begin() + 1, words.end());
  return all;
}

}  // namespace diptych::cli
