// tests/test_npy.cpp — .npy files: as NumPy writes them, and as nobody should.
#include <doctest/doctest.h>

#include <random>

#include "tensor/factory.h"
#include "tensor/io/npy.h"
#include "tests/files.h"
#include "tests/mutants.h"

using namespace diptych;
using namespace diptych::test;

namespace {

/// The bytes that numpy.save (1.24) makes of this dictionary and data.
std::string npy(std::string header, const std::string& data, int version = 1) {
  std::string prefix = std::string("\x93NUMPY") + static_cast<char>(version) + '\0';
  const size_t before = version == 1 ? 10 : 12;
  header.resize((before + header.size() + 1 + 63) / 64 * 64 - before - 1, ' ');
  header += '\n';
  prefix += static_cast<char>(header.size() & 0xff);
  prefix += static_cast<char>(header.size() >> 8);
  if (version > 1) prefix += {static_cast<char>(header.size() >> 16), '\0'};
  return prefix + header + data;
}

template <class T>
std::string raw(const std::vector<T>& values) {
  return std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

std::string dict(const std::string& descr, const std::string& shape) {
  return "{'descr': " + descr + ", 'fortran_order': False, 'shape': " + shape + ", }";
}

const std::vector<float> kSix = {1, 2, 3, 4, 5, 6};

struct Case {
  std::string what;
  std::string bytes;
  const char* message;  // part of the Error, or null where the file is good
};

void judge(const std::vector<Case>& cases) {
  const TempDir dir;
  const std::string path = dir / "hostile.npy";
  for (const Case& c : cases) {
    CAPTURE(c.what);
    put_file(path, c.bytes);
    const std::string error = error_of([&] { load_npy(path); });
    if (c.message == nullptr) {
      CHECK(error == "");
    } else {
      CHECK(contains(error, "load: '" + path + "'"));
      CHECK_MESSAGE(contains(error, c.message), error);
    }
  }
}

}  // namespace

TEST_CASE("npy: NumPy's files of every dtype are read") {
  const TempDir dir;
  const auto load = [&](const std::string& bytes) {
    put_file(dir / "x.npy", bytes);
    return load_npy(dir / "x.npy");
  };
  const Tensor f4 = load(npy(dict("'<f4'", "(2, 3)"), raw(kSix)));
  CHECK(same_bits(f4, from_vector(kSix, {2, 3})));
  CHECK(same_bits(load(npy(dict("'<f8'", "(1,)"), raw<double>({1.5}))),
                  from_vector<double>({1.5}, {1})));
  CHECK(same_bits(load(npy(dict("'<f2'", "(3,)"), std::string("\0\x3c\0\xc0\xff\x7b", 6))),
                  from_vector<float>({1, -2, 65504}, {3}).to(DType::f16)));
  CHECK(same_bits(load(npy(dict("'<i8'", "()"), raw<int64_t>({-7}))),
                  from_vector<int64_t>({-7}, {})));
  CHECK(same_bits(load(npy(dict("'|u1'", "(2,)"), std::string("\0\xff", 2))),
                  from_vector<uint8_t>({0, 255}, {2})));
  CHECK(same_bits(load(npy(dict("'<i4'", "(2,)"), raw<int32_t>({-1, INT32_MAX}))),
                  from_vector<int64_t>({-1, INT32_MAX}, {2})));
  CHECK(same_bits(load(npy(dict("'|b1'", "(2,)"), std::string("\1\0", 2))),
                  from_vector<uint8_t>({1, 0}, {2})));
  CHECK(same_bits(load(npy(dict("'<f4'", "(3, 0)"), "")), empty({3, 0})));
}

TEST_CASE("npy: versions 1, 2 and 3 are read") {
  const TempDir dir;
  for (const int version : {1, 2, 3}) {
    put_file(dir / "x.npy", npy(dict("'<f4'", "(6,)"), raw(kSix), version));
    CHECK(same_bits(load_npy(dir / "x.npy"), from_vector(kSix, {6})));
  }
}

TEST_CASE("npy: an array in Fortran order has the same elements") {
  const TempDir dir;
  const std::string header = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }";
  put_file(dir / "x.npy", npy(header, raw<float>({1, 4, 2, 5, 3, 6})));
  const Tensor x = load_npy(dir / "x.npy");
  CHECK(same_bits(x, from_vector(kSix, {2, 3})));
  put_file(dir / "x.npy", npy("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 2, 3), }",
                              raw<float>({1, 4, 2, 5, 3, 6})));
  CHECK(same_bits(load_npy(dir / "x.npy"), from_vector(kSix, {1, 2, 3})));
}

TEST_CASE("npy: save_npy writes what numpy.save writes") {
  const TempDir dir;
  save_npy(dir / "x.npy", from_vector(kSix, {2, 3}));
  CHECK(get_file(dir / "x.npy") == npy(dict("'<f4'", "(2, 3)"), raw(kSix)));
  save_npy(dir / "x.npy", from_vector<int64_t>({-7}, {}));
  CHECK(get_file(dir / "x.npy") == npy(dict("'<i8'", "()"), raw<int64_t>({-7})));
  save_npy(dir / "x.npy", from_vector<double>({1.5}, {1}));
  CHECK(get_file(dir / "x.npy") == npy(dict("'<f8'", "(1,)"), raw<double>({1.5})));
  save_npy(dir / "x.npy", from_vector<uint8_t>({1, 2}, {1, 1, 2, 1, 1, 1}));
  CHECK(get_file(dir / "x.npy") == npy(dict("'|u1'", "(1, 1, 2, 1, 1, 1)"), "\1\2"));
}

TEST_CASE("npy: a round trip keeps every bit, of views too") {
  const TempDir dir;
  const Tensor x = arange(24, DType::f32).view({2, 3, 4});
  for (const Tensor& t : {x, x.transpose(0, 2), x.slice(2, 1, 3), x.to(DType::f16), empty({0}),
                          x.to(DType::i64), x.to(DType::u8), x.to(DType::f64), full({}, 3)}) {
    save_npy(dir / "x.npy", t);
    CHECK(same_bits(load_npy(dir / "x.npy"), t));
  }
}

TEST_CASE("npy: a failed save leaves the old file") {
  const TempDir dir;
  put_file(dir / "x.npy", "old");
  const Tensor x = zeros({2}, DType::bf16);
  CHECK(contains(error_of([&] { save_npy(dir / "x.npy", x); }), "NumPy has no bf16"));
  CHECK(get_file(dir / "x.npy") == "old");
  if (std::filesystem::exists("/dev/full"))
    CHECK(contains(error_of([] { save_npy("/dev/full", zeros({2})); }), "No space left"));
}

TEST_CASE("npy: hostile prefixes and sizes") {
  const std::string good = npy(dict("'<f4'", "(6,)"), raw(kSix));
  const auto edited = [&](size_t at, char value) {
    std::string bytes = good;
    bytes[at] = value;
    return bytes;
  };
  judge({
      {"good", good, nullptr},
      {"empty file", "", "is not an .npy file"},
      {"magic only", good.substr(0, 6), "unknown .npy version 0.0"},
      {"no length", good.substr(0, 8), "may be cut short"},
      {"nine bytes", good.substr(0, 9), "may be cut short"},
      {"ten bytes", good.substr(0, 10), "may be cut short"},
      {"inside the header", good.substr(0, 100), "may be cut short"},
      {"header alone", good.substr(0, 128), "0 bytes of data; shape (6) of <f4 needs 24"},
      {"a byte short", good.substr(0, good.size() - 1), "23 bytes of data"},
      {"a byte too many", good + "x", "25 bytes of data"},
      {"another magic", edited(0, 'x'), "is not an .npy file"},
      {"version 0", edited(6, 0), "unknown .npy version 0.0"},
      {"version 4", edited(6, 4), "unknown .npy version 4.0"},
      {"version 1.1", edited(7, 1), "unknown .npy version 1.1"},
      {"length 0", edited(8, 0), "expected '{'"},
      {"length too large", edited(9, '\xff'), "may be cut short"},
      {"version 2 read as 4 bytes of length", edited(6, 2), "may be cut short"},
      {"an .npz", "PK\x03\x04", "is not an .npy file"},
  });
}

TEST_CASE("npy: hostile headers") {
  const auto header = [](const std::string& text) { return npy(text, "1234"); };
  const auto shape = [&](const std::string& text) { return header(dict("'<f4'", text)); };
  const auto descr = [&](const std::string& text) { return header(dict(text, "(1,)")); };
  const std::string nul(1, '\0');
  judge({
      {"good", shape("(1,)"), nullptr},
      {"another order of keys", header("{'shape': (1,), 'fortran_order': False, 'descr': '<f4'}"),
       nullptr},
      {"double quotes", header(R"({"shape":(1,),"fortran_order":False,"descr":"<f4"})"), nullptr},
      {"two commas", header("{'descr': '<f4',, 'fortran_order': False, 'shape': (1,)}"),
       "a string"},
      {"no dictionary", header("import os"), "expected '{'"},
      {"empty dictionary", header("{}"), "it lacks descr, fortran_order or shape"},
      {"no shape", header("{'descr': '<f4', 'fortran_order': False}"), "it lacks descr"},
      {"unknown key", header("{'descr': '<f4', 'x': 1}"), "unknown key 'x'"},
      {"descr twice", header("{'descr': '<f4', 'descr': '<f4'}"), "descr appears twice"},
      {"shape twice", header("{'shape': (1,), 'shape': (1,)}"), "shape appears twice"},
      {"code behind", header(dict("'<f4'", "(1,)") + "+exit()"), "text after the dictionary"},
      {"NUL behind", header(dict("'<f4'", "(1,)") + nul), "text after the dictionary"},
      {"not closed", header("{'descr': '<f4'"), "expected '}'"},
      {"string not closed", header("{'descr"), "a string does not end"},
      {"escape", header("{'\\x64escr': '<f4'}"), "escape in the string"},
      {"no colon", header("{'descr' '<f4'}"), "expected ':'"},
      {"big-endian", descr("'>f4'"), "'>f4' is not supported; convert it"},
      {"no byte order", descr("'f4'"), "'f4' is not supported"},
      {"complex", descr("'<c16'"), "'<c16' is not supported"},
      {"text", descr("'<U2'"), "'<U2' is not supported"},
      {"objects", descr("'|O'"), "'|O' is not supported"},
      {"structures", descr("[('a', '<f4')]"), "expected a string before '[("},
      {"descr a number", descr("4"), "expected a string before '4"},
      {"order a number", header("{'fortran_order': 0}"), "fortran_order is no boolean"},
      {"order in lower case", header("{'fortran_order': false}"), "fortran_order is no boolean"},
      {"order Falsehood", header("{'fortran_order': Falsehood}"), "expected '}' before 'hood}"},
      {"a number for a shape", shape("1"), "expected '(' before '1"},
      {"a number in parentheses", shape("(1)"), "a number, not a tuple"},
      {"a list", shape("[1]"), "expected '(' before '[1]"},
      {"negative", shape("(-1,)"), "expected an extent before '-1,"},
      {"a fraction", shape("(1.0,)"), "expected ',' or ')'"},
      {"Python 2's long", shape("(1L,)"), "expected ',' or ')'"},
      {"no comma", shape("(1 1)"), "expected ',' or ')'"},
      {"two commas in the shape", shape("(1,,)"), "expected an extent"},
      {"comma alone", shape("(,)"), "expected an extent"},
      {"not closed shape", header("{'shape': (1,"), "expected an extent before ''"},
      {"an expression", shape("(1*1,)"), "expected ',' or ')'"},
      {"rank 7", shape("(1, 1, 1, 1, 1, 1, 1)"), "more than 6 dimensions"},
      {"2^64 + 1", shape("(18446744073709551617,)"), "an extent overflows"},
      {"2^62 + 1, wraps to 4 bytes", shape("(4611686018427387905,)"), "overflows"},
      {"a product that wraps", shape("(4294967297, 4294967295)"), "the shape overflows"},
      {"zero times too much", shape("(0, 72057594037927936, 8)"), "the shape overflows"},
      {"too large", shape("(1000000000000,)"), "4 bytes of data; shape (1000000000000)"},
      {"two values", shape("(2,)"), "4 bytes of data; shape (2) of <f4 needs 8"},
      {"a header over the limit", npy(dict("'<f4'", "(1,)") + std::string(65536, ' '), "1234", 2),
       "may be cut short"},
  });
}

TEST_CASE("npy: no mutated file crashes the reader or is accepted with another size") {
  const int count = mutants(3000);
  const TempDir dir;
  const std::string path = dir / "mutant", seed = npy(dict("'<f4'", "(2, 3)"), raw(kSix));
  std::mt19937_64 random(1);
  int accepted = 0, wrong = 0, unnamed = 0;
  for (int i = 0; i < count; ++i) {
    std::string bytes = seed;
    for (uint64_t edits = 1 + random() % 3; edits > 0; --edits) {
      const size_t at = static_cast<size_t>(random() % (random() % 2 ? 70 : bytes.size()));
      bytes[at] = static_cast<char>(random() % 2 ? random() % 256 : '0' + random() % 10);
    }
    put_file(path, bytes);
    try {
      const Tensor x = load_npy(path);
      ++accepted;
      wrong += x.numel() * size_of(x.dtype()) != 24 && x.dtype() != DType::i64;
    } catch (const Error& e) {
      unnamed += !contains(e.what(), path);
    }
  }
  CHECK(accepted > 0);
  CHECK(wrong == 0);
  CHECK(unnamed == 0);
}
