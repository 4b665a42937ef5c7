// tensor/io/torch_storage.h — the storages of a PyTorch archive, and the tensors that view them.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "tensor/io/pickle.h"
#include "tensor/io/zip.h"
#include "tensor/tensor.h"

namespace diptych::detail {

/// Whether a value is a call that rebuilds a tensor or a parameter.
bool is_torch_tensor(const PickleValue&);

/// Reads storages from an archive, each once, when the first tensor needs it.
class TorchStorages {
 public:
  /// Storages are entries "<root>data/<key>", in old files "<root>tensors/<key>".
  TorchStorages(const ZipArchive& archive, std::string root)
      : archive_(archive), root_(std::move(root)) {}

  /// The tensor of a value for which is_torch_tensor holds. Throws Error if it does not lie inside
  /// its storage, is malformed or of a dtype we do not have.
  Tensor tensor(const PickleValue&);

 private:
  struct Type;
  struct Loaded {
    const Type* type = nullptr;
    int64_t numel = 0;
    std::shared_ptr<Storage> storage;
  };
  static const Type& type_of(const PickleValue& global);
  const Loaded& storage(const PickleValue& persistent);
  Loaded load(const Type&, const std::string& key, int64_t numel);

  const ZipArchive& archive_;
  std::string root_;
  std::map<std::string, Loaded, std::less<>> loaded_;
  int64_t widened_bytes_ = 0;
};

}  // namespace diptych::detail
