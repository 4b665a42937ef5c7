// data/pairs.cpp — tables of pictures and captions, and the dataset over such pairs.
#include "data/pairs.h"

#include <algorithm>
#include <filesystem>

#include "data/csv.h"
#include "data/picture_files.h"
#include "tensor/io/file.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kMaxTableBytes = int64_t{4} << 30, kMaxCaptionBytes = int64_t{1} << 20;

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "'" : ", '") + word + "'";
  return text;
}

size_t find_column(const CsvRow& header, const std::string& key, const std::string& name) {
  const auto found = std::find(header.fields.begin(), header.fields.end(), key);
  const bool unsplit = header.fields.size() == 1;
  check(found != header.fields.end(), "pairs: ", name, ":", header.line, ": no column '", key,
        "'; found ", join(header.fields),
        unsplit ? "; is it separated by something else (--csv-separator)?"
                : "; name the columns with --csv-img-key and --csv-caption-key");
  return static_cast<size_t>(found - header.fields.begin());
}

}  // namespace

PairList parse_pair_table(std::string_view text, const std::string& folder, const std::string& name,
                          const PairOptions& options) {
  const std::vector<CsvRow> rows = parse_csv(text, options.separator, name);
  check(!rows.empty(), "pairs: ", name, ": the table is empty");
  const CsvRow& header = rows.front();
  const size_t image = find_column(header, options.image_key, name);
  const size_t caption = find_column(header, options.caption_key, name);
  PairList list;
  for (size_t r = 1; r < rows.size(); ++r) {
    const CsvRow& row = rows[r];
    check(row.fields.size() == header.fields.size(), "pairs: ", name, ":", row.line, ": ",
          row.fields.size(), " fields, the header has ", header.fields.size(),
          "; quote fields that hold the separator");
    check(!row.fields[image].empty(), "pairs: ", name, ":", row.line, ": no picture in column '",
          options.image_key, "'");
    list.pairs.push_back({(fs::path(folder) / row.fields[image]).string(), row.fields[caption]});
  }
  check(!list.pairs.empty(), "pairs: ", name, ": the table has a header but no rows");
  return list;
}

PairList read_pair_table(const std::string& path, const PairOptions& options) {
  return parse_pair_table(read_file(path, kMaxTableBytes), fs::path(path).parent_path().string(),
                          path, options);
}

PairList read_pair_folder(const std::string& path) {
  PairList list;
  for (const std::string& picture : picture_files(path)) {
    const std::string text = fs::path(picture).replace_extension(".txt").string();
    if (fs::is_regular_file(text)) {
      list.pairs.push_back({picture, read_file(text, kMaxCaptionBytes)});
    } else {
      list.skipped.push_back(picture);
    }
  }
  check(!list.pairs.empty(), "pairs: no NAME.png, .jpg or .jpeg with a NAME.txt below '", path,
        "' (pictures without a text: ", list.skipped.size(), ")");
  return list;
}

PairList open_pairs(const std::string& spec, const PairOptions& options) {
  std::error_code ignored;
  if (fs::is_directory(spec, ignored)) return read_pair_folder(spec);
  const std::string extension = fs::path(spec).extension().string();
  check(extension == ".tsv" || extension == ".csv", "pairs: '", spec,
        "' is neither a folder nor a .tsv or .csv table");
  return read_pair_table(spec, options);
}

PairDataset::PairDataset(std::vector<Pair> pairs, const Preprocess& preprocess, uint64_t seed,
                         bool training, const ImageLimits& limits)
    : pairs_(std::move(pairs)),
      preprocess_(preprocess),
      seed_(seed),
      training_(training),
      limits_(limits) {}

Example PairDataset::get(int64_t index, int64_t epoch) const {
  check(index >= 0 && index < size(), "pairs: no pair ", index, " among ", size());
  const Pair& pair = pairs_[static_cast<size_t>(index)];
  const Picture picture = load_picture(pair.path, limits_);
  if (!training_) return {preprocess(picture, preprocess_), pair.caption};
  PhiloxStream random(seed_, mix(static_cast<uint64_t>(epoch), static_cast<uint64_t>(index)));
  return {preprocess_training(picture, preprocess_, random), pair.caption};
}

std::string PairDataset::name_of(int64_t index) const {
  return pairs_.at(static_cast<size_t>(index)).path;
}

}  // namespace diptych
