// data/picture_batches.cpp — finding pictures by what names them, reading them on all threads.
#include "data/picture_batches.h"

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "data/picture_files.h"
#include "tensor/factory.h"
#include "tensor/io/text_file.h"
#include "tensor/parallel.h"

namespace diptych {
namespace {

namespace fs = std::filesystem;

void add_folder(const std::string& folder, PictureNames& names) {
  PictureFiles found = picture_files(folder);
  check(!found.pictures.empty(), "pictures: there is none below '", folder, "'",
        found.left_out.empty() ? "" : "; left out: " + naming(found.left_out));
  std::move(found.pictures.begin(), found.pictures.end(), std::back_inserter(names.pictures));
  std::move(found.left_out.begin(), found.left_out.end(), std::back_inserter(names.left_out));
  std::move(found.others.begin(), found.others.end(), std::back_inserter(names.others));
}

void add_table(const std::string& table, const PairOptions& options, PictureNames& names) {
  const PairList rows = read_pair_table(table, options);
  for (int64_t i = 0; i < rows.size(); ++i) names.pictures.push_back(rows.path(i));
}

void add_list(const std::string& list, PictureNames& names) {
  constexpr int64_t kMaxBytes = int64_t{1} << 30;
  const fs::path folder = fs::path(list).parent_path();
  const size_t before = names.pictures.size();
  for (const std::string& line : read_lines(list, kMaxBytes))
    if (!line.empty()) names.pictures.push_back((folder / line).string());
  check(names.pictures.size() > before, "pictures: '", list, "' names none; a path on each line");
}

void add(const std::string& spec, const PairOptions& options, PictureNames& names) {
  const std::string extension = fs::path(spec).extension().string();
  if (is_folder(spec))
    add_folder(spec, names);
  else if (extension == ".tsv" || extension == ".csv")
    add_table(spec, options, names);
  else if (extension == ".txt")
    add_list(spec, names);
  else
    names.pictures.push_back(spec);
}

/// A batch as it is read: rows side by side, and why some are missing.
class Reading {
 public:
  Reading(const std::string* names, int64_t count, const Preprocess& how)
      : names_(names), faults_(static_cast<size_t>(count)), how_(how), count_(count) {
    bytes_ = empty({count, how.size, how.size, how.channels}, DType::u8);
    row_bytes_ = static_cast<size_t>(how.size * how.size * how.channels);
  }

  void read(const ImageLimits& limits) {
    parallel_for(count_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) read_one(i, limits);
    });
  }

  /// The rows that are there, moved together.
  PictureBatch take(Accounting& account) {
    PictureBatch out;
    int64_t kept = 0;
    for (int64_t i = 0; i < count_; ++i) {
      if (const std::string& fault = faults_[static_cast<size_t>(i)]; !fault.empty()) {
        account.left_out.push_back({names_[i], fault});
        continue;
      }
      if (kept != i) std::memcpy(row(kept), row(i), row_bytes_);
      out.names.push_back(names_ + i);
      ++kept;
    }
    account.used += kept;
    out.bytes = bytes_.slice(0, 0, kept);
    return out;
  }

 private:
  uint8_t* row(int64_t i) { return bytes_.data<uint8_t>() + static_cast<size_t>(i) * row_bytes_; }

  void read_one(int64_t i, const ImageLimits& limits) {
    try {
      const Tensor view = evaluation_bytes(load_picture(names_[i], limits), how_).contiguous();
      std::memcpy(row(i), view.raw(), row_bytes_);
    } catch (const Error& error) {
      faults_[static_cast<size_t>(i)] = error.what();
    }
  }

  const std::string* names_;
  std::vector<std::string> faults_;
  const Preprocess& how_;
  int64_t count_;
  Tensor bytes_;
  size_t row_bytes_ = 0;
};

}  // namespace

PictureNames name_pictures(const std::vector<std::string>& specs, PairOptions options) {
  options.caption_key.clear();
  PictureNames names;
  for (const std::string& spec : specs) add(spec, options, names);
  return names;
}

Accounting each_picture_batch(const char* op, const PictureNames& names, const Preprocess& how,
                              double max_bad_fraction, const ImageLimits& limits, int64_t batch,
                              const std::function<void(const PictureBatch&)>& take) {
  Accounting account{names.size(), 0, names.left_out};
  check_bad_fraction(op, account, max_bad_fraction);
  const auto count = static_cast<int64_t>(names.pictures.size());
  for (int64_t begin = 0; begin < count; begin += batch) {
    Reading reading(names.pictures.data() + begin, std::min(batch, count - begin), how);
    reading.read(limits);
    const PictureBatch read = reading.take(account);
    check_bad_fraction(op, account, max_bad_fraction);
    if (!read.names.empty()) take(read);
  }
  check_accounting(op, account, max_bad_fraction);
  return account;
}

}  // namespace diptych
