// clip/weights/vocabulary.h — where OpenAI's merges file is.
#pragma once

#include <cstdint>
#include <string>

namespace diptych {

inline constexpr const char* kVocabularyName = "bpe_simple_vocab_16e6.txt.gz";
inline constexpr int64_t kOpenAiVocabulary = 49408;  ///< tokens of the models that need the file

/// The path of OpenAI's merges file: $DIPTYCH_VOCAB, else the file of this name beside the model
/// file, else in vocab/ of the current folder, where `make vocab` puts it. Empty if it is nowhere.
/// Throws Error if $DIPTYCH_VOCAB names no file.
std::string find_vocabulary(const std::string& model_path = "");

/// How to get the file: the end of error messages.
inline constexpr const char* kVocabularyHint =
    "run `make vocab` to get OpenAI's, or name a merges file with --vocab or DIPTYCH_VOCAB";

}  // namespace diptych
