// tests/test_pickle.cpp — what pickles mean, and the limits they are held to.
#include <doctest/doctest.h>

#include "tensor/io/pickle.h"
#include "tests/files.h"
#include "tests/torch_files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

using Kind = PickleValue::Kind;

/// The value as Python would print it; shared values are printed each time.
std::string show(const PickleValue& value) {
  const auto items = [&](const char* open, const char* close) {
    std::string out = open;
    for (const PickleValue* item : value.items) out += (out == open ? "" : ",") + show(*item);
    return out + close;
  };
  switch (value.kind) {
    case Kind::none:
      return "None";
    case Kind::boolean:
      return value.integer ? "True" : "False";
    case Kind::integer:
      return std::to_string(value.integer);
    case Kind::real:
      return std::to_string(value.real);
    case Kind::text:
    case Kind::global:
      return std::string(value.text);
    case Kind::tuple:
      return items("(", ")");
    case Kind::list:
      return items("[", "]");
    case Kind::dict:
      return items("{", "}");
    case Kind::persistent:
      return items("id<", ">");
    case Kind::call:
      return items("call<", ">");
    case Kind::object:
      return items("object<", ">");
  }
  return "?";
}

std::string shown(const std::string& program) {
  return show(Pickle(pickle_of(program), "load: 'x'").root());
}

std::string error_of_pickle(const std::string& bytes) {
  return error_of([&] { Pickle(bytes, "load: 'x'"); });
}

std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

const std::string kOrdered = global("collections", "OrderedDict") + ")R";

}  // namespace

TEST_CASE("pickle: values") {
  CHECK(shown("N") == "None");
  CHECK(shown("\x88") == "True");
  CHECK(shown("\x89") == "False");
  CHECK(shown("K\xff") == "255");
  CHECK(shown("M\xff\xff") == "65535");
  CHECK(shown("J\xff\xff\xff\xff") == "-1");
  CHECK(shown(std::string("J\0\0\0\x80", 5)) == "-2147483648");
  CHECK(shown(std::string("\x8a\0", 2)) == "0");
  CHECK(shown("\x8a\x01\xff") == "-1");
  CHECK(shown(std::string("\x8a\x02\xff\0", 4)) == "255");
  CHECK(shown("\x8a\x08" + little_endian(INT64_MIN)) == std::to_string(INT64_MIN));
  CHECK(shown(std::string("G\x3f\xf8\0\0\0\0\0\0", 9)) == "1.500000");
  CHECK(shown(text("a\nb")) == "a\nb");
  CHECK(shown(text("")) == "");
}

TEST_CASE("pickle: containers") {
  CHECK(shown(")") == "()");
  CHECK(shown("K\1\x85") == "(1)");
  CHECK(shown("K\1K\2\x86") == "(1,2)");
  CHECK(shown("K\1K\2K\3\x87") == "(1,2,3)");
  CHECK(shown("(K\1K\2K\3K\4t") == "(1,2,3,4)");
  CHECK(shown("(t") == "()");
  CHECK(shown("]K\1a(K\2K\3e") == "[1,2,3]");
  CHECK(shown("}K\1K\2s(K\3K\4u(u") == "{1,2,3,4}");
  CHECK(shown("(K\1(K\2tK\3t") == "(1,(2),3)");
}

TEST_CASE("pickle: the memo, and values that are shared") {
  CHECK(shown("K\7q\1K\1h\1\x87") == "(7,1,7)");
  CHECK(shown("K\7r" + little_endian(300) + "j" + little_endian(300) + "\x86") == "(7,7)");
  const Pickle pickle(pickle_of("]q\1h\1\x86"), "load: 'x'");
  CHECK(pickle.root().items[0] == pickle.root().items[1]);
  const Pickle cycle(pickle_of("]q\1h\1a"), "load: 'x'");
  CHECK(cycle.root().items[0] == &cycle.root());
}

TEST_CASE("pickle: calls, objects and ids are kept as data") {
  CHECK(shown(kOrdered) == "{}");
  CHECK(shown(kOrdered + "(" + text("a") + "K\1u") == "{a,1}");
  CHECK(shown(kOrdered + "}b") == "{}");  // its attributes, as _metadata, are dropped
  CHECK(shown(global("torch._utils", "_rebuild_parameter") + ")R") ==
        "call<torch._utils._rebuild_parameter,()>");
  CHECK(shown(global("torch.jit._pickle", "build_intlist") + "]\x85R") ==
        "call<torch.jit._pickle.build_intlist,([])>");
  CHECK(shown(global("__torch__.a.b", "C") + ")\x81") == "object<__torch__.a.b.C>");
  CHECK(shown(module({{"a", "K\1"}})) == "object<__torch__.net.Module,{a,1}>");
  CHECK(shown(text("x") + "Q") == "id<x>");
  CHECK(shown(global("torch", "HalfStorage")) == "torch.HalfStorage");
}

TEST_CASE("pickle: every opcode that takes values refuses an empty stack and stops at a mark") {
  const std::string one_number = std::string(1, '\1') + std::string(3, '\0');
  const std::vector<std::pair<std::string, size_t>> opcodes = {
      {"\x85", 1}, {"\x86", 2},           {"\x87", 3}, {"a", 2}, {"s", 3},   {"q\1", 1},
      {"Q", 1},    {"r" + one_number, 1}, {"R", 2},    {"b", 2}, {"\x81", 2}};
  for (const auto& row : opcodes) {
    const std::string& opcode = row.first;
    for (size_t given = 0; given < row.second; ++given) {
      CAPTURE(opcode);
      CAPTURE(given);
      // A container below lets no opcode fail for another reason than what is missing.
      const std::string values = given == 0 ? "" : "]" + repeated("N", static_cast<int>(given) - 1);
      const std::string bare = error_of_pickle(pickle_of(values + opcode));
      const std::string marked = error_of_pickle(pickle_of("]NNN(" + values + opcode));
      CHECK_MESSAGE((contains(bare, "empty stack") || contains(bare, "there is none")), bare);
      CHECK_MESSAGE((contains(marked, "empty stack") || contains(marked, "there is none")), marked);
    }
  }
}

TEST_CASE("pickle: every opcode that takes all down to a mark needs one, and a container below") {
  for (const std::string opcode : {"t", "e", "u"}) {
    CHECK(contains(error_of_pickle(pickle_of(opcode)), "needs a mark, and there is none"));
    CHECK(contains(error_of_pickle(pickle_of("]NN" + opcode)), "needs a mark, and there is none"));
  }
  for (const std::string opcode : {"e", "u"})
    CHECK(contains(error_of_pickle(pickle_of("(" + opcode)), "needs a value on the stack"));
}

TEST_CASE("pickle: every opcode refuses to be cut off from its argument") {
  for (const std::string opcode :
       {"\x80", "J", "K", "M", "\x8a", "G", "X", "c", "q", "r", "h", "j"})
    CHECK_MESSAGE(contains(error_of_pickle("N" + opcode), "is cut short (at its byte 1)"), opcode);
  for (const std::string some : {"Jaaa", "Ma", "\x8a\2a", "Gaaaaaaa", "Xaaa", "cab", "cab\ncd"})
    CHECK_MESSAGE(contains(error_of_pickle("N" + some), "is cut short (at its byte 1)"), some);
  CHECK(contains(error_of_pickle("X\xff\xff\xff\xff"
                                 "abc"),
                 "is cut short"));
  CHECK(contains(error_of_pickle(""), "is cut short"));
  CHECK(contains(error_of_pickle("N"), "is cut short"));
}

TEST_CASE("pickle: the 256 opcodes are known or refused by number") {
  const std::string known = "(.)GJKMNQRX]abcehjqrstu}\x80\x81\x85\x86\x87\x88\x89\x8a";
  for (int opcode = 0; opcode < 256; ++opcode) {
    const std::string error = error_of_pickle(pickle_of(std::string(1, static_cast<char>(opcode))));
    const bool refused = contains(error, "opcode " + std::to_string(opcode) + ", which PyTorch");
    CHECK(refused == (known.find(static_cast<char>(opcode)) == known.npos));
  }
}

TEST_CASE("pickle: bombs of shared values stay as small as their pickle") {
  std::string doubled = "]";  // 2⁶⁰ lists, if they were copied
  for (int i = 0; i < 60; ++i) doubled += "q\1h\1\x86";
  const Pickle pickle(pickle_of(doubled), "load: 'x'");
  const PickleValue* value = &pickle.root();
  int depth = 0;
  for (; value->is(Kind::tuple); value = value->items[1]) ++depth;
  CHECK(depth == 60);
}

TEST_CASE("pickle: a chain of lists that grow after they are stored is freed without recursion") {
  std::string chain = "(]q\1";
  for (int i = 0; i < 100'000; ++i) chain += "h\1]q\1a";
  const Pickle pickle(pickle_of(chain + "t"), "load: 'x'");
  int depth = 0;
  for (const PickleValue* x = pickle.root().items[0]; !x->items.empty(); x = x->items[0]) ++depth;
  CHECK(depth == 100'000);
}
