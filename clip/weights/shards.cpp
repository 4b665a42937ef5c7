// clip/weights/shards.cpp — reading shards by their index, and checking one against the other.
#include "clip/weights/shards.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "clip/weights/run_folder.h"
#include "tensor/io/json.h"
#include "tensor/io/sha256.h"
#include "tensor/io/torch_file.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int64_t kMaxIndexBytes = 8 << 20;
constexpr size_t kMaxTensors = 1 << 14, kMaxShards = 200;  // each shard is an open file
constexpr const char* kIndexEnd = ".index.json";

Json read_index(const InputFile& index) {
  const std::string text = index.read_all(kMaxIndexBytes);
  check_json(index.where(), text, kMaxTensors);
  Json json = Json::parse(text);
  check(json.is_object() && json.contains("weight_map") && json["weight_map"].is_object() &&
            !json["weight_map"].empty(),
        index.where(), ": an index of shards has a weight_map that names each tensor's file");
  for (const auto& [key, value] : json.items())
    check(key == "weight_map" || (key == "metadata" && value.is_object()), index.where(), ": ",
          in_quotes(key), " is not known in an index of shards");
  return json["weight_map"];
}

/// A plain name, so that nothing outside of the folder is opened.
std::string shard_name(const InputFile& index, const std::string& tensor, const Json& value) {
  check(value.is_string(), index.where(), ": the file of ", in_quotes(tensor), " is no text");
  const auto name = value.get<std::string>();
  const bool clean = std::none_of(name.begin(), name.end(), [](unsigned char c) {
    return c < ' ' || c == 0x7f || c == '/' || c == '\\';  // no byte that would steer a terminal
  });
  const bool plain = clean && !name.empty() && name != "." && name != ".." && !is_shard_index(name);
  check(plain, index.where(), ": the shard ", in_quotes(name), " of ", in_quotes(tensor),
        " is no name of a file in the folder of the index");
  return name;
}

std::unique_ptr<InputFile> open_shard(const InputFile& index, const std::string& name) {
  try {
    return std::make_unique<InputFile>("model", fs::path(index.path()).parent_path() / name);
  } catch (const Error& error) {
    fail(error.what(), ", which '", index.path(), "' names");
  }
}

SafeTensors load_any(const InputFile& file, std::vector<std::string>& left_out) {
  if (is_torch_file(file)) return {load_torch(file, &left_out), {}};
  return load_safetensors(file);
}

}  // namespace

bool is_shard_index(const std::string& path) { return path.ends_with(kIndexEnd); }

bool is_one_shard(const std::string& path) {
  const std::string name = fs::path(path).stem(), end = "-00001-of-00001";
  if (name.size() < end.size() || name.ends_with("-of-00001")) return false;
  const std::string_view tail = std::string_view(name).substr(name.size() - end.size());
  return std::equal(tail.begin(), tail.end(), end.begin(), [](char c, char pattern) {
    return pattern == '0' || pattern == '1' ? c >= '0' && c <= '9' : c == pattern;
  });
}

bool is_torch_file(const InputFile& file) {
  char start[2] = {};
  if (file.size() >= 2) file.read_at(0, start, 2);
  const std::string extension = fs::path(file.path()).extension().string();
  return std::string_view(start, 2) == "PK" || extension == ".pt" || extension == ".pth" ||
         extension == ".bin";
}

ModelFiles::ModelFiles(const std::string& path) : named_("model", path) {
  check(!is_one_shard(path), named_.where(),
        " is one shard of several; name its folder, or the .index.json beside it");
  if (!is_shard_index(path)) return;
  const Json map = read_index(named_);
  for (const auto& [tensor, file] : map.items()) {
    const std::string name = shard_name(named_, tensor, file);
    shard_of_[tensor] = name;
    shards_[name];
    check(shards_.size() <= kMaxShards, named_.where(), ": names more than ", kMaxShards,
          " shards");
  }
  for (auto& [name, shard] : shards_) shard = open_shard(named_, name);
}

std::string ModelFiles::sha256() const {
  Sha256 hash;
  hash.add_file(named_);
  for (const auto& [name, shard] : shards_) hash.add_file(*shard);
  return hash.hex();
}

void ModelFiles::load_shard(const std::string& name, const InputFile& shard, SafeTensors& all,
                            std::vector<std::string>& left_out) const {
  for (NamedTensor& x : load_any(shard, left_out).tensors) {
    const auto found = shard_of_.find(x.name);
    check(found != shard_of_.end(), named_.where(), ": does not name ", in_quotes(x.name),
          ", which is in the shard ", in_quotes(name));
    check(found->second == name, named_.where(), ": says that ", in_quotes(x.name), " is in ",
          in_quotes(found->second), "; the shard ", in_quotes(name), " holds one too");
    all.tensors.push_back(std::move(x));
  }
}

SafeTensors ModelFiles::load(std::vector<std::string>& left_out) const {
  if (shards_.empty()) return load_any(named_, left_out);
  SafeTensors all;
  for (const auto& [name, shard] : shards_) load_shard(name, *shard, all, left_out);
  std::set<std::string_view> there;
  for (const NamedTensor& x : all.tensors) there.insert(x.name);
  for (const auto& [tensor, name] : shard_of_)
    check(there.contains(tensor), named_.where(), ": says that ", in_quotes(tensor), " is in ",
          in_quotes(name), ", which lacks it; the shards and the index are not of one model");
  return all;
}

void ModelFiles::verify_checkpoints() const {
  verify_if_checkpoint(named_);
  for (const auto& [name, shard] : shards_) verify_if_checkpoint(*shard);
}

void ModelFiles::check_unchanged() const {
  named_.check_unchanged();
  for (const auto& [name, shard] : shards_) shard->check_unchanged();
}

}  // namespace diptych
