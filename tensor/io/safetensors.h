// tensor/io/safetensors.h — reading and writing safetensors, the one format of models and
// checkpoints.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/io/file.h"
#include "tensor/tensor.h"

namespace diptych {

/// Free text beside the tensors: configuration as JSON, step counters, versions.
using Metadata = std::map<std::string, std::string>;

struct SafeTensors {
  std::vector<NamedTensor> tensors;  ///< in the order of their bytes in the file
  Metadata metadata;

  const Tensor* find(std::string_view name) const;  ///< null if there is none
};

/// Reads a whole file. The bytes go straight into the tensors, so memory is bounded by the size of
/// the file plus its header. BOOL becomes u8 and I32 becomes i64; F8 and the other integers are
/// refused, and so are ranks above Shape::kMaxRank.
///
/// The file is not trusted. Throws Error, naming file, tensor and reason, unless its header is at
/// most 100 MB of valid UTF-8 JSON without duplicate keys, each tensor's size is that of its shape
/// and dtype, and the tensors cover the rest of the file exactly, without holes, overlaps or bytes
/// left over: the rules of the reference implementation, github.com/huggingface/safetensors. Ours
/// are at most 16,384 tensors and as many entries of metadata, each text of at most 10 MiB.
SafeTensors load_safetensors(const InputFile&);
SafeTensors load_safetensors(const std::string& path);

/// Writes the tensors, from any device and layout, in the order given, except that larger element
/// types come first, so that each tensor is aligned. Equal input gives equal bytes. The file is
/// replaced in one step (see write_file_atomically): on any Error the one of before is unchanged.
/// Throws Error on duplicate names or text that is not UTF-8.
void save_safetensors(const std::string& path, const std::vector<NamedTensor>& tensors,
                      const Metadata& metadata = {});

}  // namespace diptych
