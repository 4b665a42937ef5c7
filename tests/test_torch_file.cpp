// tests/test_torch_file.cpp — files that PyTorch wrote, and every variant of them that is right.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>

#include "tensor/io/safetensors.h"
#include "tensor/io/torch_file.h"
#include "tensor/io/zip.h"
#include "tests/files.h"
#include "tests/torch_files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

const std::string kFolder = "tests/golden/";

std::map<std::string, Tensor> by_name(const std::vector<NamedTensor>& tensors) {
  std::map<std::string, Tensor> out;
  for (const auto& [name, tensor] : tensors) out[name] = tensor;
  return out;
}

std::string names_of(const std::vector<NamedTensor>& tensors) {
  std::string out;
  for (const auto& x : tensors) out += (out.empty() ? "" : " ") + x.name;
  return out;
}

void check_golden(const std::string& file, size_t count) {
  CAPTURE(file);
  const SafeTensors expected = load_safetensors(kFolder + "torch_files.safetensors");
  const std::vector<NamedTensor> loaded = load_torch(kFolder + file);
  CHECK(loaded.size() == count);
  for (const NamedTensor& x : loaded) {
    CAPTURE(x.name);
    const Tensor* want = expected.find(file + '/' + x.name);
    REQUIRE(want != nullptr);
    CHECK(same_bits(x.tensor, *want));
  }
}

std::vector<NamedTensor> load(const Zip& zip) {
  const TempDir dir;
  put_file(dir / "x.pt", zip.bytes);
  return load_torch(dir / "x.pt");
}

const std::string kFour =
    little_endian(1.f) + little_endian(2.f) + little_endian(3.f) + little_endian(4.f);

}  // namespace

TEST_CASE("zip: compressed text is read up to a limit, and damage to it is seen") {
  const InputFile file("load", kFolder + "torch_script.pt");
  const ZipArchive archive(file);
  const auto entry = std::find_if(archive.entries().begin(), archive.entries().end(),
                                  [](const ZipEntry& e) { return e.name.ends_with(".py"); });
  REQUIRE(entry != archive.entries().end());
  REQUIRE(entry->compressed);
  const std::string code = archive.read_text(*entry, 1 << 20);
  CHECK(contains(code, "def forward("));
  const auto length = static_cast<int64_t>(code.size());
  CHECK(archive.read_text(*entry, length) == code);
  CHECK(contains(error_of([&] { archive.read_text(*entry, length - 1); }), "longer than"));

  const TempDir dir;
  std::string bytes = get_file(kFolder + "torch_script.pt");
  bytes[static_cast<size_t>(entry->begin + entry->size / 2)] ^= 1;
  put_file(dir / "damaged.pt", bytes);
  const InputFile other("load", dir / "damaged.pt");
  const ZipArchive damaged(other);
  CHECK(contains(error_of([&] { damaged.read_text(*entry, 1 << 20); }), "damaged"));
}

TEST_CASE("torch file: a training checkpoint of PyTorch, with every dtype, views and a parameter") {
  check_golden("torch_state_dict.pt", 18);
  CHECK(names_of(load_torch(kFolder + "torch_state_dict.pt")) ==
        "f32 f64 f16 bf16 i64 i32 i16 i8 u8 bool scalar empty transposed slice tail expanded "
        "strided parameter");
}

TEST_CASE("torch file: TorchScript archives, scripted and traced, have dotted names") {
  check_golden("torch_script.pt", 9);
  check_golden("torch_script_half.pt", 9);
  CHECK(names_of(load_torch(kFolder + "torch_script.pt")) ==
        "proj tied mask blocks.0.in_proj_weight blocks.0.steps blocks.1.weight blocks.1.bias "
        "blocks.2.in_proj_weight blocks.2.steps");
}

TEST_CASE("torch file: tensors of one storage share memory, and views keep their strides") {
  const std::map<std::string, Tensor> x = by_name(load_torch(kFolder + "torch_state_dict.pt"));
  CHECK(x.at("transposed").same_storage(x.at("tail")));
  CHECK(x.at("transposed").same_storage(x.at("slice")));
  CHECK_FALSE(x.at("f32").same_storage(x.at("tail")));
  CHECK(x.at("transposed").strides() == Shape{1, 6});
  CHECK(x.at("strided").strides() == Shape{5});
}

TEST_CASE("torch file: a state dict is found at the top, in state_dict and in model") {
  const std::string state = dict({{"a", floats("0", 4)}}), other = dict({{"b", floats("0", 4)}});
  const auto names = [](const std::string& value) {
    return names_of(load(torch_file(pickle_of(value), {kFour})));
  };
  CHECK(names(state) == "a");
  CHECK(names(dict({{"epoch", integer(3)}, {"state_dict", state}})) == "a");
  CHECK(names(dict({{"optimizer", other}, {"model", state}})) == "a");
  CHECK(names(dict({{"model", other}, {"state_dict", state}})) == "a");
  CHECK(names(dict({{"model", floats("0", 4)}, {"c", floats("0", 4)}})) == "model c");
  CHECK(names(dict({{"a", floats("0", 4)}, {"nested", other}})) == "a");
}

TEST_CASE("torch file: a state dict under any key, beside losses, optimizers and averages") {
  const std::string state = dict({{"a", floats("0", 4)}, {"b", floats("0", 4)}}),
                    other = dict({{"c", floats("0", 4)}, {"d", floats("0", 4)}}),
                    loss = floats("0", 4);
  std::vector<std::string> around;
  const auto names = [&](const std::string& value) {
    const TempDir dir;
    put_file(dir / "x.pt", torch_file(pickle_of(value), {kFour}).bytes);
    around.clear();
    return names_of(load_torch({"load", dir / "x.pt"}, &around));
  };
  using Names = std::vector<std::string>;
  CHECK(names(dict({{"epoch", integer(3)}, {"model_state_dict", state}, {"loss", loss}})) == "a b");
  CHECK(around == Names{"epoch", "loss"});
  CHECK(names(dict({{"net", state}, {"loss", loss}, {"scaler", "}"}})) == "a b");
  CHECK(around == Names{"loss", "scaler"});
  CHECK(names(dict({{"model", dict({{"state_dict", state}, {"args", "N"}})}, {"e", "N"}})) ==
        "a b");
  CHECK(around == Names{"e", "args"});
  CHECK(names(dict({{"state_dict_ema", other}, {"net", state}})) == "a b");
  CHECK(names(dict({{"ema", other}, {"model", dict({{"x", state}})}})) == "a b");
  CHECK(names(dict({{"ema_model", other}, {"epoch", integer(1)}})) == "c d");
  CHECK(names(dict({{"model", other}, {"model_state_dict", state}})) == "a b");
  CHECK(names(state) == "a b");
  CHECK(around.empty());
  const std::string two = dict({{"student", state}, {"teacher", other}});
  CHECK(contains(error_of([&] { names(two); }),
                 "two state dicts alike, 'student' (2 tensors) and 'teacher' (2 tensors)"));
}

TEST_CASE(
    "torch file: the entries that newer PyTorch adds are accepted, big-endian files are not") {
  const std::string pickle = pickle_of(dict({{"a", floats("0", 4)}}));
  const auto file = [&](const std::string& order) {
    return zip_of({{"m/data.pkl", pickle},
                   {"m/.format_version", "1"},
                   {"m/.storage_alignment", "64"},
                   {"m/byteorder", order},
                   {"m/data/0", kFour, 0x0808},
                   {"m/version", "3\n"},
                   {"m/.data/serialization_id", "0123456789"}});
  };
  const std::vector<NamedTensor> x = load(file("little"));
  REQUIRE(x.size() == 1);
  CHECK(bytes_of(x[0].tensor) == kFour);
  CHECK(contains(error_of([&] { load(file("big")); }), "not written on a little-endian machine"));
}

TEST_CASE("torch file: old archives keep storages in tensors/") {
  const std::string pickle = pickle_of(module({{"a", floats("7", 4)}}));
  CHECK(names_of(load(zip_of({{"m/data.pkl", pickle}, {"m/tensors/7", kFour}}))) == "a");
}

TEST_CASE("torch file: the same module in two places is two modules") {
  const std::string shared = module({{"w", floats("0", 4)}}) + "q\x05";
  const std::string root = module({{"a", shared}, {"b", "h\x05"}, {"training", "\x89"}});
  CHECK(names_of(load(torch_file(pickle_of(root), {kFour}))) == "a.w b.w");
}

TEST_CASE("torch file: strides of axes with one element mean nothing") {
  const std::string x =
      tensor(storage("FloatStorage", "0", 4), 0, {1, 4, 1}, {int64_t{1} << 62, 1, 99});
  const std::vector<NamedTensor> loaded = load(torch_file(pickle_of(dict({{"x", x}})), {kFour}));
  CHECK(loaded[0].tensor.is_contiguous());
  CHECK(loaded[0].tensor.strides() == Shape{4, 1, 1});
}
