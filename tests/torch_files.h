// tests/torch_files.h — writing ZIP archives and pickles byte by byte, right ones and wrong ones.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace diptych::test {

template <class T>
std::string little_endian(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

/// CRC-32 of ISO 3309, as in ZIP.
inline uint32_t crc_of(const std::string& bytes) {
  static const std::array<uint32_t, 256> table = [] {
    std::array<uint32_t, 256> out{};
    for (uint32_t i = 0; i < 256; ++i) {
      out[i] = i;
      for (int bit = 0; bit < 8; ++bit) out[i] = out[i] >> 1 ^ (out[i] & 1 ? 0xedb88320 : 0);
    }
    return out;
  }();
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = crc >> 8 ^ table[(crc ^ static_cast<uint8_t>(c)) & 0xff];
  return ~crc;
}

struct ZipPart {
  std::string name, data;
  uint16_t flags = 0, method = 0;
  std::string local_extra = {}, central_extra = {};
};

/// An archive and where its records are, for a test to change them.
struct Zip {
  std::string bytes;
  std::vector<size_t> local, central;
  size_t end = 0;

  template <class T>
  Zip& set(size_t at, T value) {
    bytes.replace(at, sizeof value, little_endian(value));
    return *this;
  }
};

/// Bytes 14 … 25 of a local header, 16 … 27 of a central one.
inline std::string zip_sizes(const std::string& data) {
  const auto size = static_cast<uint32_t>(data.size());
  return little_endian(crc_of(data)) + little_endian(size) + little_endian(size);
}

/// Where the fields of the records are, in bytes from their start.
namespace zip_field {
enum Local : size_t { local_flags = 6, local_method = 8, local_crc = 14, local_size = 22 };
enum Central : size_t { flags = 8, method = 10, crc = 16, stored_size = 20, size = 24 };
enum CentralLengths : size_t {
  name_length = 28,
  extra_length = 30,
  comment_length = 32,
  disk = 34
};
inline constexpr size_t offset = 42;
enum End : size_t { end_disk = 4, here = 8, count = 10, directory_size = 12, directory = 16 };
inline constexpr size_t comment = 20;
}  // namespace zip_field

inline Zip zip_of(const std::vector<ZipPart>& parts) {
  Zip zip;
  std::string directory;
  for (const ZipPart& part : parts) {
    const std::string head = little_endian(part.flags) + little_endian(part.method) +
                             std::string(4, '\0') + zip_sizes(part.data);
    const std::string name_bytes = little_endian(static_cast<uint16_t>(part.name.size()));
    const auto extra_bytes = [](const std::string& extra) {
      return little_endian(static_cast<uint16_t>(extra.size()));
    };
    zip.local.push_back(zip.bytes.size());
    zip.central.push_back(directory.size());
    directory += "PK\1\2" + std::string(4, '\0') + head + name_bytes +
                 extra_bytes(part.central_extra) + std::string(10, '\0') +
                 little_endian(static_cast<uint32_t>(zip.bytes.size())) + part.name +
                 part.central_extra;
    zip.bytes += "PK\3\4" + std::string(2, '\0') + head + name_bytes +
                 extra_bytes(part.local_extra) + part.name + part.local_extra + part.data;
  }
  for (size_t& at : zip.central) at += zip.bytes.size();
  const auto count = static_cast<uint16_t>(parts.size());
  const std::string where = little_endian(static_cast<uint32_t>(directory.size())) +
                            little_endian(static_cast<uint32_t>(zip.bytes.size()));
  zip.bytes += directory;
  zip.end = zip.bytes.size();
  zip.bytes += "PK\5\6" + std::string(4, '\0') + little_endian(count) + little_endian(count) +
               where + std::string(2, '\0');
  return zip;
}

// -- pickles: each function makes the opcodes that push one value
// -----------------------------------

inline std::string text(const std::string& value) {
  return 'X' + little_endian(static_cast<uint32_t>(value.size())) + value;
}

inline std::string integer(int64_t value) { return "\x8a\x08" + little_endian(value); }

inline std::string global(const std::string& module, const std::string& name) {
  return 'c' + module + '\n' + name + '\n';
}

inline std::string tuple(const std::vector<std::string>& items) {
  std::string out = "(";
  for (const std::string& item : items) out += item;
  return out + 't';
}

inline std::string integers(const std::vector<int64_t>& values) {
  std::vector<std::string> items;
  for (const int64_t value : values) items.push_back(integer(value));
  return tuple(items);
}

/// A dict of text keys.
struct Entry {
  std::string key, value;
};
inline std::string dict(const std::vector<Entry>& entries) {
  std::string out = "}(";
  for (const Entry& entry : entries) out += text(entry.key) + entry.value;
  return out + 'u';
}

inline std::string module(const std::vector<Entry>& attributes) {
  return global("__torch__.net", "Module") + ")\x81" + dict(attributes) + 'b';
}

inline std::string storage(const std::string& type, const std::string& key, int64_t numel) {
  return tuple({text("storage"), global("torch", type), text(key), text("cpu"), integer(numel)}) +
         'Q';
}

inline std::string tensor(const std::string& from, int64_t offset,
                          const std::vector<int64_t>& shape, const std::vector<int64_t>& strides) {
  const std::string hooks = global("collections", "OrderedDict") + ")R";
  return global("torch._utils", "_rebuild_tensor_v2") +
         tuple({from, integer(offset), integers(shape), integers(strides), "\x89", hooks}) + 'R';
}

/// f32 (n), all of the storage `key`.
inline std::string floats(const std::string& key, int64_t n) {
  return tensor(storage("FloatStorage", key, n), 0, {n}, {1});
}

inline std::string pickle_of(const std::string& value) { return "\x80\x02" + value + '.'; }

/// A .pt file of this pickle and of data/0, data/1, …
inline Zip torch_file(const std::string& pickle, const std::vector<std::string>& data) {
  std::vector<ZipPart> parts = {{"archive/data.pkl", pickle}};
  for (size_t i = 0; i < data.size(); ++i)
    parts.push_back({"archive/data/" + std::to_string(i), data[i]});
  parts.push_back({"archive/version", "3\n"});
  return zip_of(parts);
}

}  // namespace diptych::test
