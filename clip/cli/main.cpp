// clip/cli/main.cpp — `diptych`: picks the sub-command, turns exceptions into messages and exit
// codes.
#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <exception>

#include "clip/cli/command.h"
#include "clip/cli/resume_flags.h"
#include "clip/console.h"
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
  tell(fmt::format("diptych{}: {}\n", command, error.what()));
  if (const std::string guess = suggestion(app, argc, argv); !guess.empty())
    tell(fmt::format("{}\n", guess));
  tell(fmt::format("Run `diptych{} --help` for all flags.\n", command));
  return kUsage;
}

// Of every command: exceptions become messages, and results that did not arrive a failure.
int exit_code_of(const std::function<int()>& work) {
  try {
    const int code = work();
    finish_printing();
    return code;
  } catch (const UsageError& error) {
    tell(fmt::format("diptych: {}\n", error.what()));
    return kUsage;
  } catch (const std::bad_alloc&) {
    tell("diptych: out of memory; a smaller batch may fit\n");
  } catch (const std::exception& error) {
    tell(fmt::format("diptych: {}\n", error.what()));
  }
  return kFailed;
}

// A shell stops its loop only if the program it waits for died of the signal.
int died_of(int code) {
  if (code != 128 + SIGINT) return code;
  std::signal(SIGINT, SIG_DFL);
  std::raise(SIGINT);
  return code;
}

}  // namespace

int run_command(int argc, char** argv) {
  prepare_streams();
  CLI::App app("Diptych trains CLIP models and classifies with them.", "diptych");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("diptych ") + kVersion);
  Commands commands(app);
  for (const auto add :
       {add_train, add_curves, add_classify, add_embed, add_eval, add_step, add_tokenize,
        add_preprocess, add_gradcheck, add_bench, add_info, add_convert, add_round, add_loss}) {
    add(commands);
  }
  std::vector<std::string> words(argv + 1, argv + argc);
  if (const int code = exit_code_of([&] {
        words = with_flags_of_run(words);
        return 0;
      }))
    return code;
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));  // the last word first
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0)  // --help, --version
      return exit_code_of([&] { return app.exit(error); });
    return usage_error(app, error, argc, argv);
  }
  return died_of(exit_code_of([&] { return commands.run(); }));
}

}  // namespace diptych::cli

int main(int argc, char** argv) { return diptych::cli::run_command(argc, argv); }
