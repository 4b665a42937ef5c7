// tests/test_safetensors_hostile.cpp — files made to break a safetensors reader, each with a
// verdict.
#include <doctest/doctest.h>

#include <algorithm>

#include "tensor/io/safetensors.h"
#include "tests/hostile.h"

using namespace diptych;
using namespace diptych::test;

namespace {

std::string length_of(uint64_t n) { return std::string(reinterpret_cast<const char*>(&n), 8); }

/// A file with this header; ' stands for ", and the data is `bytes` bytes 1, 2, 3, …
std::string file_of(std::string json, size_t bytes) {
  std::replace(json.begin(), json.end(), '\'', '"');
  std::string data(bytes, '\0');
  for (size_t i = 0; i < bytes; ++i) data[i] = static_cast<char>(i + 1);
  return length_of(json.size()) + json + data;
}

/// A header with one tensor "x".
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return "{'x':{'dtype':" + dtype + ",'shape':" + shape + ",'data_offsets':" + offsets + "}}";
}

std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

/// A file in which `count` tensors share the same four bytes.
std::string overlapping(int count) {
  std::string json;
  for (int i = 0; i < count; ++i)
    json +=
        (i ? ",'" : "{'") + std::to_string(i) + "':{'dtype':'U8','shape':[4],'data_offsets':[0,4]}";
  return file_of(json + "}", 4);
}

void judge(const std::vector<HostileFile>& files) {
  judge(files, [](const std::string& path) { load_safetensors(path); });
}

constexpr const char* kF32 = "'F32'";
const std::string kTail = ",'dtype':'F32','shape':[1],'data_offsets':[0,4]}";

}  // namespace

TEST_CASE("safetensors: hostile prefixes") {
  const std::string good = one(kF32, "[1]", "[0,4]");
  judge({
      {"empty file", "", "0 bytes are too few"},
      {"seven bytes", "1234567", "7 bytes are too few"},
      {"eight bytes, no header", length_of(0), "not a JSON object"},
      {"length 2^64-1", length_of(~uint64_t{0}) + "{}", "over the limit of 100000000"},
      {"length 2^63", length_of(uint64_t{1} << 63) + "{}", "over the limit of 100000000"},
      {"length 100,000,001", length_of(100'000'001) + "{}", "over the limit of 100000000"},
      {"length 100,000,000 in a small file", length_of(100'000'000) + "{}", "may be cut short"},
      {"length = file size", length_of(10) + "{}", "does not fit in a file of 10"},
      {"length one too large", length_of(3) + "{}", "does not fit in a file of 10"},
      {"length one too small", length_of(1) + "{}", "not valid JSON"},
      {"a zip file", "PK\x03\x04 and the rest of a .pt file", "this is a zip file"},
      {"a Git LFS pointer", "version https://git-lfs.github.com/spec/v1", "Git LFS pointer"},
      {"text", "just some text in a file", "this is not a safetensors file"},
      {"data short by 2", file_of(good, 2), "is at bytes [0, 4) of 2 after the header"},
      {"no data", file_of(good, 0), "is at bytes [0, 4) of 0 after the header"},
      {"a byte too many", file_of(good, 5), "1 bytes are left over after the last tensor"},
      {"data without tensors", file_of("{}", 5), "5 bytes are left over"},
      {"no tensors, no data", file_of("{}", 0), kAccepted},
      {"good", file_of(good, 4), kAccepted},
  });
}

TEST_CASE("safetensors: hostile JSON") {
  const std::string good = one(kF32, "[1]", "[0,4]");
  const std::string nul(1, '\0');
  judge({
      {"padded with white space", file_of(" \n\t\r" + good + "  \n\t ", 4), kAccepted},
      {"only white space", file_of("        ", 0), "not a JSON object"},
      {"not UTF-8", file_of("{'\xff':{}}", 0), "not valid JSON in UTF-8, at its byte 3"},
      {"an overlong UTF-8 form", file_of("{'\xc0\xaf':{}}", 0), "not valid JSON in UTF-8"},
      {"a surrogate in UTF-8", file_of("{'\xed\xa0\x80':{}}", 0), "not valid JSON in UTF-8"},
      {"a lone escaped surrogate", file_of("{'\\ud800':{}}", 0), "not valid JSON in UTF-8"},
      {"byte order mark", file_of("\xef\xbb\xbf" + good, 4), "not a JSON object"},
      {"not JSON", file_of("hello", 0), "not a JSON object"},
      {"a list", file_of("[]", 0), "not a JSON object"},
      {"a string", file_of("'x'", 0), "not a JSON object"},
      {"a number", file_of("7", 0), "not a JSON object"},
      {"null", file_of("null", 0), "not a JSON object"},
      {"cut short", file_of(good.substr(0, good.size() - 1), 4), "not valid JSON"},
      {"a second object", file_of(good + "{}", 4), "not valid JSON"},
      {"garbage behind", file_of(good + " x", 4), "not valid JSON"},
      {"NUL and garbage behind", file_of(good + nul + "x", 4), "not a JSON object"},
      {"NUL padding", file_of(good + nul + nul, 4), "not a JSON object"},
      {"a trailing comma", file_of("{'x':{},}", 0), "lacks dtype, shape or data_offsets"},
      {"a comma at the end", file_of(good.substr(0, good.size() - 1) + ",}", 4), "not valid JSON"},
      {"a comment", file_of("{/* */}", 0), "not valid JSON"},
      {"a line break in a string", file_of("{'a\nb':{}}", 0), "not valid JSON"},
      {"NaN", file_of("{'x':{'shape':[NaN]}}", 0), "not valid JSON"},
      {"lists 10,000 deep", file_of(repeated("[", 10'000), 0), "not a JSON object"},
      {"objects 10,000 deep", file_of(repeated("{'x':", 10'000), 0), "unknown field 'x'"},
      {"shape 10,000 deep", file_of("{'x':{'shape':" + repeated("[", 10'000), 0),
       "shape has a list"},
      {"a deep object in a field", file_of("{'x':{'dtype':{'x':{}}}}", 0), "dtype has an object"},
  });
}

TEST_CASE("safetensors: hostile fields of a tensor") {
  judge({
      {"null", file_of("{'x':null}", 0), "'x' is null, not an object"},
      {"a number", file_of("{'x':1}", 0), "'x' is a number, not an object"},
      {"a string", file_of("{'x':'F32'}", 0), "'x' is a string, not an object"},
      {"a list", file_of("{'x':[]}", 0), "'x' is a list, not an object"},
      {"a boolean", file_of("{'x':true}", 0), "'x' is true or false, not an object"},
      {"nothing in it", file_of("{'x':{}}", 0), "'x' lacks dtype, shape or data_offsets"},
      {"no dtype", file_of("{'x':{'shape':[],'data_offsets':[0,4]}}", 4), "'x' lacks dtype"},
      {"no shape", file_of("{'x':{'dtype':'F32','data_offsets':[0,4]}}", 4), "'x' lacks dtype"},
      {"no data_offsets", file_of("{'x':{'dtype':'F32','shape':[1]}}", 4), "'x' lacks dtype"},
      {"unknown field", file_of("{'x':{'stride':[1]" + kTail + "}", 4), "unknown field 'stride'"},
      {"dtype twice", file_of("{'x':{'dtype':'F32'" + kTail + "}", 4), "the field dtype twice"},
      {"shape twice", file_of("{'x':{'shape':[1]" + kTail + "}", 4), "the field shape twice"},
      {"data_offsets twice", file_of("{'x':{'data_offsets':[0,4]" + kTail + "}", 4),
       "offsets twice"},
      {"fields in another order",
       file_of("{'x':{'data_offsets':[0,4],'shape':[1],'dtype':'F32'}}", 4), kAccepted},
      {"name twice",
       file_of(
           "{'x':{'dtype':'F32','shape':[0],'data_offsets':[0,0]},'x':{" + kTail.substr(1) + "}",
           4),
       "tensor 'x' appears twice"},
      {"name twice, once escaped",
       file_of("{'x':{'dtype':'F32','shape':[0],'data_offsets':[0,0]},'\\u0078':{" +
                   kTail.substr(1) + "}",
               4),
       "tensor 'x' appears twice"},
      {"NUL in the name", file_of("{'a\\u0000b':{" + kTail.substr(1) + "}", 4), "contains a NUL"},
      {"control bytes in the name", file_of("{'\\u001b[2J':{}}", 0), "tensor '\\x1b[2J' lacks"},
      {"empty name", file_of("{'':{" + kTail.substr(1) + "}", 4), kAccepted},
      {"name of 1 MB", file_of("{'" + std::string(1 << 20, 'n') + "':{" + kTail.substr(1) + "}", 4),
       kAccepted},
      {"bad tensor with a name of 1 MB", file_of("{'" + std::string(1 << 20, 'n') + "':{}}", 0),
       "nnn…' lacks dtype"},
      {"dtype F8", file_of(one("'F8_E4M3'", "[4]", "[0,4]"), 4), "'F8_E4M3', which is not supp"},
      {"dtype F4, of 4 bits", file_of(one("'F4'", "[3]", "[0,2]"), 2), "'F4', which is not supp"},
      {"dtype I16", file_of(one("'I16'", "[2]", "[0,4]"), 4), "'I16', which is not supported"},
      {"dtype in lower case", file_of(one("'f32'", "[1]", "[0,4]"), 4), "'f32', which is not supp"},
      {"dtype empty", file_of(one("''", "[1]", "[0,4]"), 4), "'', which is not supported"},
      {"dtype a number", file_of(one("4", "[1]", "[0,4]"), 4), "dtype has a number"},
      {"dtype null", file_of(one("null", "[1]", "[0,4]"), 4), "dtype has null"},
      {"dtype a list", file_of(one("['F32']", "[1]", "[0,4]"), 4), "dtype has a list"},
      {"I32 is widened", file_of(one("'I32'", "[2]", "[0,8]"), 8), kAccepted},
      {"BOOL is u8", file_of(one("'BOOL'", "[3]", "[0,3]"), 3), kAccepted},
  });
}

TEST_CASE("safetensors: hostile shapes") {
  const auto shape = [](const std::string& text) { return file_of(one(kF32, text, "[0,4]"), 4); };
  judge({
      {"a number", shape("1"), "shape has a number"},
      {"a string", shape("'1'"), "shape has a string"},
      {"null", shape("null"), "shape has null"},
      {"an object", shape("{}"), "shape has an object"},
      {"nested", shape("[[1]]"), "shape has a list"},
      {"negative", shape("[-1]"), "shape has a negative number"},
      {"two negatives", shape("[-1,-1]"), "shape has a negative number"},
      {"minus zero", shape("[-0]"), "shape has a negative number"},
      {"a fraction", shape("[1.0]"), "shape has a fraction"},
      {"an exponent", shape("[1e0]"), "shape has a fraction"},
      {"1e400", shape("[1e400]"), "not valid JSON"},
      {"a boolean", shape("[true]"), "shape has true or false"},
      {"2^63", shape("[9223372036854775808]"), "shape overflows: 9223372036854775808"},
      {"2^64", shape("[18446744073709551616]"), "shape has a fraction"},
      {"product 2 (2^64-2)", shape("[2,18446744073709551614]"), "shape overflows"},
      {"product 2 (2^63-1)", shape("[2,9223372036854775807]"), "a shape that overflows"},
      {"product wraps to 1", shape("[4294967297,4294967295]"), "a shape that overflows"},
      {"product wraps to 0", shape("[4294967296,4294967296]"), "a shape that overflows"},
      {"bytes wrap to 4", shape("[4611686018427387905]"), "a shape that overflows"},
      {"zero times too much", shape("[0,9223372036854775807,4]"), "a shape that overflows"},
      {"rank 7", shape("[1,1,1,1,1,1,1]"), "has more than 6 dimensions"},
      {"rank 65", shape("[1" + repeated(",1", 64) + "]"), "has more than 6 dimensions"},
      {"rank 6", shape("[1,1,1,1,1,1]"), kAccepted},
      {"rank 0", shape("[]"), kAccepted},
      {"one too large", shape("[2]"), "has 4 bytes; its shape (2) of F32 needs 8"},
      {"one too small", shape("[0]"), "has 4 bytes; its shape (0) of F32 needs 0"},
      {"a large extent", shape("[1000000000000]"), "needs 4000000000000"},
      {"empty tensor", file_of(one(kF32, "[3,0]", "[0,0]"), 0), kAccepted},
  });
}

TEST_CASE("safetensors: hostile offsets") {
  const auto at = [](const std::string& text) { return file_of(one(kF32, "[1]", text), 4); };
  const auto two = [](const std::string& a, const std::string& b, size_t bytes) {
    return file_of("{'a':{'dtype':'U8','shape':" + a + "},'b':{'dtype':'U8','shape':" + b + "}}",
                   bytes);
  };
  judge({
      {"none", at("[]"), "'x' needs two data_offsets"},
      {"one", at("[0]"), "'x' needs two data_offsets"},
      {"three", at("[0,4,4]"), "'x' needs two data_offsets, has more"},
      {"a number", at("4"), "data_offsets has a number"},
      {"strings", at("['0','4']"), "data_offsets has a string"},
      {"null", at("[null,4]"), "data_offsets has null"},
      {"nested", at("[[0,4]]"), "data_offsets has a list"},
      {"negative", at("[-4,0]"), "data_offsets has a negative number"},
      {"fractions", at("[0.0,4.0]"), "data_offsets has a fraction"},
      {"1e400", at("[0,1e400]"), "not valid JSON"},
      {"2^63", at("[0,9223372036854775808]"), "data_offsets overflows"},
      {"wrapping around", at("[18446744073709551612,0]"), "data_offsets overflows"},
      {"backwards", at("[4,0]"), "is at bytes [4, 0) of 4"},
      {"end beyond the file", at("[0,8]"), "is at bytes [0, 8) of 4"},
      {"all beyond the file", at("[4,8]"), "is at bytes [4, 8) of 4"},
      {"far beyond the file", at("[9223372036854775803,9223372036854775807]"), "of 4 after the"},
      {"one byte short", at("[0,3]"), "has 3 bytes; its shape (1) of F32 needs 4"},
      {"one byte late", at("[1,4]"), "has 3 bytes; its shape (1) of F32 needs 4"},
      {"a hole in front", file_of(one(kF32, "[1]", "[4,8]"), 8),
       "begins at byte 4, the one before"},
      {"a hole between", two("[2],'data_offsets':[0,2]", "[2],'data_offsets':[3,5]", 5),
       "at byte 3"},
      {"an overlap", two("[3],'data_offsets':[0,3]", "[3],'data_offsets':[2,5]", 5), "at byte 2"},
      {"the same range twice", two("[3],'data_offsets':[0,3]", "[3],'data_offsets':[0,3]", 3),
       "tensor 'b' begins at byte 0, the one before ends at 3"},
      {"one inside the other", two("[4],'data_offsets':[0,4]", "[2],'data_offsets':[1,3]", 4),
       "at byte 1"},
      {"an empty one inside", two("[4],'data_offsets':[0,4]", "[0],'data_offsets':[2,2]", 4),
       "at byte 2"},
      {"an empty one at the start", two("[4],'data_offsets':[0,4]", "[0],'data_offsets':[0,0]", 4),
       kAccepted},
      {"an empty one at the end", two("[4],'data_offsets':[0,4]", "[0],'data_offsets':[4,4]", 4),
       kAccepted},
      {"in reverse order", two("[2],'data_offsets':[2,4]", "[2],'data_offsets':[0,2]", 4),
       kAccepted},
      {"ten on one range", overlapping(10), "holes and overlaps are not allowed"},
  });
}

TEST_CASE("safetensors: hostile metadata") {
  const auto with = [](const std::string& text) {
    return file_of("{'__metadata__':" + text + "}", 0);
  };
  judge({
      {"a string", with("'v'"), "'__metadata__' is a string, not an object"},
      {"null", with("null"), "'__metadata__' is null, not an object"},
      {"a list", with("[]"), "'__metadata__' is a list, not an object"},
      {"a number inside", with("{'k':1}"), "__metadata__ 'k' is a number"},
      {"null inside", with("{'k':null}"), "__metadata__ 'k' is null"},
      {"a list inside", with("{'k':[]}"), "__metadata__ 'k' is a list"},
      {"an object inside", with("{'k':{}}"), "__metadata__ 'k' is an object"},
      {"a tensor's fields", with("{'dtype':'F32','shape':[1]}"), "__metadata__ 'shape' is a list"},
      {"a key twice", with("{'k':'a','k':'b'}"), "__metadata__ has the key 'k' twice"},
      {"NUL in a key", with("{'\\u0000':'b'}"), "a key contains a NUL"},
      {"twice", with("{},'__metadata__':{}"), "__metadata__ appears twice"},
      {"empty", with("{}"), kAccepted},
      {"strings", with("{'a':'b','c':''}"), kAccepted},
  });
}

TEST_CASE("safetensors: very many tensors, and many on one range, are refused") {
  judge({{"10,000 overlapping", overlapping(10'000), "holes and overlaps are not allowed"},
         {"100,000 overlapping", overlapping(100'000), "more than 16384 tensors"}});
}

TEST_CASE("safetensors: a sparse file of 1 TB is refused by its header") {
  const TempDir dir;
  put_file(dir / "x", file_of(one(kF32, "[1]", "[0,4]"), 4));
  std::error_code failed;
  std::filesystem::resize_file(dir / "x", uintmax_t{1} << 40, failed);
  if (failed) {
    MESSAGE("skipped: no sparse files here");
    return;
  }
  CHECK(contains(error_of([&] { load_safetensors(dir / "x"); }), "bytes are left over"));
}

TEST_CASE("safetensors: narrow integers and booleans keep their values") {
  const TempDir dir;
  put_file(dir / "x", file_of(one("'I32'", "[2]", "[0,8]"), 8));
  CHECK(load_safetensors(dir / "x").find("x")->to_vector<int64_t>() ==
        std::vector<int64_t>{0x04030201, 0x08070605});
  put_file(dir / "x", file_of(one("'BOOL'", "[3]", "[0,3]"), 3));
  CHECK(load_safetensors(dir / "x").find("x")->dtype() == DType::u8);
}
