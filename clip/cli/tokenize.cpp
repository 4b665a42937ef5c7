// clip/cli/tokenize.cpp — `diptych tokenize`: texts on stdin, ids and their pieces on stdout.
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "clip/cli/command.h"
#include "clip/console.h"
#include "clip/weights/vocabulary.h"
#include "tensor/io/text_file.h"

namespace diptych::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Flags {
  std::string model, vocab;
  int64_t max_length = 77;
  bool truncate = false, specials = false, pieces = false, json = false;
};

Tokenizer open_tokenizer(const Flags& flags) {
  check_usage(flags.model.empty() || flags.vocab.empty(),
              "tokenize: give either --vocab or --model");
  if (!flags.model.empty()) {
    ModelFlags given;
    given.model = flags.model;
    return given.open(Towers::text).words();
  }
  const std::string path = flags.vocab.empty() ? find_vocabulary() : flags.vocab;
  check(!path.empty(), "tokenize: no vocabulary; ", kVocabularyHint, ", or a model with --model");
  return Tokenizer::load(path);
}

/// What there is to read from stdin now; empty at its end.
std::string read_some() {
  std::string bytes(size_t{1} << 16, '\0');
  ssize_t n = -1;
  do {
    n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
  } while (n < 0 && errno == EINTR);
  check(n >= 0, "tokenize: stdin cannot be read: ", std::strerror(errno));
  bytes.resize(static_cast<size_t>(n));
  return bytes;
}

/// Calls `take` with each line as soon as it is there.
void each_line(const LineSplitter::Take& take) {
  TextDecoder decoder("tokenize: stdin");
  LineSplitter lines("tokenize: stdin", take);
  for (std::string bytes; !(bytes = read_some()).empty();) lines.next(decoder.next(bytes));
  lines.next(decoder.finish());
  lines.finish();
}

/// Texts to ids: what becomes of the long ones, and how many there were.
class Lines {
 public:
  Lines(const Flags& flags, const Tokenizer& tokenizer) : flags_(flags), tokenizer_(tokenizer) {}

  void take(const std::string& line) {
    ++number_;
    try {
      const auto ids = ids_of(line);
      if (flags_.json)
        rows_.push_back(row(line, ids));
      else
        print(spelled(ids) + '\n');
    } catch (const Error& error) {
      fail("line ", number_, ": ", error.what());
    }
  }

  void finish() const {
    if (flags_.json) print_json(Json{{"texts", rows_}, {"cut", cut_}});
    if (cut_ > 0)
      tell(fmt::format("{} of {} lines were cut to {} tokens\n", cut_, number_, flags_.max_length));
  }

 private:
  std::vector<int64_t> ids_of(const std::string& line) {
    const Specials specials = flags_.specials ? Specials::parse : Specials::as_text;
    auto ids = tokenizer_.tokenize(line, INT64_MAX, Overflow::error, specials);
    if (static_cast<int64_t>(ids.size()) <= flags_.max_length) return ids;
    ++cut_;
    return tokenizer_.tokenize(line, flags_.max_length,
                               flags_.truncate ? Overflow::truncate : Overflow::error, specials);
  }

  // As the vocabulary writes it.
  std::string piece(int64_t id) const {
    return id < tokenizer_.start_token() ? tokenizer_.spelling(id) : tokenizer_.decode({id});
  }

  std::string spelled(const std::vector<int64_t>& ids) const {
    std::string out;
    for (const int64_t id : ids) {
      out += (out.empty() ? "" : " ") + std::to_string(id);
      if (flags_.pieces) out += ':' + piece(id);
    }
    return out;
  }

  Json row(const std::string& line, const std::vector<int64_t>& ids) const {
    Json object{{"text", line}, {"ids", ids}};
    if (!flags_.pieces) return object;
    for (const int64_t id : ids) object["pieces"].push_back(piece(id));
    return object;
  }

  const Flags& flags_;
  const Tokenizer& tokenizer_;
  int64_t number_ = 0, cut_ = 0;
  Json rows_ = Json::array();
};

int run(const Flags& flags) {
  const Tokenizer tokenizer = open_tokenizer(flags);
  Lines lines(flags, tokenizer);
  each_line([&](const std::string& line) { lines.take(line); });
  lines.finish();
  return 0;
}

void declare(Command command, Flags& flags) {
  command
      .option("--vocab", flags.vocab, "merges file (default: OpenAI's, where `make vocab` puts it)")
      .option("--model", flags.model, "take the vocabulary of this model")
      .option("--max-length", flags.max_length, "tokens, start and end included", {2, 1 << 20})
      .flag("--truncate", flags.truncate, "cut longer texts instead of refusing them")
      .flag("--specials", flags.specials,
            "read <|startoftext|> and <|endoftext|> in a text as the tokens, as OpenAI's code does")
      .flag("--pieces", flags.pieces, "behind each id a colon and what it stands for")
      .json(flags.json);
}

}  // namespace

void add_tokenize(Commands& commands) {
  commands.add("tokenize", "turn texts on stdin, one per line, into token ids", declare, run);
}

}  // namespace diptych::cli
