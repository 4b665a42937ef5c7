// data/pairs.cpp — tables of pictures and captions, and the dataset over such pairs.
#include "data/pairs.h"

#include <algorithm>
#include <filesystem>
#include <unordered_set>

#include "data/csv.h"
#include "data/picture_files.h"
#include "data/text/texts.h"
#include "tensor/io/text_file.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;

std::string join(const std::vector<std::string>& words) {
  constexpr size_t kMost = 20;
  std::string text;
  for (size_t i = 0; i < std::min(kMost, words.size()); ++i)
    text += (i == 0 ? "" : ", ") + in_quotes(words[i]);
  return text + (words.size() > kMost ? ", …" : "");
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

/// Rows of a table, of which the first is the header, into pairs.
class TableReader {
 public:
  TableReader(const std::string& folder, const std::string& name, const PairOptions& options)
      : pairs_(folder), name_(name), options_(options) {}

  void take(const CsvRow& row) { columns_ == 0 ? read_header(row) : add_pair(row); }

  PairList finish() {
    check(columns_ > 0, "pairs: ", name_, ": the table is empty");
    check(pairs_.size() > 0, "pairs: ", name_, ": the table has a header but no rows");
    return std::move(pairs_);
  }

 private:
  void read_header(const CsvRow& header) {
    image_ = find_column(header, options_.image_key, name_);
    has_captions_ = !options_.caption_key.empty();
    if (has_captions_) caption_ = find_column(header, options_.caption_key, name_);
    columns_ = header.fields.size();
  }

  void add_pair(const CsvRow& row) {
    check(row.fields.size() == columns_, "pairs: ", name_, ":", row.line, ": ", row.fields.size(),
          " fields, the header has ", columns_, "; quote fields that hold the separator");
    check(!row.fields[image_].empty(), "pairs: ", name_, ":", row.line, ": no picture in column '",
          options_.image_key, "'");
    pairs_.add(row.fields[image_], has_captions_ ? row.fields[caption_] : "");
  }

  PairList pairs_;
  const std::string& name_;
  const PairOptions& options_;
  size_t columns_ = 0, image_ = 0, caption_ = 0;
  bool has_captions_ = true;
};

}  // namespace

PairList parse_pair_table(std::string_view text, const std::string& folder, const std::string& name,
                          const PairOptions& options) {
  TableReader reader(folder, name, options);
  parse_csv(text, options.separator, name, [&](const CsvRow& row) { reader.take(row); });
  return reader.finish();
}

PairList read_pair_table(const std::string& path, const PairOptions& options) {
  const InputFile file("pairs", path);
  TableReader reader(fs::path(path).parent_path().string(), path, options);
  CsvReader table(options.separator, path, [&](const CsvRow& row) { reader.take(row); });
  read_text(file, [&](std::string_view piece) { table.feed(piece); });
  table.finish();
  return reader.finish();
}

namespace {

std::string text_of(const std::string& picture) {
  return fs::path(picture).replace_extension(".txt").string();
}

void add_picture(const std::string& picture, PairSource& source) {
  std::error_code none;
  const std::string text = text_of(picture);
  if (!fs::is_regular_file(text, none)) {
    source.left_out.push_back({picture, "there is no text beside it"});
    return;
  }
  try {
    source.pairs.add(picture, read_text(text, kMaxTextBytes));
  } catch (const Error& error) {
    source.left_out.push_back({picture, error.what()});
  }
}

// A text belongs to the picture of its name, whether that can be used or not.
void add_others(const PictureFiles& files, PairSource& source) {
  std::unordered_set<std::string> owned;
  for (const std::string& picture : files.pictures) owned.insert(text_of(picture));
  for (const LeftOut& picture : files.left_out) owned.insert(text_of(picture.name));
  for (const std::string& other : files.others) {
    if (owned.contains(other)) continue;
    if (fs::path(other).extension() == ".txt" && !is_hidden(other))
      source.left_out.push_back({other, "there is no picture beside it"});
    else
      source.others.push_back(other);
  }
}

}  // namespace

PairSource read_pair_folder(const std::string& path) {
  const PictureFiles files = picture_files(path);
  PairSource source;
  for (const std::string& picture : files.pictures) add_picture(picture, source);
  source.left_out.insert(source.left_out.end(), files.left_out.begin(), files.left_out.end());
  add_others(files, source);
  check(source.pairs.size() > 0, "pairs: no NAME.png (or .jpg, .webp, …) with a NAME.txt below '",
        path, "'; left out: ", source.left_out.empty() ? "nothing" : naming(source.left_out));
  return source;
}

PairSource open_pairs(const std::string& spec, const PairOptions& options) {
  if (is_folder(spec)) return read_pair_folder(spec);
  const std::string extension = fs::path(spec).extension().string();
  check(extension == ".tsv" || extension == ".csv", "pairs: '", spec,
        "' is neither a folder nor a .tsv or .csv table");
  return {read_pair_table(spec, options), {}, {}};
}

PairDataset::PairDataset(PairList pairs, const Preprocess& preprocess, uint64_t seed, bool training,
                         const ImageLimits& limits)
    : pairs_(std::move(pairs)),
      preprocess_(preprocess),
      seed_(seed),
      training_(training),
      limits_(limits) {}

Example PairDataset::get(int64_t index, int64_t epoch) const {
  check(index >= 0 && index < size(), "pairs: no pair ", index, " among ", size());
  pairs_.check_good(index);
  const Picture picture = load_picture(pairs_.path(index), limits_);
  const std::string caption(pairs_.caption(index));
  if (!training_) return {evaluation_bytes(picture, preprocess_), caption};
  PhiloxStream random(seed_, mix(static_cast<uint64_t>(epoch), static_cast<uint64_t>(index)));
  return {training_bytes(picture, preprocess_, random), caption};
}

std::string PairDataset::name_of(int64_t index) const { return pairs_.path(index); }

}  // namespace diptych
