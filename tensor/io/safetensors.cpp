// tensor/io/safetensors.cpp — reading and writing safetensors files.
#include "tensor/io/safetensors.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

#include "tensor/factory.h"
#include "tensor/io/safetensors_header.h"

namespace diptych {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr int64_t kPrefix = 8;  // the length of the header, u64

/// What else the file may be, from its first bytes.
const char* likely_cause(uint64_t prefix) {
  char bytes[kPrefix];
  std::memcpy(bytes, &prefix, sizeof bytes);
  const std::string_view start(bytes, sizeof bytes);
  if (start.starts_with("PK")) return "; this is a zip file, as PyTorch's .pt: convert it first";
  if (start == "version ") return "; this is a Git LFS pointer: fetch the file itself";
  return "; this is not a safetensors file";
}

std::string read_header(const InputFile& file) {
  check(file.size() >= kPrefix, file.where(), ": ", file.size(),
        " bytes are too few for a safetensors file");
  uint64_t length = 0;
  file.read_at(0, &length, kPrefix);
  check(length <= detail::kMaxHeaderBytes, file.where(), ": a header of ", length,
        " bytes is over the limit of ", detail::kMaxHeaderBytes, likely_cause(length));
  check(length <= static_cast<uint64_t>(file.size() - kPrefix), file.where(), ": a header of ",
        length, " bytes does not fit in a file of ", file.size(), "; it may be cut short");
  std::string json(length, ' ');
  file.read_at(kPrefix, json.data(), static_cast<int64_t>(length));
  return json;
}

Tensor read_tensor(const InputFile& file, int64_t data_begin,
                   const detail::HeaderEntry& entry) try {
  Tensor x = empty(entry.shape, entry.type->dtype);
  if (entry.type->bytes == size_of(x.dtype())) {
    file.read_at(data_begin + entry.begin, x.raw(), entry.end - entry.begin);
  } else {
    file.read_i32_at(data_begin + entry.begin, x.data<int64_t>(), x.numel());
  }
  return x;
} catch (const Error& e) {
  fail(file.where(), ": tensor ", in_quotes(entry.name), ": ", e.what());
}

const detail::FileType& file_type(DType dtype) {
  return *std::find_if(std::begin(detail::kFileTypes), std::end(detail::kFileTypes),
                       [&](const detail::FileType& type) { return type.dtype == dtype; });
}

std::string json_string(const std::string& path, const std::string& text) try {
  return nlohmann::json(text).dump();
} catch (const nlohmann::json::exception&) {
  fail("save: '", path, "': ", in_quotes(text), " is not valid UTF-8");
}

/// The tensors in the order of the file, each checked.
std::vector<NamedTensor> file_order(const std::string& path, std::vector<NamedTensor> tensors) {
  std::set<std::string_view> names = {"__metadata__"};
  for (const auto& [name, tensor] : tensors) {
    check(names.insert(name).second && name.find('\0') == std::string::npos, "save: '", path,
          "': the name ", in_quotes(name), " is reserved, given twice or contains a NUL");
    check(tensor.defined(), "save: '", path, "': tensor ", in_quotes(name), " has no value");
  }
  std::stable_sort(tensors.begin(), tensors.end(), [](const NamedTensor& a, const NamedTensor& b) {
    return size_of(a.tensor.dtype()) > size_of(b.tensor.dtype());
  });
  return tensors;
}

std::string metadata_json(const std::string& path, const Metadata& metadata) {
  std::string json = "\"__metadata__\":{";
  const char* separator = "";
  for (const auto& [key, value] : metadata) {
    check(key.find('\0') == std::string::npos, "save: '", path, "': a key contains a NUL");
    json += separator + json_string(path, key) + ':' + json_string(path, value);
    separator = ",";
  }
  return json + '}';
}

std::string entry_json(const std::string& path, const NamedTensor& x, int64_t begin, int64_t end) {
  std::string json = json_string(path, x.name) + ":{\"dtype\":\"";
  json += file_type(x.tensor.dtype()).name;
  json += "\",\"shape\":[";
  for (int i = 0; i < x.tensor.rank(); ++i)
    json += (i ? "," : "") + std::to_string(x.tensor.shape()[i]);
  return json + "],\"data_offsets\":[" + std::to_string(begin) + ',' + std::to_string(end) + "]}";
}

/// Padded with spaces, so that the data begins at a multiple of 8 bytes.
std::string header_json(const std::string& path, const std::vector<NamedTensor>& tensors,
                        const Metadata& metadata) {
  std::string json = metadata.empty() ? "{" : '{' + metadata_json(path, metadata);
  int64_t begin = 0;
  for (const NamedTensor& x : tensors) {
    const int64_t end = begin + x.tensor.numel() * size_of(x.tensor.dtype());
    json += (json.size() > 1 ? "," : "") + entry_json(path, x, begin, end);
    begin = end;
  }
  json += '}';
  json.resize((json.size() + kPrefix - 1) / kPrefix * kPrefix, ' ');
  check(json.size() <= detail::kMaxHeaderBytes, "save: '", path, "': a header of ", json.size(),
        " bytes is over the limit of ", detail::kMaxHeaderBytes);
  return json;
}

}  // namespace

const Tensor* SafeTensors::find(std::string_view name) const {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const NamedTensor& x) { return x.name == name; });
  return found == tensors.end() ? nullptr : &found->tensor;
}

SafeTensors load_safetensors(const InputFile& file) {
  const std::string json = read_header(file);
  const int64_t data_begin = kPrefix + static_cast<int64_t>(json.size());
  detail::SafeTensorsHeader header =
      detail::parse_safetensors_header(file.where(), json, file.size() - data_begin);
  SafeTensors out;
  out.metadata = std::move(header.metadata);
  for (detail::HeaderEntry& entry : header.entries) {
    Tensor x = read_tensor(file, data_begin, entry);
    out.tensors.push_back({std::move(entry.name), std::move(x)});
  }
  return out;
}

SafeTensors load_safetensors(const std::string& path) {
  return load_safetensors(InputFile("load", path));
}

void save_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                      const Metadata& metadata) {
  const std::vector<NamedTensor> ordered = file_order(path, tensors);
  const std::string json = header_json(path, ordered, metadata);
  write_file_atomically(path, [&](FileWriter& out) {
    const uint64_t length = json.size();
    out.write(&length, kPrefix);
    out.write(json);
    for (const NamedTensor& x : ordered) {
      const Tensor packed = x.tensor.to(Device::cpu).contiguous();
      out.write(packed.raw(), packed.numel() * size_of(packed.dtype()));
    }
  });
}

}  // namespace diptych
