// tests/test_json.cpp — JSON of strangers: one reading, and none that breaks who prints it.
#include <doctest/doctest.h>

#include "tensor/io/json.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

std::string error_in(const std::string& text) {
  return error_of([&] { check_json("x.json", text); });
}

std::string repeated(const std::string& part, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += part;
  return out;
}

std::string lists(int depth) { return repeated("[", depth) + repeated("]", depth); }
std::string objects(int depth) { return repeated("{\"a\":", depth) + "1" + repeated("}", depth); }

}  // namespace

TEST_CASE("json: what everybody reads alike passes") {
  for (const char* text :
       {"{}", "[]", "1", "\"x\"", "null", "  {\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}\n",
        "{\"\":0,\"é\":\"日本\",\"n\":-1.5e-300}", "18446744073709551615", "1e308"})
    CHECK(error_in(text) == "");
  CHECK(error_in(lists(64)) == "");
  CHECK(error_in(objects(64)) == "");
}

TEST_CASE("json: what is nested deeper than 64 is refused, however deep") {
  for (const int depth : {65, 1000, 500'000}) {
    CHECK(error_in(lists(depth)) == "x.json: JSON that is nested deeper than 64");
    CHECK(contains(error_in(objects(depth)), "deeper than 64"));
    CHECK(contains(error_in(repeated("[", depth)), "deeper than 64"));
  }
}

TEST_CASE("json: a key that stands twice is refused by name, on every level") {
  CHECK(error_in("{\"a\":1,\"b\":2,\"a\":1}") == "x.json: the key 'a' stands twice in one object");
  CHECK(contains(error_in("[{\"x\":{\"heads\":1,\"heads\":2}}]"), "the key 'heads'"));
  CHECK(contains(error_in("{\"a\":1,\"\\u0061\":1}"), "the key 'a'"));
}

TEST_CASE("json: what is no JSON is refused with its place") {
  for (const char* text : {"", " ", "{", "}", "[1,]", "{\"a\"}", "{'a':1}", "NaN", "-Infinity",
                           "1e400", "01", "[1] 2", "\"\xff\"", "\"\n\"", "// x\n1", "tru"})
    CHECK(contains(error_in(text), "x.json: not valid JSON in UTF-8, at its byte "));
  CHECK(contains(error_in(std::string("1\0", 2)), "contains a NUL"));
}

TEST_CASE("json: objects of very many keys, and very many values, are refused") {
  const auto keys = [](int count) {
    std::string text = "{";
    for (int i = 0; i < count; ++i) text += (i == 0 ? "\"" : ",\"") + std::to_string(i) + "\":0";
    return text + '}';
  };
  CHECK(error_in(keys(4096)) == "");
  CHECK(error_in(keys(4097)) == "x.json: an object of more than 4096 keys");
  CHECK(error_in('[' + keys(3000) + ',' + keys(3000) + ']') == "");
  CHECK(error_of([&] { check_json("x.json", keys(50'000), 50'000); }) == "");
  CHECK(error_in('[' + repeated("0,", (1 << 20) - 2) + "0]") == "");
  CHECK(contains(error_in('[' + repeated("0,", (1 << 20) - 1) + "0]"), "more than 1048576 values"));
}
