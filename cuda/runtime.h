// cuda/runtime.h — what every file of the backend needs on the host: the stream, and errors.
#pragma once

#include <cuda_runtime.h>

#include "tensor/types.h"

namespace diptych::cuda {

/// Throws Error, "`what`: " and the runtime's own words, unless the call went well.
void require(cudaError_t status, const char* what);

/// The stream of all work on tensors, made at first use. What is queued on it runs in order, so
/// memory is free for others as soon as its last user is queued.
cudaStream_t stream();

/// A kernel that meets an index out of range skips it and writes it down; the next synchronize()
/// throws Error "`op`: an index is out of range [0, limit)". The operators are numbered, for a
/// kernel knows no names.
enum class Indexed : uint8_t { nothing, gather_rows, scatter_add_rows, cross_entropy };

/// One word that the host can read as well: (operator, limit), 0 while all is well.
using IndexReport = unsigned long long;
IndexReport* index_report();
/// What synchronize() does about it when the device has come that far.
void check_index_report();

}  // namespace diptych::cuda
