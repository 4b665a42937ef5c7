// tensor/io/pickle.h — reading Python's pickles without Python: values, and nothing is ever
// executed.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace diptych {

/// A value of a pickle. What Python would do to rebuild an object is kept as data: which function
/// would be called with what.
struct PickleValue {
  enum class Kind : uint8_t {
    none,
    boolean,     ///< integer: 0 or 1
    integer,     ///< integer
    real,        ///< real
    text,        ///< text, UTF-8 if the writer was honest
    tuple,       ///< items
    list,        ///< items
    dict,        ///< items: key, value, key, value, …
    global,      ///< text: "torch._utils._rebuild_tensor_v2"
    persistent,  ///< items: the id, of something stored outside of the pickle
    call,        ///< items: the function (global) and its arguments (tuple)
    object,      ///< items: the class (global) and, once it has one, its state
  };

  Kind kind = Kind::none;
  uint8_t depth = 0;  ///< values below this one, at least: a container may grow after it is stored
  union {
    int64_t integer = 0;
    double real;
  };
  std::string_view text;  ///< lies in the pickle
  std::vector<const PickleValue*> items;

  bool is(Kind k) const { return kind == k; }
  bool is_global(std::string_view name) const { return is(Kind::global) && text == name; }
};

/// The values of a pickle of protocol 2, as PyTorch and TorchScript write them. Values may be
/// shared and may contain themselves; they live as long as the Pickle.
class Pickle {
 public:
  /// Throws Error, starting with `where`, on damage, on an opcode that PyTorch does not write, on
  /// more than 262,144 values or 524,288 items in containers, on nesting deeper than 64, and on
  /// any global but those a state dict or a TorchScript archive needs: OrderedDict, tensors and
  /// parameters, names of storages, typed containers of TorchScript, and "__torch__.…" classes.
  /// Besides `bytes`, memory is at most 50 MiB.
  Pickle(std::string bytes, const std::string& where);
  Pickle(const Pickle&) = delete;
  Pickle& operator=(const Pickle&) = delete;

  const PickleValue& root() const { return *root_; }

 private:
  class Machine;

  std::string bytes_;
  std::deque<PickleValue> values_;
  const PickleValue* root_ = nullptr;
};

}  // namespace diptych
