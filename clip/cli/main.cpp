// clip/cli/main.cpp — `diptych`: picks the sub-command, turns exceptions into messages and exit
// codes.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <exception>

#include "clip/cli/command.h"
#include "clip/spelling.h"
#include "clip/version.h"

namespace diptych::cli {
namespace {

constexpr int kFailed = 1, kUsage = 2;

// The flags and commands a mistyped word could have meant.
std::vector<std::string> known_words(const CLI::App& app, bool flags) {
  std::vector<std::string> words;
  if (flags) {
    for (const CLI::Option* option : app.get_options())
      words.push_back("--" + option->get_single_name());
  } else {
    for (const CLI::App* command : app.get_subcommands({})) words.push_back(command->get_name());
  }
  return words;
}

std::string suggestion(const CLI::App& app, int argc, char** argv) {
  const auto chosen = app.get_subcommands();
  const CLI::App& active = chosen.empty() ? app : *chosen[0];
  for (int i = 1; i < argc; ++i) {
    const std::string word = std::string(argv[i]).substr(0, std::string(argv[i]).find('='));
    const bool flag = word.starts_with("--");
    if (!flag && !chosen.empty()) continue;
    const auto words = known_words(active, flag);
    if (std::find(words.begin(), words.end(), word) != words.end()) continue;
    const std::string guess = nearest(word, words);
    if (!guess.empty()) return "did you mean " + guess + "?";
  }
  return {};
}

int usage_error(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  const auto chosen = app.get_subcommands();
  const std::string command = chosen.empty() ? "" : " " + chosen[0]->get_name();
  fmt::print(stderr, "diptych{}: {}\n", command, error.what());
  if (const std::string guess = suggestion(app, argc, argv); !guess.empty())
    fmt::print(stderr, "{}\n", guess);
  fmt::print(stderr, "Run `diptych{} --help` for all flags.\n", command);
  return kUsage;
}

}  // namespace

int run_command(int argc, char** argv) {
  CLI::App app("Diptych trains CLIP models and classifies with them.", "diptych");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("diptych ") + kVersion);
  Commands commands(app);
  for (const auto add : {add_train, add_classify, add_embed, add_eval, add_step, add_tokenize,
                         add_preprocess, add_gradcheck, add_bench, add_info, add_convert}) {
    add(commands);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    return usage_error(app, error, argc, argv);
  }
  try {
    return commands.run();
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "diptych: out of memory; a smaller batch may fit\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "diptych: {}\n", error.what());
  }
  return kFailed;
}

}  // namespace diptych::cli

int main(int argc, char** argv) { return diptych::cli::run_command(argc, argv); }
