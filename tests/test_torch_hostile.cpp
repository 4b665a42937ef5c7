// tests/test_torch_hostile.cpp — .pt files made to break a reader, each with a verdict.
#include "tensor/io/torch_file.h"
#include "tests/hostile.h"
#include "tests/torch_files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

void judge(const std::vector<HostileFile>& files) {
  judge(files, [](const std::string& path) { load_torch(path); });
}

constexpr int64_t kMost = INT64_MAX;
const std::string kData(16, '\1');  // of data/0

std::string file(const std::string& value) { return torch_file(pickle_of(value), {kData}).bytes; }
std::string state(const std::string& x) { return file(dict({{"x", x}})); }

/// A tensor that views four floats.
std::string view(int64_t offset, const std::vector<int64_t>& shape,
                 const std::vector<int64_t>& strides) {
  return state(tensor(storage("FloatStorage", "0", 4), offset, shape, strides));
}

/// A call of _rebuild_tensor_v2 with these arguments.
std::string rebuilt(const std::vector<std::string>& arguments) {
  return state(global("torch._utils", "_rebuild_tensor_v2") + tuple(arguments) + 'R');
}

std::string stored_as(const std::string& id) {
  return rebuilt({id, integer(0), integers({4}), integers({1}), "\x89", "}"});
}

/// int8 tensors "0", "1", … with so many elements.
std::string bytes_as_integers(const std::vector<int64_t>& counts) {
  std::vector<Entry> entries;
  std::vector<std::string> data;
  for (const int64_t n : counts) {
    const std::string key = std::to_string(data.size());
    entries.push_back({key, tensor(storage("CharStorage", key, n), 0, {n}, {1})});
    data.push_back(std::string(static_cast<size_t>(n), '\1'));
  }
  return torch_file(pickle_of(dict(entries)), data).bytes;
}

/// A dict in so many dicts.
std::string nested(int levels, const std::string& inner) {
  return levels == 0 ? inner : dict({{"k", nested(levels - 1, inner)}});
}

const std::string kStorage = storage("FloatStorage", "0", 4);

}  // namespace

TEST_CASE("torch file: what is no file of torch.save is refused with a word on what it is") {
  const std::string legacy("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15);
  const std::string pickle = pickle_of(dict({{"x", floats("0", 4)}}));
  std::string tar(512, '\0');
  tar.replace(0, 7, "storages").replace(257, 5, "ustar");
  judge({
      {"empty", "", "is not a zip file, as those of torch.save are"},
      {"text", "hello", "is not a zip file"},
      {"before PyTorch 1.6", legacy + pickle, "is in PyTorch's format before 1.6; load it with"},
      {"a plain pickle", pickle, "is a plain Python pickle, which can run code; write it with"},
      {"a pickle of protocol 5", "\x80\x05N.", "is a plain Python pickle"},
      {"tar", tar, "is a tar file, as PyTorch before 0.4 wrote"},
      {"safetensors", little_endian(uint64_t{2}) + "{}", "looks like a safetensors file"},
      {"Git LFS", "version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"},
      {"gzip", "\x1f\x8b\x08", "is a gzip file"},
      {"a cut zip", file("N").substr(0, 100), "the end of the zip file is missing"},
      {"another zip", zip_of({{"word/document.xml", "x"}}).bytes, "has no <folder>/data.pkl"},
      {"no folder", zip_of({{"data.pkl", pickle}}).bytes, "has no <folder>/data.pkl"},
      {"a deeper folder", zip_of({{"a/b/data.pkl", pickle}}).bytes, "has no <folder>/data.pkl"},
      {"two folders", zip_of({{"a/data.pkl", pickle}, {"b/data.pkl", pickle}}).bytes,
       "two folders have a data.pkl"},
      {"a compressed pickle", zip_of({{"a/data.pkl", pickle, 0, 8}}).bytes,
       "'a/data.pkl' is compressed, as PyTorch never does"},
  });
}

TEST_CASE("torch file: hostile contents") {
  const std::string good = floats("0", 4);
  judge({
      {"good", state(good), kAccepted},
      {"a number", file("K\1"), "holds neither a state dict nor a TorchScript module"},
      {"a list", file("]" + good + "a"), "holds neither a state dict"},
      {"a single tensor", file(good), "holds neither a state dict"},
      {"an empty dict", file("}"), "no tensors at the top or in dicts such as"},
      {"no tensors", file(dict({{"epoch", "K\1"}, {"net", dict({{"x", "K\1"}})}})),
       "'state_dict'; it has 'epoch', 'net'"},
      {"five keys before a tensor", file(nested(5, dict({{"x", good}}))), "no tensors"},
      {"four keys", file(nested(4, dict({{"x", good}}))), kAccepted},
      {"two alike", file(dict({{"p", dict({{"x", good}})}, {"q", dict({{"x", good}})}})),
       "holds two state dicts alike, 'p' (1 tensors) and 'q' (1 tensors)"},
      {"a dict in itself", file("}q\1(" + text("x") + good + text("me") + "h\1u"), kAccepted},
      {"code to run", state(global("posix", "system") + ")R"), "needs posix.system: refused"},
      {"code beside tensors", file(dict({{"x", good}, {"y", global("nt", "system")}})),
       "needs nt.system: refused"},
      {"a name twice", file(dict({{"x", good}, {"x", good}})), "tensor 'x' appears twice"},
      {"a name twice in modules", file(module({{"a.b", good}, {"a", module({{"b", good}})}})),
       "tensor 'a.b' appears twice"},
      {"a number as name", file("}K\1" + good + "s"), "the name of a tensor in '' is no UTF-8"},
      {"not UTF-8", file(dict({{"\xff", good}})), "the name of a tensor in '' is no UTF-8 text"},
      {"a surrogate", file(dict({{"\xed\xa0\x80", good}})), "is no UTF-8 text"},
      {"NUL in the name", file(dict({{std::string("a\0b", 3), good}})), "is no UTF-8 text"},
      {"a name of 512 bytes", file(dict({{std::string(512, 'n'), good}})), kAccepted},
      {"a name of 513 bytes", file(dict({{std::string(513, 'n'), good}})), "longer than 512 bytes"},
      {"other values of all kinds",
       file(dict({{"x", good}, {"n", "N"}, {"t", ")"}, {"g", global("torch", "XStorage")}})),
       kAccepted},
  });
}

TEST_CASE("torch file: hostile trees of modules") {
  const std::string good = floats("0", 4), object = global("__torch__", "M") + ")\x81";
  const auto doubled = [](std::string tree) {  // 2²⁰ leaves, by 21 modules
    for (int i = 0; i < 20; ++i) tree = module({{"a", tree + "q\1"}, {"b", "h\1"}});
    return tree;
  };
  std::string deep = good;
  for (int i = 0; i < 40; ++i) deep = module({{"m", deep}});
  const std::string cycle = object + "q\2" + dict({{"x", good}, {"self", "h\2"}}) + "b";
  judge({
      {"good", file(module({{"x", good}})), kAccepted},
      {"no attributes", file(object), "no tensors in the archive"},
      {"attributes in a list", file(object + "]b"), "the module '' has attributes without names"},
      {"a module that contains itself", file(cycle), "modules are nested deeper than 64"},
      {"2^20 tensors by sharing", file(doubled(good)), "more than 16384 tensors"},
      {"2^20 modules by sharing", file(doubled(module({}))), "more than 262144 entries"},
      {"modules 40 deep", file(deep), "is nested deeper than 64"},
      {"an object in a state dict", state(module({{"y", good}})), kAccepted},
  });
}

TEST_CASE("torch file: hostile views") {
  judge({
      {"all", view(0, {4}, {1}), kAccepted},
      {"one beyond", view(0, {5}, {1}), "leaves its storage of 4 elements"},
      {"last beyond", view(1, {4}, {1}), "its shape (4) with strides (1) at 1 leaves its storage"},
      {"stride beyond", view(0, {3}, {2}), "leaves its storage"},
      {"stride inside", view(0, {2}, {3}), kAccepted},
      {"second axis beyond", view(0, {2, 2}, {2, 3}), "leaves its storage"},
      {"offset at the end", view(4, {1}, {1}), "leaves its storage"},
      {"empty beyond the end", view(kMost, {0}, {1}), kAccepted},
      {"scalar", view(3, {}, {}), kAccepted},
      {"scalar beyond", view(4, {}, {}), "leaves its storage"},
      {"negative offset", view(-1, {1}, {1}), "its offset is no count"},
      {"offset 2^63-1", view(kMost, {1}, {1}), "leaves its storage"},
      {"negative extent", view(0, {-1}, {1}), "its shape is no count"},
      {"negative stride", view(3, {4}, {-1}), "its strides is no count"},
      {"extent 2^63-1", view(0, {kMost}, {1}), "its shape (9223372036854775807) overflows"},
      {"extent 2^63-1, repeated", view(0, {kMost}, {0}), "overflows"},
      {"extent 2^40, repeated", view(0, {int64_t{1} << 40}, {0}), "leaves its storage"},
      {"five times one element", view(0, {5}, {0}), "leaves its storage"},
      {"four times one element", view(0, {4}, {0}), kAccepted},
      {"stride 2^63-1", view(0, {2}, {kMost}), "leaves its storage"},
      {"stride 2^63-1 twice", view(0, {2, 2}, {kMost, kMost}), "leaves its storage"},
      {"offset and stride wrap around", view(kMost, {2}, {kMost}), "leaves its storage"},
      {"shape product wraps to 0", view(0, {int64_t{1} << 32, int64_t{1} << 32}, {0, 0}),
       "overflows"},
      {"zero times too much", view(0, {0, kMost, 4}, {1, 1, 1}), "overflows"},
      {"fewer strides", view(0, {2, 2}, {1}), "its shape (2, 2) has strides (1)"},
      {"more strides", view(0, {4}, {1, 1}), "its shape (4) has strides (1, 1)"},
      {"rank 7", view(0, {1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1}), "more than 6 dimensions"},
      {"rank 6", view(0, {1, 1, 1, 1, 1, 4}, {1, 1, 1, 1, 1, 1}), kAccepted},
  });
}

TEST_CASE("torch file: hostile arguments of a tensor") {
  const std::string zero = integer(0), four = integers({4}), one = integers({1});
  const std::string parameter = global("torch._utils", "_rebuild_parameter");
  judge({
      {"six", rebuilt({kStorage, zero, four, one, "N", "N"}), kAccepted},
      {"seven", rebuilt({kStorage, zero, four, one, "N", "N", "N"}), kAccepted},
      {"none", rebuilt({}), "it is made of 0 values instead of 6 or 7"},
      {"five", rebuilt({kStorage, zero, four, one, "N"}), "it is made of 5 values"},
      {"eight", rebuilt({kStorage, zero, four, one, "N", "N", "N", "N"}), "made of 8 values"},
      {"offset a text", rebuilt({kStorage, text("0"), four, one, "N", "N"}), "offset is no count"},
      {"offset True", rebuilt({kStorage, "\x88", four, one, "N", "N"}), "offset is no count"},
      {"shape a list", rebuilt({kStorage, zero, "]", one, "N", "N"}), "its shape is no tuple"},
      {"shape a number", rebuilt({kStorage, zero, zero, one, "N", "N"}), "its shape is no tuple"},
      {"strides None", rebuilt({kStorage, zero, four, "N", "N", "N"}), "its strides is no tuple"},
      {"shape of text", rebuilt({kStorage, zero, tuple({text("4")}), one, "N", "N"}),
       "its shape is no count"},
      {"parameter of a tensor", state(parameter + tuple({floats("0", 4), "\x88", "}"}) + 'R'),
       kAccepted},
      {"parameter of nothing", state(parameter + ")R"), "it is a parameter of nothing"},
      {"parameter of a number", state(parameter + integers({1}) + 'R'), "a parameter of nothing"},
      {"parameter of a parameter",
       state(parameter + tuple({parameter + tuple({floats("0", 4)}) + 'R'}) + 'R'),
       "it is a parameter of nothing"},
  });
}

TEST_CASE("torch file: hostile storages") {
  const auto named = [](const std::string& type, int64_t numel) {
    return stored_as(storage(type, "0", numel));
  };
  const auto id = [](const std::vector<std::string>& items) {
    return stored_as(tuple(items) + 'Q');
  };
  const std::string word = text("storage"), type = global("torch", "FloatStorage");
  const std::string key = text("0"), cpu = text("cpu"), four = integer(4);
  Zip damaged = torch_file(pickle_of(dict({{"x", floats("0", 4)}})), {kData});
  damaged.set(damaged.bytes.find(kData), '\2');
  judge({
      {"one too many", named("FloatStorage", 5),
       "'0' has 16 bytes instead of 5 elements of torch."},
      {"one too few", named("FloatStorage", 3), "has 16 bytes instead of 3 elements"},
      {"negative", named("FloatStorage", -4), "its storage size is no count"},
      {"2^62 elements, whose bytes wrap to 0", named("FloatStorage", int64_t{1} << 62), "16 bytes"},
      {"2^62 + 4 elements", named("FloatStorage", (int64_t{1} << 62) + 4), "16 bytes instead of"},
      {"another type", named("DoubleStorage", 4),
       "has 16 bytes instead of 4 elements of torch.Dou"},
      {"complex", named("ComplexFloatStorage", 2),
       "'torch.ComplexFloatStorage', which is not supp"},
      {"quantised", named("QInt8Storage", 16), "'torch.QInt8Storage', which is not supported"},
      {"untyped", named("UntypedStorage", 16), "'torch.UntypedStorage', which is not supported"},
      {"missing", stored_as(storage("FloatStorage", "1", 4)), "its storage '1' is not in the file"},
      {"elsewhere", stored_as(storage("FloatStorage", "../version", 4)), "'../version' is not in"},
      {"the pickle itself", stored_as(storage("ByteStorage", "../data.pkl", 4)), "is not in the"},
      {"no storage", stored_as("N"), "its storage is no storage"},
      {"a storage without persistent id", stored_as(tuple({word, type, key, cpu, four})),
       "no stor"},
      {"a text as id", stored_as(text("storage") + 'Q'), "its storage is no storage"},
      {"four fields", id({word, type, key, cpu}), "its storage is no storage"},
      {"six fields", id({word, type, key, cpu, four, "N"}), "its storage is no storage"},
      {"another word", id({text("module"), type, key, cpu, four}), "its storage is no storage"},
      {"a text as type", id({word, text("FloatStorage"), key, cpu, four}), "is no storage"},
      {"a function as type", id({word, global("collections", "OrderedDict"), key, cpu, four}),
       "of the type 'collections.OrderedDict'"},
      {"a number as key", id({word, type, four, cpu, four}), "its storage is no storage"},
      {"a text as size", id({word, type, key, cpu, text("4")}), "its storage size is no count"},
      {"two types of one storage",
       file(dict(
           {{"x", floats("0", 4)}, {"y", tensor(storage("IntStorage", "0", 4), 0, {4}, {1})}})),
       "tensor 'y': its storage '0' appears as 4 of torch.IntStorage and as 4 of torch.Float"},
      {"damaged data", damaged.bytes, "'archive/data/0' is damaged: its CRC-32 is wrong"},
      {"on a device we do not know", id({word, type, key, text("tpu:9"), four}), kAccepted},
      {"small integers that grow eightfold to 4 MiB", bytes_as_integers({524'288}), kAccepted},
      {"one more", bytes_as_integers({524'289}), "it makes more than 4 MiB of small integers"},
      {"in two storages", bytes_as_integers({500'000, 24'289}), "'1': it makes more than 4 MiB"},
  });
}
