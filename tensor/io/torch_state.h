// tensor/io/torch_state.h — which of the dicts in a file of torch.save is the state dict.
#pragma once

#include <string>
#include <vector>

#include "tensor/io/pickle.h"

namespace diptych::detail {

/// The dict with a model's tensors, by the rules that load_torch tells: `file` or one in it, behind
/// at most four keys. `left_out` gets the other keys of the dicts on the way, unless it is null.
/// Throws Error, starting with `where`, if there is none or if two are alike.
const PickleValue& state_dict_of(const PickleValue& file, const std::string& where,
                                 std::vector<std::string>* left_out);

/// Whether an averaged copy of a model has this name: "ema", "ema_model", "state_dict_ema".
bool is_averaged(std::string_view name);

}  // namespace diptych::detail
