// clip/weights/hugging_face_tokenizer.h — the vocabulary as transformers' CLIPTokenizer keeps it
// beside a model.
#pragma once

#include <optional>
#include <string>

#include "data/text/tokenizer.h"

namespace diptych {

/// Writes vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json, from which
/// AutoTokenizer makes the same ids. A vocabulary numbers 256 bytes, the same at the end of a word,
/// one token per merge, start and end: the order of OpenAI's vocabulary, and of ours.
void write_hugging_face_tokenizer(const std::string& folder, const Tokenizer&, int64_t context);

struct FoundTokenizer {
  std::optional<Tokenizer> tokenizer;
  std::string foreign;  ///< what there is instead, if it gives other ids; empty if there is nothing
};

/// Reads merges.txt and vocab.json of a folder or, without them, tokenizer.json, and compares every
/// token's number. Throws Error naming the file if one is damaged.
FoundTokenizer read_hugging_face_tokenizer(const std::string& folder);

}  // namespace diptych
