// tensor/io/torch_file.cpp — from the values of data.pkl to tensors with names.
#include "tensor/io/torch_file.h"

#include <utf8proc.h>

#include <algorithm>
#include <set>

#include "tensor/io/pickle.h"
#include "tensor/io/torch_state.h"
#include "tensor/io/torch_storage.h"
#include "tensor/io/zip.h"

namespace diptych {
namespace {

using Kind = PickleValue::Kind;

constexpr int64_t kMaxPickleBytes = 64 << 20;
constexpr int kMaxDepth = 64;            // of modules in modules
constexpr int kMaxAttributes = 1 << 18;  // of all modules; one module may be in many places
constexpr size_t kMaxTensors = 1 << 14;
constexpr size_t kMaxName = 512;

/// What a file that is no zip may be, from its first bytes.
std::string likely_cause(std::string_view start) {
  constexpr std::string_view kLegacy("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19",
                                     14);
  constexpr size_t kTarMagic = 257;
  const auto at = [&](size_t offset, std::string_view text) {
    return start.size() >= offset && start.substr(offset).starts_with(text);
  };
  if (at(0, kLegacy))
    return "is in PyTorch's format before 1.6; load it with PyTorch and torch.save it again";
  if (at(0, "\x80"))
    return "is a plain Python pickle, which can run code; write it with torch.save instead";
  if (at(kTarMagic, "ustar"))
    return "is a tar file, as PyTorch before 0.4 wrote; load it with PyTorch and torch.save it "
           "again";
  if (at(8, "{")) return "looks like a safetensors file; name it .safetensors";
  if (at(0, "version ")) return "is a Git LFS pointer; fetch the file itself";
  if (at(0, "\x1f\x8b")) return "is a gzip file; unpack it with gunzip";
  return "is not a zip file, as those of torch.save are";
}

void check_is_zip(const InputFile& file) {
  std::string start(static_cast<size_t>(std::min<int64_t>(file.size(), 512)), '\0');
  file.read_at(0, start.data(), static_cast<int64_t>(start.size()));
  if (!start.starts_with("PK")) fail(file.where(), ' ', likely_cause(start));
}

/// "archive/": the folder that holds everything.
std::string find_root(const ZipArchive& archive, const std::string& where) {
  std::string root;
  for (const ZipEntry& entry : archive.entries()) {
    const size_t folder = entry.name.find('/') + 1;
    if (folder == 0 || entry.name.substr(folder) != "data.pkl") continue;
    check(root.empty(), where, ": two folders have a data.pkl");
    root = entry.name.substr(0, folder);
  }
  check(!root.empty(), where,
        ": the zip file has no <folder>/data.pkl, so torch.save did not write it");
  return root;
}

std::string read_pickle(const ZipArchive& archive, const std::string& root,
                        const std::string& where) {
  if (const ZipEntry* order = archive.find(root + "byteorder"))
    check(order->size == 6 && archive.read(*order) == "little", where,
          ": not written on a little-endian machine");
  const ZipEntry& entry = *archive.find(root + "data.pkl");
  check(entry.size <= kMaxPickleBytes, where, ": a data.pkl of ", entry.size,
        " bytes is over the limit of ", kMaxPickleBytes);
  return archive.read(entry);
}

/// UTF-8 without NUL.
bool is_name(std::string_view text) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  auto left = static_cast<utf8proc_ssize_t>(text.size());
  for (utf8proc_int32_t letter = 0; left > 0;) {
    const utf8proc_ssize_t used = utf8proc_iterate(bytes, left, &letter);
    if (used <= 0 || letter == 0) return false;
    bytes += used;
    left -= used;
  }
  return true;
}

/// Collects the tensors of a state dict or of a tree of modules.
class Collector {
 public:
  Collector(const ZipArchive& archive, const std::string& root, const std::string& where)
      : storages_(archive, root), where_(where) {}

  std::vector<NamedTensor> run(const PickleValue& file, std::vector<std::string>* left_out) {
    check(file.is(Kind::dict) || file.is(Kind::object), where_,
          ": holds neither a state dict nor a TorchScript module");
    if (file.is(Kind::object)) {
      add_module("", file, 0);
    } else {
      add_entries("", detail::state_dict_of(file, where_, left_out), 0);
    }
    check(!tensors_.empty(), where_, ": no tensors in the archive");
    check_unique();
    return std::move(tensors_);
  }

 private:
  void add_module(const std::string& prefix, const PickleValue& module, int depth) {
    check(depth <= kMaxDepth, where_, ": modules are nested deeper than ", kMaxDepth);
    if (module.items.size() == 1) return;  // no attributes
    check(module.items[1]->is(Kind::dict), where_, ": the module ", in_quotes(prefix),
          " has attributes without names");
    add_entries(prefix, *module.items[1], depth);
  }

  void add_entries(const std::string& prefix, const PickleValue& dict, int depth) {
    for (size_t i = 0; i < dict.items.size(); i += 2) {
      const PickleValue& key = *dict.items[i];
      const PickleValue& value = *dict.items[i + 1];
      check(++attributes_ <= kMaxAttributes, where_, ": more than ", kMaxAttributes, " entries");
      if (!value.is(Kind::object) && !detail::is_torch_tensor(value)) continue;
      const std::string name = name_of(prefix, key);
      if (value.is(Kind::object)) {
        add_module(name + '.', value, depth + 1);
      } else {
        add_tensor(name, value);
      }
    }
  }

  std::string name_of(const std::string& prefix, const PickleValue& key) const {
    check(key.is(Kind::text) && is_name(key.text), where_, ": the name of a tensor in ",
          in_quotes(prefix), " is no UTF-8 text");
    check(prefix.size() + key.text.size() <= kMaxName, where_, ": the name ",
          in_quotes(prefix + std::string(key.text)), " is longer than ", kMaxName, " bytes");
    return prefix + std::string(key.text);
  }

  void add_tensor(const std::string& name, const PickleValue& value) try {
    check(tensors_.size() < kMaxTensors, where_, ": more than ", kMaxTensors, " tensors");
    tensors_.push_back({name, storages_.tensor(value)});
  } catch (const Error& e) {
    if (std::string_view(e.what()).starts_with(where_)) throw;  // the archive's own
    fail(where_, ": tensor ", in_quotes(name), ": ", e.what());
  }

  void check_unique() const {
    std::set<std::string_view> names;
    for (const NamedTensor& x : tensors_)
      check(names.insert(x.name).second, where_, ": tensor ", in_quotes(x.name), " appears twice");
  }

  detail::TorchStorages storages_;
  const std::string& where_;
  std::vector<NamedTensor> tensors_;
  int attributes_ = 0;
};

}  // namespace

std::vector<NamedTensor> load_torch(const InputFile& file, std::vector<std::string>* left_out) {
  check_is_zip(file);
  const std::string where = file.where();
  const ZipArchive archive(file);
  const std::string root = find_root(archive, where);
  const Pickle pickle(read_pickle(archive, root, where), where);
  return Collector(archive, root, where).run(pickle.root(), left_out);
}

std::vector<NamedTensor> load_torch(const std::string& path) {
  return load_torch(InputFile("load", path));
}

}  // namespace diptych
