// clip/cli/tokenize.cpp — `diptych tokenize`: texts on stdin, ids on stdout.
#include <fmt/core.h>

#include <iostream>

#include "clip/cli/command.h"
#include "clip/weights/vocabulary.h"

namespace diptych::cli {
namespace {

struct Flags {
  std::string model, vocab;
  int64_t max_length = 77;
  bool truncate = false, specials = false;
};

Tokenizer open_tokenizer(const Flags& flags) {
  check(flags.model.empty() || flags.vocab.empty(), "tokenize: give either --vocab or --model");
  if (!flags.model.empty()) {
    ModelFlags given;
    given.model = flags.model;
    return given.open().words();
  }
  const std::string path = flags.vocab.empty() ? find_vocabulary() : flags.vocab;
  check(!path.empty(), "tokenize: no vocabulary; ", kVocabularyHint, ", or a model with --model");
  return Tokenizer::load(path);
}

int run(const Flags& flags) {
  const Tokenizer tokenizer = open_tokenizer(flags);
  const Overflow overflow = flags.truncate ? Overflow::truncate : Overflow::error;
  const Specials specials = flags.specials ? Specials::parse : Specials::as_text;
  int64_t number = 0;
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    try {
      std::string out;
      for (const int64_t id : tokenizer.tokenize(line, flags.max_length, overflow, specials)) {
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
  command
      .option("--vocab", flags.vocab, "merges file (default: OpenAI's, where `make vocab` puts it)")
      .option("--model", flags.model, "take the vocabulary of this model")
      .option("--max-length", flags.max_length, "tokens, start and end included", {2, 1 << 20})
      .flag("--truncate", flags.truncate, "cut longer texts instead of refusing them")
      .flag(
          "--specials", flags.specials,
          "read <|startoftext|> and <|endoftext|> in a text as the tokens, as OpenAI's code does");
}

}  // namespace

void add_tokenize(Commands& commands) {
  commands.add("tokenize", "turn texts on stdin, one per line, into token ids", declare, run);
}

}  // namespace diptych::cli
