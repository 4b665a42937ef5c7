// tests/test_zip_hostile.cpp — archives made to break a ZIP reader, each with a verdict.
#include "tensor/io/zip.h"
#include "tests/hostile.h"
#include "tests/torch_files.h"

using namespace diptych;
using namespace diptych::test;

namespace {

/// Opens an archive and reads all of it.
void read_all(const std::string& path) {
  const InputFile file("load", path);
  const ZipArchive archive(file);
  for (const ZipEntry& entry : archive.entries()) archive.read(entry);
}

void judge(const std::vector<HostileFile>& files) { judge(files, read_all); }

const std::vector<ZipPart> kTwo = {{"m/a", "first"}, {"m/b", "second one"}};

/// Two good entries with one number changed.
template <class T>
std::string changed(std::vector<size_t> Zip::*records, size_t field, T value, size_t entry = 0) {
  Zip zip = zip_of(kTwo);
  return zip.set((zip.*records)[entry] + field, value).bytes;
}

template <class T>
std::string changed_end(size_t field, T value) {
  Zip zip = zip_of(kTwo);
  return zip.set(zip.end + field, value).bytes;
}

std::string named(const std::string& name) { return zip_of({{name, "x"}}).bytes; }

constexpr uint32_t k64 = 0xffffffff;
using namespace zip_field;

/// The ZIP64 extra field of these numbers.
std::string extra64(const std::vector<uint64_t>& numbers, uint16_t id = 1) {
  std::string content;
  for (const uint64_t number : numbers) content += little_endian(number);
  return little_endian(id) + little_endian(static_cast<uint16_t>(content.size())) + content;
}

/// One entry whose directory header says "see ZIP64" for its size twice and its offset.
std::string in64(const std::string& extra) {
  Zip zip = zip_of({{"a", "data", 0, 0, "", extra}});
  zip.set(zip.central[0] + stored_size, k64).set(zip.central[0] + size, k64);
  return zip.set(zip.central[0] + offset, k64).bytes;
}

/// Two entries and ZIP64 end records, with one number of them changed.
std::string with_end64(size_t field = 0, uint64_t value = 0) {
  Zip zip = zip_of(kTwo);
  const std::string end = zip.bytes.substr(zip.end);
  const auto number = [&](size_t at, size_t bytes) {
    uint64_t out = 0;
    std::memcpy(&out, end.data() + at, bytes);
    return little_endian(out);
  };
  std::string records = "PK\6\6" + little_endian(uint64_t{44}) + std::string(12, '\0') +
                        number(count, 2) + number(count, 2) + number(directory_size, 4) +
                        number(directory, 4);
  records += "PK\6\7" + std::string(4, '\0') + little_endian(uint64_t{zip.end}) + "\1" +
             std::string(3, '\0');
  if (field > 0) records.replace(field, 8, little_endian(value));
  return zip.bytes.substr(0, zip.end) + records + end;
}

}  // namespace

TEST_CASE("zip: hostile ends") {
  const std::string good = zip_of(kTwo).bytes;
  judge({
      {"empty", "", "the end of the zip file is missing"},
      {"21 bytes", std::string(21, 'P'), "the end of the zip file is missing"},
      {"text", std::string(1000, 'x'), "the end of the zip file is missing"},
      {"good", good, kAccepted},
      {"no entries", zip_of({}).bytes, kAccepted},
      {"a byte short", good.substr(0, good.size() - 1), "it may be cut short"},
      {"half of it", good.substr(0, good.size() / 2), "it may be cut short"},
      {"the first half lost", good.substr(good.size() / 2), "not where the end record says"},
      {"a byte too many", good + "x", "the end of the zip file is missing"},
      {"bytes in front", "x" + good, "not where the end record says"},
      {"a comment", changed_end(comment, uint16_t{1}) + "c", "end of the zip file is missing"},
      {"a comment announced", changed_end(comment, uint16_t{1}), "ends in a comment"},
      {"an archive in the comment", changed_end(comment, uint16_t{99}) + good,
       "not where the end record says"},
      {"disk 1", changed_end(end_disk, uint16_t{1}), "a part of several"},
      {"directory on disk 1", changed_end(end_disk + 2, uint16_t{1}), "a part of several"},
      {"half of the entries here", changed_end(here, uint16_t{1}), "a part of several"},
      {"directory at 0", changed_end(directory, uint32_t{0}), "not where the end record says"},
      {"directory at 2^32-1", changed_end(directory, k64), "not where the end record says"},
      {"directory of 2^32-1 bytes", changed_end(directory_size, k64), "over the limit of 65536"},
      {"directory longer than the file", changed_end(directory_size, uint32_t{9999}),
       "not where the end record says"},
      {"directory a byte short", changed_end(directory_size, uint32_t{97}), "not where the end"},
  });
}

TEST_CASE("zip: hostile counts of entries") {
  const auto counted = [](uint16_t n) {
    Zip zip = zip_of(kTwo);
    return zip.set(zip.end + here, n).set(zip.end + count, n).bytes;
  };
  std::vector<ZipPart> many;
  for (int i = 0; i < 65'537; ++i) many.push_back({std::to_string(i), ""});
  Zip wrapped = zip_of(many);  // its 16-bit count says 1
  judge({
      {"one too many", counted(3), "the zip directory is damaged at entry 2"},
      {"65535, but two are there", counted(0xffff), "the zip directory is damaged at entry 2"},
      {"one too few", counted(1), "bytes are left over in the zip directory"},
      {"none", counted(0), "bytes are left over in the zip directory"},
      {"65537 entries counted as one", wrapped.bytes, "bytes are left over"},
  });
}

TEST_CASE("zip: hostile ZIP64 end records") {
  constexpr size_t kCount64 = 32, kBytes64 = 40, kOffset64 = 48, kLocator = 56;
  const uint64_t most = ~uint64_t{0};
  judge({
      {"good", with_end64(), kAccepted},
      {"no signature", with_end64(1, 0), "the ZIP64 end record is damaged"},
      {"longer record", with_end64(4, 45), "the ZIP64 end record is damaged"},
      {"record of 2^64-1 bytes", with_end64(4, most), "the ZIP64 end record is damaged"},
      {"disk 1", with_end64(16, 1), "a part of several"},
      {"half of the entries here", with_end64(24, 1), "a part of several"},
      {"another count", with_end64(kCount64, 3), "the two end records of the zip file differ"},
      {"2^64-1 entries", with_end64(kCount64, most), "the two end records of the zip file differ"},
      {"another size", with_end64(kBytes64, 1), "the two end records of the zip file differ"},
      {"another offset", with_end64(kOffset64, 1), "the two end records of the zip file differ"},
      {"locator points to 0", with_end64(kLocator + 8, 0), "the ZIP64 end record is damaged"},
      {"locator points to 2^64-1", with_end64(kLocator + 8, most), "ZIP64 end record is damaged"},
      {"only a locator", "PK\6\7" + std::string(16, '\0') + zip_of({}).bytes, "record is missing"},
  });
  std::string huge = with_end64(kBytes64, most);
  const size_t end = huge.size() - 22;
  huge.replace(end + directory_size, 4, little_endian(k64));
  judge({{"directory of 2^64-1 bytes", huge, "over the limit of 65536 in 16777216"}});
  huge = with_end64(kCount64, uint64_t{1} << 40);
  huge.replace(end - 20 - 56 + 24, 8, little_endian(uint64_t{1} << 40));
  huge.replace(end + here, 4, little_endian(k64));
  judge({{"2^40 entries", huge, "a zip directory of 1099511627776 entries"}});
}

TEST_CASE("zip: hostile headers of the directory") {
  const auto central = [](size_t field, auto value, size_t entry = 0) {
    return changed(&Zip::central, field, value, entry);
  };
  judge({
      {"no signature", central(0, 'X'), "the zip directory is damaged at entry 0"},
      {"no second signature", central(0, 'X', 1), "the zip directory is damaged at entry 1"},
      {"encrypted", central(flags, uint16_t{1}), "'m/a' is encrypted"},
      {"strongly encrypted", central(flags, uint16_t{1 << 6}), "'m/a' is encrypted"},
      {"masked", central(flags, uint16_t{1 << 13}), "'m/a' is encrypted"},
      {"other flags", central(flags, uint16_t{2}), "'m/a' differs from the directory"},
      {"deflated", zip_of({{"a", "data", 0, 8}}).bytes, "'a' is compressed, as PyTorch never"},
      {"unknown method", zip_of({{"a", "data", 0, 99}}).bytes, "'a' is compressed"},
      {"another method here", central(method, uint16_t{8}), "'m/a' differs from the directory"},
      {"wrong CRC", central(crc, uint32_t{7}), "'m/a' differs from the directory"},
      {"another size", central(size, uint32_t{4}), "'m/a' is stored as it is, but has two sizes"},
      {"another stored size", central(stored_size, uint32_t{4}), "but has two sizes"},
      {"2^32-2 bytes", central(stored_size, uint32_t{0xfffffffe}), "does not fit in the file"},
      {"header at 2^32-2", central(offset, uint32_t{0xfffffffe}), "'m/a' of 5 bytes at 4294967294"},
      {"header at the directory", central(offset, uint32_t{81}), "does not fit in the file"},
      {"header in the data", central(offset, uint32_t{5}), "differs from the directory"},
      {"header of the other entry", central(offset, uint32_t{38}), "differs from the directory"},
      {"longer name", central(name_length, uint16_t{4}), "damaged at entry 1"},
      {"a name of 65535", central(name_length, uint16_t{0xffff}), "damaged at entry 0"},
      {"an extra of 65535", central(extra_length, uint16_t{0xffff}), "damaged at entry 0"},
      {"a comment of 65535", central(comment_length, uint16_t{0xffff}), "damaged at entry 0"},
      {"disk 1", central(disk, uint16_t{1}), "the zip directory is damaged at entry 0"},
  });
}

TEST_CASE("zip: hostile ZIP64 fields of entries") {
  const uint64_t most = ~uint64_t{0};
  judge({
      {"good", in64(extra64({4, 4, 0})), kAccepted},
      {"behind another field", in64(extra64({7}, 9) + extra64({4, 4, 0})), kAccepted},
      {"none", in64(""), "the zip directory is damaged at entry 0"},
      {"only two of three", in64(extra64({4, 4})), "the zip directory is damaged at entry 0"},
      {"under another id", in64(extra64({4, 4, 0}, 2)), "the zip directory is damaged at entry 0"},
      {"cut short", in64(extra64({4, 4, 0}).substr(0, 27)), "damaged at entry 0"},
      {"three bytes left over", in64(extra64({4, 4, 0}) + "abc"), "damaged at entry 0"},
      {"2^64-1 bytes", in64(extra64({most, most, 0})), "'a' of 18446744073709551615 bytes at 0"},
      {"at 2^64-1", in64(extra64({4, 4, most})), "at 18446744073709551615 does not fit"},
      {"end wraps around", in64(extra64({most - 7, most - 7, 8})), "does not fit in the file"},
      {"two sizes", in64(extra64({5, 4, 0})), "is stored as it is, but has two sizes"},
  });
}

TEST_CASE("zip: hostile local headers") {
  const auto local = [](size_t field, auto value) { return changed(&Zip::local, field, value); };
  Zip descriptor = zip_of({{"a", "data", 1 << 3}});
  descriptor.bytes.replace(local_crc, 12, std::string(12, '\0'));
  Zip crc_wrong = zip_of({{"a", "data"}});
  crc_wrong.set(crc_wrong.bytes.find("data"), 'D');
  judge({
      {"no signature", local(0, 'X'), "local header of the zip entry 'm/a' differs"},
      {"other flags", local(local_flags, uint16_t{1}), "'m/a' differs from the directory"},
      {"another method", local(local_method, uint16_t{8}), "'m/a' differs from the directory"},
      {"another CRC", local(local_crc, uint32_t{7}), "'m/a' differs from the directory"},
      {"another stored size", local(local_crc + 4, uint32_t{6}), "differs from the directory"},
      {"another size", local(local_size, uint32_t{6}), "'m/a' differs from the directory"},
      {"no size, but no descriptor", local(local_size, uint32_t{0}), "differs from the directory"},
      {"sizes in ZIP64", local(local_size, k64), kAccepted},
      {"sizes in a descriptor", descriptor.bytes, kAccepted},
      {"another name", local(30, 'M'), "'m/a' differs from the directory"},
      {"shorter name", local(26, uint16_t{2}), "'m/a' differs from the directory"},
      {"an extra of 65535", local(28, uint16_t{0xffff}), "two zip entries overlap"},
      {"an extra of 1", local(28, uint16_t{1}), "two zip entries overlap at byte 38"},
      {"an extra that reaches into the directory", changed(&Zip::local, 28, uint16_t{1}, 1),
       "two zip entries overlap"},
      {"damaged data", crc_wrong.bytes, "'a' is damaged: its CRC-32 is wrong"},
  });
}

TEST_CASE("zip: hostile names") {
  judge({
      {"parent", named(".."), "'..' has an unsafe name"},
      {"parent in front", named("../a"), "unsafe name"},
      {"parent inside", named("a/../b"), "unsafe name"},
      {"parent at the end", named("a/.."), "unsafe name"},
      {"dots that are no parent", named("a/..b/c../..."), kAccepted},
      {"absolute", named("/etc/passwd"), "'/etc/passwd' has an unsafe name"},
      {"backslash", named("..\\a"), "unsafe name"},
      {"NUL", named(std::string("a\0b", 3)), "'a\\x00b' has an unsafe name"},
      {"empty", named(""), "'' has an unsafe name"},
      {"5000 bytes", named(std::string(5000, 'n')), "nnn…' has an unsafe name"},
      {"4096 bytes", named(std::string(4096, 'n')), kAccepted},
      {"control bytes", named("../\x1b[2J"), "'../\\x1b[2J' has an unsafe name"},
      {"twice", zip_of({{"a", "1"}, {"b", "2"}, {"a", "3"}}).bytes, "'a' appears twice"},
  });
}

TEST_CASE("zip: hostile overlaps") {
  Zip same = zip_of({{"a", "data"}, {"a", "data"}});
  same.set(same.central[1] + offset, uint32_t{0});
  // The second entry lies inside the data of the first.
  const Zip inner = zip_of({{"b", "data"}});
  const std::string local = inner.bytes.substr(0, inner.central[0]);
  Zip nested = zip_of({{"a", local}, {"b", "data"}});
  nested.set(nested.central[1] + offset, uint32_t{31});
  judge({
      {"the same entry twice", same.bytes, "two zip entries overlap at byte 0"},
      {"one inside the other", nested.bytes, "two zip entries overlap at byte 31"},
  });
}
