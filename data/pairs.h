// data/pairs.h — picture files with captions: tables and folders, and the dataset over them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/dataset.h"
#include "data/image/transform.h"
#include "data/left_out.h"
#include "data/pair_list.h"

namespace diptych {

/// What a source holds, in its order.
struct PairSource {
  PairList pairs;
  std::vector<LeftOut> left_out;    ///< pictures and texts that make no pair
  std::vector<std::string> others;  ///< files that are neither
};

/// How tables are read; the defaults are open_clip's.
struct PairOptions {
  char separator = '\t';
  std::string image_key = "filepath";
  std::string caption_key = "title";  ///< empty: captions are not wanted, and empty
};

/// Opens a folder or a .tsv / .csv table. Throws Error if there is no pair.
PairSource open_pairs(const std::string& spec, const PairOptions& = {});

/// NAME.png or another picture (picture_files.h) with NAME.txt beside it, in all folders below
/// `path`, in the order of their paths. Pictures and texts without the other are left out, as is
/// what cannot be read. Throws Error if no pair is found.
PairSource read_pair_folder(const std::string& path);
/// A table with a header line, quoted as pandas reads it. Relative paths start at the table's
/// folder. A caption longer than kMaxTextBytes makes a bad pair. Throws Error with file:line on a
/// bad row, with the columns found if one is missing. Memory is that of the pairs: the table is
/// read in pieces.
PairList read_pair_table(const std::string& path, const PairOptions& = {});
/// The same from memory; `folder` goes before relative paths, `name` into messages.
PairList parse_pair_table(std::string_view text, const std::string& folder, const std::string& name,
                          const PairOptions&);

/// Picture files with captions, decoded on demand.
class PairDataset : public Dataset {
 public:
  /// `training`: random_resized_crop by (seed, epoch, index); else the evaluation transform.
  PairDataset(PairList pairs, const Preprocess&, uint64_t seed, bool training,
              const ImageLimits& = {});

  int64_t size() const override { return pairs_.size(); }
  Example get(int64_t index, int64_t epoch) const override;
  std::string name_of(int64_t index) const override;
  const PairList& pairs() const { return pairs_; }

 private:
  PairList pairs_;
  Preprocess preprocess_;
  uint64_t seed_;
  bool training_;
  ImageLimits limits_;
};

}  // namespace diptych
