// clip/cli/embed_names.cpp — writing names of rows, and leaving those of other arrays alone.
#include "clip/cli/embed_names.h"

#include <filesystem>

#include "clip/console.h"
#include "data/csv.h"
#include "tensor/io/file.h"
#include "tensor/io/npy.h"
#include "tensor/io/text_file.h"

namespace diptych::cli {
namespace {

namespace fs = std::filesystem;

/// A table of names.
struct Names {
  int64_t rows = 0;
  bool same = true;  ///< as the pictures, up to its end
};

void read_table(const std::string& path, const CsvReader::Take& take) {
  CsvReader reader('\t', path, take);
  read_pieces(InputFile("names", path), [&reader](std::string_view piece) { reader.feed(piece); });
  reader.finish();
}

// Nobody's, without rows, if it is none of ours.
Names read_names(const std::string& path, const std::vector<std::string>& pictures) {
  Names names;
  try {
    read_table(path, [&](const CsvRow& row) {
      const auto at = static_cast<size_t>(names.rows++);
      names.same = names.same && at < pictures.size() && row.fields == std::vector{pictures[at]};
    });
  } catch (const Error&) {
    return {};
  }
  return names;
}

// What is no array has none.
bool has_rows(const std::string& array, int64_t rows) {
  try {
    const Shape shape = npy_shape(array);
    return shape.rank() > 0 && shape[0] == rows;
  } catch (const Error&) {
    return false;
  }
}

/// Another array beside `out` with so many rows, the first by name; empty if there is none.
std::string other_array(const std::string& out, int64_t rows) {
  const fs::path folder = fs::path(out).parent_path();
  std::string first;
  for (const auto& entry : fs::directory_iterator(folder.empty() ? "." : folder)) {
    const std::string path = entry.path();
    if (entry.path().extension() != ".npy" || (!first.empty() && first < path)) continue;
    if (!same_file(path, out) && has_rows(path, rows)) first = path;
  }
  return first;
}

}  // namespace

std::string row_name(const std::string& picture) {
  if (picture.find_first_of("\t\r\n\"") == picture.npos) return picture;
  std::string quoted = "\"";
  for (const char c : picture) quoted += c == '"' ? std::string(2, c) : std::string(1, c);
  return quoted + '"';
}

std::string names_beside(const std::string& out) {
  if (is_there(out) && !is_file(out)) return {};
  return (fs::path(out).parent_path() / "names.tsv").string();
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code none;
  return fs::equivalent(a, b, none) ||
         fs::weakly_canonical(a, none) == fs::weakly_canonical(b, none);
}

std::string free_names(const std::string& out, const std::vector<std::string>& pictures) {
  const std::string names = names_beside(out), own = fs::path(out).replace_extension(".names.tsv");
  if (names.empty() || !is_file(names)) return names;
  if (is_file(own)) return own;
  const Names there = read_names(names, pictures);
  const bool same = there.same && there.rows == static_cast<int64_t>(pictures.size());
  if (there.rows == 0 || same || has_rows(out, there.rows)) return names;
  const std::string owner = other_array(out, there.rows);
  if (owner.empty()) return names;
  tell("names.tsv has the names of '" + owner + "', other pictures; those of '" + out +
       "' go to '" + own + "'\n");
  return own;
}

}  // namespace diptych::cli
