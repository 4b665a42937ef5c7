// tensor/io/torch_file.h — reading the tensors of PyTorch's .pt and .pth files; no code is
// executed.
#pragma once

#include <string>
#include <vector>

#include "tensor/io/file.h"
#include "tensor/tensor.h"

namespace diptych {

/// Reads a file of torch.save (PyTorch 1.6 and later) or torch.jit.save, such as OpenAI's, in the
/// order of the file:
///   - a state dict, at the top or in dicts around it: the one under "state_dict",
///     "model_state_dict" or "model", in this order, else the one with the most tensors, of
///     as many the outer one; one under a name with "ema" in it only if there is no other. Two
///     alike are refused by name;
///   - a TorchScript archive: parameters and buffers by their dotted names.
/// Everything else in it (optimizer, epoch, code, attributes that are no tensors) is dropped; of a
/// state dict, `left_out` gets the keys of what stands around it.
///
/// Tensors that share a storage in the file share it in memory, and views keep their strides: call
/// contiguous() where that matters. A tensor has no more elements than its storage, so a copy of it
/// is bounded by the file. BOOL becomes u8; int8, int16 and int32 become i64, at most 4 MiB of
/// them. Memory is bounded by the size of the file and 64 MiB.
///
/// The file is not trusted. Throws Error, naming file, tensor and reason, on anything unexpected:
/// see ZipArchive and Pickle for the rules; each storage must have exactly the size it announces,
/// each tensor must lie inside its storage, rank ≤ Shape::kMaxRank. Older PyTorch files, plain
/// pickles and tar files are refused with a word on what to do.
std::vector<NamedTensor> load_torch(const InputFile&, std::vector<std::string>* left_out = nullptr);
std::vector<NamedTensor> load_torch(const std::string& path);

}  // namespace diptych
