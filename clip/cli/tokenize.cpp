// clip/cli/tokenize.cpp — `diptych tokenize`: texts on stdin, ids on stdout.
#include <fmt/core.h>

#include <iostream>

#include "clip/cli/command.h"

namespace diptych::cli {
namespace {

struct Flags {
  std::string model, vocab;
  int64_t max_length = 77;
  bool truncate = false;
};

Tokenizer open_tokenizer(const Flags& flags) {
  check(flags.model.empty() != flags.vocab.empty(), "tokenize: give either --vocab or --model");
  return flags.vocab.empty() ? load_model(flags.model).words() : Tokenizer::load(flags.vocab);
}

int run(const Flags& flags) {
  const Tokenizer tokenizer = open_tokenizer(flags);
  const Overflow overflow = flags.truncate ? Overflow::truncate : Overflow::error;
  int64_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    try {
      std::string out;
      for (const int64_t id : tokenizer.tokenize(line, flags.max_length, overflow)) {
        out += (out.empty() ? "" : " ") + std::to_string(id);
      }
      fmt::print("{}\n", out);
    } catch (const Error& error) {
      fail("line ", number, ": ", error.what());
    }
  }
  return 0;
}

void declare(Command command, Flags& flags) {
  command.option("--vocab", flags.vocab, "merges file, such as bpe_simple_vocab_16e6.txt.gz")
      .option("--model", flags.model, "take the vocabulary of this model")
      .option("--max-length", flags.max_length, "tokens, start and end included", {2, 1 << 20})
      .flag("--truncate", flags.truncate, "cut longer texts instead of refusing them");
}

}  // namespace

void add_tokenize(Commands& commands) {
  commands.add("tokenize", "turn texts on stdin, one per line, into token ids", declare, run);
}

}  // namespace diptych::cli
