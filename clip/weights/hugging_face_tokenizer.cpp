// clip/weights/hugging_face_tokenizer.cpp — vocab.json, merges.txt and tokenizer.json.
#include "clip/weights/hugging_face_tokenizer.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "tensor/io/file.h"
#include "tensor/io/json.h"
#include "tensor/types.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;  // ordered_json takes quadratic time: six seconds for a vocabulary

constexpr int64_t kMaxBytes = 32 << 20;
constexpr size_t kMaxTokens = 1 << 19;  // of any tokenizer: twice those of XLM-R
constexpr const char* kStart = "<|startoftext|>";
constexpr const char* kEnd = "<|endoftext|>";

Json vocabulary_of(const Tokenizer& tokenizer) {
  Json numbers = Json::object();
  for (int64_t id = 0; id < tokenizer.start_token(); ++id) numbers[tokenizer.spelling(id)] = id;
  numbers[kStart] = tokenizer.start_token();
  numbers[kEnd] = tokenizer.end_token();
  return numbers;
}

void write_json(const std::string& file, const Json& json) {
  write_file_atomically(file, json.dump(2) + '\n');
}

bool exists(const std::string& folder, const char* name) {
  return is_there(fs::path(folder) / name);
}

Json read_json(const std::string& folder, const char* name) {
  const std::string file = (fs::path(folder) / name).string();
  const std::string text = read_file(file, kMaxBytes);
  check_json("tokenizer: '" + file + '\'', text, kMaxTokens);
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  check(json.is_object(), "tokenizer: '", file, "' is no JSON object");
  return json;
}

/// A merge is "left right" or, since tokenizers 0.20, ["left", "right"].
std::string merge_line(const Json& merge) {
  if (merge.is_string()) return merge.get<std::string>();
  const bool pair =
      merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
  check(pair, "tokenizer: tokenizer.json has a merge that is none: ", merge.dump().substr(0, 60));
  return merge[0].get<std::string>() + ' ' + merge[1].get<std::string>();
}

struct Vocabulary {
  std::string merges;
  Json numbers;
};

Vocabulary from_two_files(const std::string& folder) {
  return {read_file((fs::path(folder) / "merges.txt").string(), kMaxBytes),
          read_json(folder, "vocab.json")};
}

/// "<|endoftext|>", or an object that says so.
std::string content_of(const Json& token) {
  const Json& text = token.is_object() ? token.value("content", Json()) : token;
  return text.is_string() ? text.get<std::string>() : "";
}

/// A token in place of start or end would be another first or last id.
bool has_our_specials(const Json& config) {
  for (const auto& [key, ours] : {std::pair("bos_token", kStart), {"eos_token", kEnd}})
    if (config.contains(key) && content_of(config[key]) != ours) return false;
  return true;
}

/// Tokens added to the vocabulary later are cut out of texts before anything else.
bool adds_tokens(const Json& added) {
  for (const auto& [key, token] : added.items()) {
    const std::string text = token.is_number() ? key : content_of(token);
    if (text != kStart && text != kEnd) return true;
  }
  return false;
}

bool lowers(const Json& tokenizer) {
  return tokenizer.value("normalizer", Json()).dump().find("Lowercase") != std::string::npos;
}

std::optional<Vocabulary> from_one_file(const std::string& folder) {
  const Json whole = read_json(folder, "tokenizer.json");
  const Json model = whole.value("model", Json::object());
  if (!lowers(whole) || adds_tokens(whole.value("added_tokens", Json::array())))
    return std::nullopt;
  if (!model.is_object() || !model.contains("vocab") || !model.contains("merges"))
    return std::nullopt;
  std::string merges = "#version: 0.2\n";
  for (const Json& merge : model["merges"]) merges += merge_line(merge) + '\n';
  return Vocabulary{merges, model["vocab"]};
}

/// Whether CLIPTokenizer would read the vocabulary, and as it does by default.
bool is_clip_tokenizer(const Json& config) {
  const Json kind = config.value("tokenizer_class", Json());
  return (kind.is_null() || kind == "CLIPTokenizer" || kind == "CLIPTokenizerFast") &&
         config.value("do_lower_case", Json(true)) == true && has_our_specials(config) &&
         !adds_tokens(config.value("added_tokens_decoder", Json::object()));
}

/// Whether the files beside the vocabulary leave texts to it alone.
bool is_plain(const std::string& folder) {
  if (exists(folder, "tokenizer_config.json") &&
      !is_clip_tokenizer(read_json(folder, "tokenizer_config.json")))
    return false;
  if (exists(folder, "special_tokens_map.json") &&
      !has_our_specials(read_json(folder, "special_tokens_map.json")))
    return false;
  return !exists(folder, "added_tokens.json") ||
         !adds_tokens(read_json(folder, "added_tokens.json"));
}

/// transformers prefers tokenizer.json.
std::optional<Vocabulary> read_vocabulary(const std::string& folder) {
  if (!is_plain(folder)) return std::nullopt;
  if (exists(folder, "tokenizer.json")) return from_one_file(folder);
  const bool both = exists(folder, "vocab.json") && exists(folder, "merges.txt");
  return both ? std::optional(from_two_files(folder)) : std::nullopt;
}

/// Token by token: nlohmann::json sorts its keys.
bool same_numbers(const Json& a, const Json& b) {
  const auto is_whole = [](const Json& id) { return id.is_number_integer(); };
  return a.is_object() && std::all_of(a.begin(), a.end(), is_whole) && a == b;
}

}  // namespace

void write_hugging_face_tokenizer(const std::string& folder, const Tokenizer& tokenizer,
                                  int64_t context) {
  write_json(folder + "/vocab.json", vocabulary_of(tokenizer));
  write_file_atomically(folder + "/merges.txt", tokenizer.merges_text());
  const Json specials{
      {"bos_token", kStart}, {"eos_token", kEnd}, {"unk_token", kEnd}, {"pad_token", kEnd}};
  write_json(folder + "/special_tokens_map.json", specials);
  Json config{{"tokenizer_class", "CLIPTokenizer"},
              {"do_lower_case", true},
              {"add_prefix_space", false},
              {"errors", "replace"},
              {"model_max_length", context}};
  config.update(specials);
  write_json(folder + "/tokenizer_config.json", config);
}

FoundTokenizer read_hugging_face_tokenizer(const std::string& folder) {
  const bool any = exists(folder, "vocab.json") || exists(folder, "tokenizer.json") ||
                   exists(folder, "tokenizer_config.json");
  if (!any) return {};
  const auto foreign = [&] { return FoundTokenizer{std::nullopt, "the tokenizer in " + folder}; };
  const std::optional<Vocabulary> found = read_vocabulary(folder);
  if (!found) return foreign();
  Tokenizer tokenizer = Tokenizer::from_merges(found->merges);
  if (!same_numbers(found->numbers, vocabulary_of(tokenizer))) return foreign();
  return {std::move(tokenizer), ""};
}

}  // namespace diptych
