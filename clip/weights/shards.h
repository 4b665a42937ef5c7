// clip/weights/shards.h — the file a model lies in, or the shards that an index file names.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tensor/io/file.h"
#include "tensor/io/safetensors.h"

namespace diptych {

/// Whether a file of this name lists shards: "….index.json".
bool is_shard_index(const std::string& path);
/// Whether it is one shard of several: "…-00001-of-00003.safetensors".
bool is_one_shard(const std::string& path);
/// Whether PyTorch wrote the file: by its first bytes, or by its name.
bool is_torch_file(const InputFile&);

/// All files of a model, open from the first look to the last: each is opened once, and what was
/// judged is what is read.
class ModelFiles {
 public:
  /// A file of tensors, or an index as Hugging Face writes it beside its shards:
  /// {"metadata": {…}, "weight_map": {tensor: file}}, at most 200 files. They are of the index's
  /// folder: a name with a slash, "..", or of another index is refused. Links are followed, as
  /// everywhere. Throws Error naming the index and what is wrong with it.
  explicit ModelFiles(const std::string& path);

  const InputFile& named() const { return named_; }  ///< the file itself, or the index
  /// Of the file; with an index of its bytes and then those of the shards, in the order of their
  /// names: what `cat model.safetensors.index.json model-*.safetensors | sha256sum` says.
  std::string sha256() const;
  /// The tensors; free text only of a single file. Throws Error if the shards hold a tensor that
  /// the index does not give them, lack one that it does, or hold one twice. `left_out`: see
  /// load_torch.
  SafeTensors load(std::vector<std::string>& left_out) const;
  void verify_checkpoints() const;  ///< see verify_if_checkpoint
  void check_unchanged() const;

 private:
  void load_shard(const std::string& name, const InputFile&, SafeTensors& all,
                  std::vector<std::string>& left_out) const;

  InputFile named_;
  std::map<std::string, std::string> shard_of_;               // tensor → file
  std::map<std::string, std::unique_ptr<InputFile>> shards_;  // by name; none of a single file
};

}  // namespace diptych
