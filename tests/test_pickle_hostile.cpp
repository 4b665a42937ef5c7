// tests/test_pickle_hostile.cpp — pickles made to break or to abuse a reader, each with a verdict.
#include "tensor/io/pickle.h"
#include "tests/hostile.h"
#include "tests/torch_files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

void judge(const std::vector<HostileFile>& files) {
  judge(files, [](const std::string& path) { Pickle(get_file(path), "load: '" + path + "'"); });
}

std::string repeated(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

/// What `class E: def __reduce__(self): return function, (argument,)` becomes.
std::string attack(const std::string& module, const std::string& name) {
  return pickle_of(global(module, name) + text("touch /tmp/owned") + "\x85R");
}

const std::string kTensor = global("torch._utils", "_rebuild_tensor_v2");
const std::string kModule = global("__torch__", "M");

}  // namespace

TEST_CASE("pickle: hostile globals are refused by name") {
  judge({
      {"os.system on Unix", attack("posix", "system"), "needs posix.system: refused"},
      {"os.system on Windows", attack("nt", "system"), "needs nt.system: refused"},
      {"os.system", attack("os", "system"), "needs os.system: refused"},
      {"eval", attack("__builtin__", "eval"), "needs __builtin__.eval: refused"},
      {"exec", attack("builtins", "exec"), "needs builtins.exec: refused"},
      {"getattr", attack("builtins", "getattr"), "needs builtins.getattr: refused"},
      {"open", attack("builtins", "open"), "needs builtins.open: refused"},
      {"set", attack("__builtin__", "set"), "needs __builtin__.set: refused"},
      {"subprocess", attack("subprocess", "Popen"), "needs subprocess.Popen: refused"},
      {"runpy", attack("runpy", "_run_code"), "needs runpy._run_code: refused"},
      {"pickle in pickle", attack("pickle", "loads"), "needs pickle.loads: refused"},
      {"bytes", attack("_codecs", "encode"), "needs _codecs.encode: refused"},
      {"numpy", attack("numpy.core.multiarray", "scalar"), "needs numpy.core.multiarray.scalar"},
      {"torch.load", attack("torch", "load"), "needs torch.load: refused"},
      {"torch.hub", attack("torch.hub", "load"), "needs torch.hub.load: refused"},
      {"a storage class elsewhere", attack("torch.x", "FloatStorage"),
       "needs torch.x.FloatStorage"},
      {"a module that is a storage", attack("torch.FloatStorage", "x"),
       "torch.FloatStorage.x: ref"},
      {"a whole model", attack("torch.nn.modules.linear", "Linear"),
       "torch.save(model.state_dict()"},
      {"nearly TorchScript", attack("__torch__x", "M"), "needs __torch__x.M: refused"},
      {"nearly OrderedDict", attack("collections", "OrderedDict2"),
       "collections.OrderedDict2: ref"},
      {"quantised", attack("torch._utils", "_rebuild_qtensor"), "torch._utils._rebuild_qtensor: r"},
      {"no name", attack("", ""), "needs .: refused"},
      {"name of 1 MB", attack("a", std::string(1 << 20, 'n')), "nnn…: refused"},
      {"control bytes", attack("a", "\x1b[2J"), "needs a.\\x1b[2J: refused"},
      {"a dot for the line end", attack("torch._utils._rebuild_tensor_v2", "x"), "refused"},
      {"in the middle of a good one",
       pickle_of(dict({{"a", integer(1)}, {"b", global("posix", "system")}})), "posix.system: ref"},
      {"never called", pickle_of(global("posix", "system")), "needs posix.system: refused"},
  });
}

TEST_CASE("pickle: opcodes of other protocols are refused") {
  judge({
      {"protocol 3", "\x80\x03N.", "is not of protocol 2"},
      {"protocol 4", "\x80\x04N.", "is not of protocol 2"},
      {"protocol 255", "\x80\xffN.", "is not of protocol 2"},
      {"no protocol", "N.", kAccepted},
      {"STACK_GLOBAL", pickle_of(text("os") + text("system") + "\x93"), "opcode 147"},
      {"INST", pickle_of("(ios\nsystem\n"), "opcode 105"},
      {"OBJ", pickle_of("(" + kModule + "o"), "opcode 111"},
      {"NEWOBJ_EX", pickle_of(kModule + ")}\x92"), "opcode 146"},
      {"EXT1", pickle_of("\x82\x01"), "opcode 130"},
      {"PERSID", pickle_of("Pname\n"), "opcode 80"},
      {"FRAME", pickle_of("\x95" + little_endian(~uint64_t{0})), "opcode 149"},
      {"BINUNICODE8", pickle_of("\x8d" + little_endian(~uint64_t{0})), "opcode 141"},
      {"BINBYTES", pickle_of("B" + little_endian(~uint32_t{0})), "opcode 66"},
      {"LONG4", pickle_of("\x8b" + little_endian(~uint32_t{0})), "opcode 139"},
      {"POP", pickle_of("NN0"), "opcode 48"},
      {"DUP", pickle_of("N2"), "opcode 50"},
      {"text", "Some text", "opcode 83"},
      {"HTML", "<html>", "opcode 60"},
  });
}

TEST_CASE("pickle: hostile structure") {
  judge({
      {"nothing", "", "is cut short"},
      {"only an end", pickle_of(""), "leaves 0 values and 0 marks instead of one value"},
      {"two values", pickle_of("NN"), "leaves 2 values and 0 marks instead of one value"},
      {"an open mark", pickle_of("N("), "leaves 1 values and 1 marks instead of one value"},
      {"bytes behind", pickle_of("N") + "x", "has bytes after its end"},
      {"a second pickle", pickle_of("N") + pickle_of("N"), "has bytes after its end"},
      {"append to a tuple", pickle_of(")Na"), "adds items to something that is no list"},
      {"append to a dict", pickle_of("}Na"), "adds items to something that is no list"},
      {"append to None", pickle_of("N(Ne"), "adds items to something that is no list"},
      {"append to a tensor", pickle_of(floats("0", 1) + "Na"), "something that is no list"},
      {"set an item of a list", pickle_of("]NNs"), "adds items to something that is no dict"},
      {"set items of a tensor", pickle_of(floats("0", 1) + "(NNu"), "something that is no dict"},
      {"set items of an object", pickle_of(kModule + ")\x81(NNu"), "something that is no dict"},
      {"a key without a value", pickle_of("}(NNNu"), "has a key without a value"},
      {"call a number", pickle_of("K\1)R"), "calls what is no function"},
      {"call a text", pickle_of(text("os.system") + ")R"), "calls what is no function"},
      {"call a tensor", pickle_of(floats("0", 1) + ")R"), "calls what is no function"},
      {"arguments in a list", pickle_of(kTensor + "]R"), "calls what is no function"},
      {"OrderedDict of a list", pickle_of(global("collections", "OrderedDict") + "]\x85R"),
       "makes an OrderedDict from arguments"},
      {"object of a function", pickle_of(kTensor + ")\x81"), "no class of TorchScript"},
      {"object of a number", pickle_of("K\1)\x81"), "no class of TorchScript"},
      {"object with arguments", pickle_of(kModule + "N\x85\x81"), "no class of TorchScript"},
      {"state of a tensor", pickle_of(floats("0", 1) + "}b"),
       "a state to something that takes none"},
      {"state of a class", pickle_of(kModule + "}b"), "a state to something that takes none"},
      {"state twice", pickle_of(kModule + ")\x81}b}b"), "a state to something that takes none"},
      {"unset memo", pickle_of("h\1"), "reads the memo where nothing is"},
      {"unset memo between", pickle_of("Nq\5h\1\x86"), "reads the memo where nothing is"},
      {"memo 2^32-1 read", pickle_of("j\xff\xff\xff\xff"), "reads the memo where nothing is"},
      {"memo 2^32-1 set", pickle_of("Nr\xff\xff\xff\xff"), "uses the memo beyond 262144"},
      {"a number of 9 bytes", pickle_of("\x8a\x09" + std::string(9, '\1')), "number of 9 bytes"},
      {"a number of 255 bytes", pickle_of("\x8a\xff" + std::string(255, '\1')), "255 bytes, which"},
  });
}

TEST_CASE("pickle: hostile sizes") {
  const std::string million(1'000'000, 'x');
  const std::string shared = "Nq\1](" + repeated(repeated("h\1", 64) + "e(", 8191) +
                             repeated("h\1", 62) + "e";  // a list of 524,286 times None
  judge({
      {"63 tuples deep", pickle_of(repeated("(", 63) + repeated("t", 63)), kAccepted},
      {"65 marks", pickle_of(repeated("(", 65) + repeated("t", 65)), "nested deeper than 64"},
      {"a million marks", pickle_of(repeated("(", 1'000'000)), "nested deeper than 64"},
      {"64 deep without marks", pickle_of(")" + repeated("\x85", 64)), kAccepted},
      {"65 deep without marks", pickle_of(")" + repeated("\x85", 65)), "nested deeper than 64"},
      {"lists 10,000 deep", pickle_of(repeated("]", 10'000) + repeated("a", 9'999)),
       "nested deeper than 64"},
      {"a list that contains itself", pickle_of("]q\1h\1a"), kAccepted},
      {"262,144 values", pickle_of("(" + repeated("N", 262'143) + "t"), kAccepted},
      {"262,145 values", pickle_of("(" + repeated("N", 262'144) + "t"), "more than 262144 values"},
      {"a stack of 262,145", pickle_of("Nq\1" + repeated("h\1", 262'144)), "a stack of more than"},
      {"524,288 items", pickle_of(shared + "\x86"), kAccepted},
      {"524,289 items", pickle_of(shared + "h\1a\x86"), "more than 524288 items"},
      {"text of 1 MB", pickle_of(text(million)), kAccepted},
      {"text of 4 GB announced", pickle_of("X\xff\xff\xff\xff" + million), "is cut short"},
  });
}
