// tests/test_tokenizer.cpp — byte-pair encoding against its definition and OpenAI's ids.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <thread>

#include "clip/weights/vocabulary.h"
#include "data/text/clean.h"
#include "data/text/tokenizer.h"
#include "data/text/unicode.h"
#include "tensor/philox.h"
#include "tensor/types.h"

using namespace diptych;
using Ids = std::vector<int64_t>;

namespace {

// Ids: lo 512, low</w> 513, er</w> 514, start 515, end 516; a byte from '!' on is byte - 33.
constexpr const char* kTinyMerges = "#version: 0.2\nl o\nlo w</w>\ne r</w>\n";

Tokenizer tiny() { return Tokenizer::from_merges(kTinyMerges); }

// The word by the definition: the lowest-ranked pair, everywhere, until there is none.
Ids encode_by_definition(const std::vector<bpe::Merge>& merges, std::string_view word) {
  auto symbols = bpe::symbols_of(word);
  for (size_t rank = 0; rank < merges.size(); ++rank) {  // a merge never revives a lower rank
    std::vector<bpe::Symbol> out;
    for (size_t i = 0; i < symbols.size(); ++i) {
      const bool found = i + 1 < symbols.size() && symbols[i] == merges[rank].first &&
                         symbols[i + 1] == merges[rank].second;
      out.push_back(found ? static_cast<bpe::Symbol>(512 + rank) : symbols[i]);
      if (found) ++i;
    }
    symbols = out;
  }
  return {symbols.begin(), symbols.end()};
}

// Training by the definition: count all pairs anew before every merge.
std::vector<bpe::Merge> train_by_definition(const std::vector<std::string>& captions, size_t most) {
  std::vector<std::vector<bpe::Symbol>> words;
  for (const std::string& caption : captions) {
    const std::u32string text = clean_text(caption);
    for (auto word : bpe::split_words(text, false))
      words.push_back(bpe::symbols_of(encode_utf8(word)));
  }
  std::vector<bpe::Merge> merges;
  while (merges.size() < most) {
    std::map<bpe::Merge, int> counts;
    for (const auto& word : words)
      for (size_t i = 0; i + 1 < word.size(); ++i) ++counts[{word[i], word[i + 1]}];
    const auto best = std::max_element(
        counts.begin(), counts.end(),
        [](const auto& a, const auto& b) { return a.second < b.second; });  // first of equals
    if (best == counts.end() || best->second < 2) break;
    merges.push_back(best->first);
    for (auto& word : words)
      for (size_t i = 0; i + 1 < word.size(); ++i)
        if (bpe::Merge{word[i], word[i + 1]} == best->first) {
          word[i] = static_cast<bpe::Symbol>(511 + merges.size());
          word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        }
  }
  return merges;
}

std::vector<std::string> random_captions(uint64_t seed, int count) {
  PhiloxStream random(seed, 0);
  std::vector<std::string> captions;
  for (int i = 0; i < count; ++i) {
    std::string text;
    for (int64_t n = 3 + random.below(20); n > 0; --n) text.push_back("abcd  "[random.below(6)]);
    captions.push_back(text);
  }
  return captions;
}

std::string random_bytes(PhiloxStream& random) {
  std::string text;
  for (int64_t n = random.below(40); n > 0; --n) text += static_cast<char>(random.below(256));
  return text;
}

std::string random_code_points(PhiloxStream& random) {
  std::u32string text;
  for (int64_t n = random.below(40); n > 0; --n)
    text += static_cast<char32_t>(random.below(random.below(2) == 0 ? 0x500 : 0xD800));
  return encode_utf8(text);
}

std::string damaged_caption(PhiloxStream& random) {
  static const std::vector<std::string> captions = {"A photo of Ångström’s dog &amp; caf&eacute;",
                                                    "ﬁne Ｗｉｄｅ ΟΔΟΣ İ\r\n",
                                                    "cafÃ© â€œxâ€\u009d Ã la",
                                                    "\x1B[31mred\x1B[0m 日本語 한국어 नमस्ते",
                                                    "<|startoftext|>it's 42<|endoftext|>",
                                                    "e\u0301\u0327\u1100\u1161"};
  std::string text = captions[static_cast<size_t>(random.below(6))];
  for (int64_t n = random.below(5); n > 0; --n) {
    const auto pos = static_cast<size_t>(random.below(static_cast<int64_t>(text.size())));
    text[pos] = static_cast<char>(random.below(256));
  }
  return text;
}

std::string without_spaces(std::string text) {
  std::erase(text, ' ');
  return text;
}

}  // namespace

TEST_CASE("tokenizer: words are cut at CLIP's pattern") {
  const auto cut = [](std::u32string_view text, bool specials = false) {
    std::string joined;
    for (auto word : bpe::split_words(text, specials)) joined += encode_utf8(word) + "|";
    return joined;
  };
  CHECK(cut(U"don't we'll 'sample") == "don|'t|we|'ll|'s|ample|");
  CHECK(cut(U"ab12c!?'s é") == "ab|1|2|c|!?'|s|é|");
  CHECK(cut(U"it'ſ ²½ e\u0301x") == "it|'ſ|²|½|e|\u0301|x|");
  CHECK(cut(U"<|endoftext|>x", true) == "<|endoftext|>|x|");
  CHECK(cut(U"<|endoftext|>x", false) == "<||endoftext||>|x|");
}

TEST_CASE("tokenizer: a digit is always its own token") {
  CHECK(tiny().encode("42") == Ids{256 + '4' - 33, 256 + '2' - 33});
}

TEST_CASE("tokenizer: merges apply by rank and only at the end of words where marked") {
  const Tokenizer t = tiny();
  CHECK(t.vocab_size() == 517);
  CHECK(t.encode("low LOWER") == Ids{513, 512, 'w' - 33, 514});
  CHECK(t.encode("lo") == Ids{'l' - 33, 256 + 'o' - 33});
  CHECK(t.tokenize("low", 77, Overflow::error) == Ids{515, 513, 516});
  CHECK(t.decode({515, 513, 512, 'w' - 33, 514, 516}) == "<|startoftext|>low lower <|endoftext|>");
}

TEST_CASE("tokenizer: a caption cannot end early, unless special tokens are asked for") {
  const Tokenizer t = tiny();
  const std::string text = "<|startoftext|>low<|endoftext|>";
  CHECK(t.encode(text) == Ids{515, 513, 516});
  CHECK(t.tokenize(text, 77, Overflow::error, Specials::parse) == Ids{515, 515, 513, 516, 516});
  const Ids plain = t.tokenize(text, 77, Overflow::error);
  CHECK(std::count(plain.begin(), plain.end(), 516) == 1);
  CHECK(std::count(plain.begin(), plain.end(), 515) == 1);
}

TEST_CASE("tokenizer: a long text is an error or loses its tail") {
  const Tokenizer t = tiny();
  CHECK(t.tokenize("low low low", 4, Overflow::truncate) == Ids{515, 513, 513, 516});
  CHECK_THROWS_WITH_AS(
      t.tokenize("low low low", 4, Overflow::error),
      "tokenizer: 'low low low' has 5 tokens, the limit is 4; shorten it or use --truncate", Error);
  CHECK_THROWS_AS(t.tokenize("low", 1, Overflow::truncate), Error);
}

TEST_CASE("tokenizer: any bytes can be encoded and come back") {
  const Tokenizer t = tiny();
  CHECK(t.decode(t.encode("日本語 😀 \u200D ñ")) == "日本語 😀 \u200D ñ ");
  CHECK(t.decode(t.encode("\xFF\xFE")) == "\uFFFD\uFFFD ");
  CHECK(t.decode({0x80}) != "");  // half a character: replaced, not passed on
  CHECK_THROWS_WITH_AS(t.decode({517}), doctest::Contains("outside the vocabulary of 517"), Error);
  CHECK_THROWS_AS(t.decode({-1}), Error);
}

TEST_CASE("tokenizer: a damaged merges file is refused with its line") {
  const auto read = [](const char* text) { Tokenizer::from_merges(text); };
  CHECK_THROWS_WITH_AS(read("l o\n"), doctest::Contains("#version"), Error);
  CHECK_THROWS_WITH_AS(read("#version\nl o\nlo we\n"), doctest::Contains("line 3: 'we'"), Error);
  CHECK_THROWS_WITH_AS(read("#version\nl o x\n"), doctest::Contains("line 2"), Error);
  CHECK_THROWS_WITH_AS(read("#version\nl o\nl o\n"), doctest::Contains("line 3"), Error);
  CHECK_THROWS_WITH_AS(read("#version\nl</w> o\n"), doctest::Contains("end of a word"), Error);
  std::string doubling = "#version\na a\n", symbol = "aa";
  for (int i = 0; i < 12; ++i, symbol += symbol) doubling += symbol + " " + symbol + "\n";
  CHECK_THROWS_WITH_AS(read(doubling.c_str()), doctest::Contains("longer than"), Error);
  CHECK(Tokenizer::from_merges("#version\r\nl o\r\n").vocab_size() == 515);
}

TEST_CASE("tokenizer: the queue merges exactly as the definition does") {
  for (uint64_t seed = 0; seed < 5; ++seed) {
    const auto captions = random_captions(seed, 60);
    const Tokenizer t = Tokenizer::train(captions, 514 + 80);
    const auto merges = bpe::train(texts_of(captions), 80);
    for (const char* word : {"abcdabcdabcd", "aaaaaaaaa", "ddcbacdbadcbabcd", "a", "bbbbbb"})
      CHECK(t.encode(word) == encode_by_definition(merges, word));
  }
}

TEST_CASE("training: the same merges as counting everything anew") {
  for (uint64_t seed = 10; seed < 20; ++seed) {
    const auto captions = random_captions(seed, 40);
    CHECK(bpe::train(texts_of(captions), 60) == train_by_definition(captions, 60));
  }
}

TEST_CASE("training: the order of the captions does not matter, and ends when pairs run out") {
  auto captions = random_captions(20, 50);
  const std::string merges = Tokenizer::train(captions, 600).merges_text();
  std::reverse(captions.begin(), captions.end());
  CHECK(Tokenizer::train(captions, 600).merges_text() == merges);
  CHECK(Tokenizer::train({"red bag", "red shoe"}, 600).vocab_size() == 516);  // r e, re d</w>
  CHECK(Tokenizer::train(std::vector<std::string>{}, 514).vocab_size() == 514);
  CHECK_THROWS_AS(Tokenizer::train(std::vector<std::string>{}, 513), Error);
}

TEST_CASE("training: a vocabulary written and read gives the same ids") {
  auto captions = random_captions(21, 50);
  for (const char* more : {"</w> </w> </w>", "x</w> x</w>", "日本 日本", "é\x01 é\x01", "\"# \"#"})
    captions.push_back(more);
  const Tokenizer t = Tokenizer::train(captions, 700);
  const Tokenizer back = Tokenizer::from_merges(t.merges_text());
  CHECK(back.vocab_size() == t.vocab_size());
  CHECK(back.merges_text() == t.merges_text());
  for (const std::string& caption : captions) CHECK(back.encode(caption) == t.encode(caption));
}

TEST_CASE("tokenizer: a word of a million letters takes no longer than many short ones") {
  const Tokenizer t = Tokenizer::train(random_captions(22, 100), 600);
  std::string word;
  PhiloxStream random(23, 0);
  for (int i = 0; i < 1'000'000; ++i) word.push_back("abcd"[random.below(4)]);
  CHECK(t.decode(t.encode(word)) == word + " ");
}

// DIPTYCH_FUZZ sets how many.
TEST_CASE("tokenizer: whatever the bytes, the tokens spell the cleaned text") {
  const char* wanted = std::getenv("DIPTYCH_FUZZ");
  const Tokenizer t = Tokenizer::train(random_captions(24, 100), 600);
  const auto kinds = {random_bytes, random_code_points, damaged_caption};
  PhiloxStream random(25, 0);
  for (int64_t n = wanted ? std::atoll(wanted) : 20'000; n > 0; --n) {
    const std::string text = kinds.begin()[n % 3](random);
    const Ids ids = t.encode(text, Specials::as_text);
    if (without_spaces(t.decode(ids)) != without_spaces(encode_utf8(clean_text(text))))
      FAIL_CHECK("differs: ", text);
    const Ids cut = t.tokenize(text, 8, Overflow::truncate, Specials::parse);
    if (cut.size() > 8 || cut.front() != t.start_token() || cut.back() != t.end_token())
      FAIL_CHECK("not within start and end: ", text);
    t.decode(cut);
  }
}

TEST_CASE("tokenizer: several threads use one tokenizer") {
  const Tokenizer t = tiny();
  std::vector<Ids> results(4);
  {
    std::vector<std::jthread> threads;
    for (Ids& ids : results)
      threads.emplace_back([&] { ids = t.tokenize("lower low", 77, Overflow::error); });
  }
  for (const Ids& ids : results) CHECK(ids == results[0]);
}

TEST_CASE("tokenizer: OpenAI's vocabulary gives OpenAI's ids") {
  const std::string path = find_vocabulary();
  if (path.empty()) {
    MESSAGE("skipped: no merges file; run make vocab");
    return;
  }
  const Tokenizer t = Tokenizer::load(path);
  CHECK(t.vocab_size() == 49408);
  const auto ids = [&](const char* text) {
    Ids all = t.tokenize(text, 77, Overflow::error, Specials::parse);
    CHECK(all.front() == 49406);
    CHECK(all.back() == 49407);
    return Ids(all.begin() + 1, all.end() - 1);
  };
  CHECK(ids("a diagram") == Ids{320, 22697});
  CHECK(ids("a dog") == Ids{320, 1929});
  CHECK(ids("a cat") == Ids{320, 2368});
  CHECK(ids("a photo of a cat.") == Ids{320, 1125, 539, 320, 2368, 269});
  CHECK(ids("Hello, World!") == Ids{3306, 267, 1002, 256});
  CHECK(ids("it's don't we'll") == Ids{585, 568, 847, 713, 649, 1342});
  CHECK(ids("CLIP 2021 ViT-B/32") == Ids{9289, 273, 271, 273, 272, 35580, 268, 321, 270, 274, 273});
  CHECK(ids("&lt;b&gt; &amp;amp; x") == Ids{283, 321, 285, 261, 343});
  CHECK(ids("  multiple\t spaces\n here ") == Ids{6470, 9006, 763});
  CHECK(ids("héllo wörld") == Ids{71, 3459, 19293, 86, 31762, 730});
  CHECK(ids("résumé") == Ids{29106, 7054, 4166});
  CHECK(ids("日本語") == Ids{39121, 44353, 34002, 508});
  CHECK(ids("😀 emoji 👍🏽") == Ids{7334, 16327, 43722});
  CHECK(ids("supercalifragilisticexpialidocious") ==
        Ids{1642, 2857, 13093, 2076, 5868, 26850, 835, 639, 38466});
  CHECK(ids("!!! ... ??") == Ids{995, 678, 2197});
  CHECK(ids("1234567890") == Ids{272, 273, 274, 275, 276, 277, 278, 279, 280, 271});
  CHECK(ids("aaaaaaaa") == Ids{6727, 19336});
  CHECK(ids("İstanbul ΟΔΟΣ") == Ids{328, 16384, 11231, 138, 123, 138, 112, 138, 123, 139, 480});
  CHECK(ids("<|startoftext|>hi<|endoftext|>") == Ids{49406, 1883, 49407});
  CHECK(ids("") == Ids{});
  CHECK(Tokenizer::from_merges(t.merges_text()).merges_text() == t.merges_text());
}
