// clip/cli/tokenize.cpp — `diptych tokenize`: texts on stdin, ids on stdout.
#include <fmt/core.h>

#include <cstdio>
#include <iostream>

#include "clip/cli/command.h"
#include "clip/console.h"
#include "clip/weights/vocabulary.h"

namespace diptych::cli {
namespace {

struct Flags {
  std::string model, vocab;
  int64_t max_length = 77;
  bool truncate = false, specials = false;
};

Tokenizer open_tokenizer(const Flags& flags) {
  check_usage(flags.model.empty() || flags.vocab.empty(),
              "tokenize: give either --vocab or --model");
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
  int64_t number = 0, cut = 0;
  for (std::string line; std::getline(std::cin, line);) {
    ++number;
    try {
      std::string out;
      auto ids = tokenizer.tokenize(line, INT64_MAX, Overflow::error, specials);
      if (static_cast<int64_t>(ids.size()) > flags.max_length) {
        ++cut;
        ids = tokenizer.tokenize(line, flags.max_length, overflow, specials);
      }
      for (const int64_t id : ids) out += (out.empty() ? "" : " ") + std::to_string(id);
      print(out + '\n');
    } catch (const Error& error) {
      fail("line ", number, ": ", error.what());
    }
  }
  if (cut > 0)
    tell(fmt::format("{} of {} lines were cut to {} tokens\n", cut, number, flags.max_length));
  check(!std::ferror(stdin), "tokenize: stdin cannot be read behind line ", number);
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
