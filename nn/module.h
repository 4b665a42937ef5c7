// nn/module.h — Module: parameters with names.
#pragma once

#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "nn/init.h"
#include "tensor/tensor.h"

namespace diptych::nn {

/// What a parameter is brought back into after every step of training.
struct Bounds {
  double low = -std::numeric_limits<double>::infinity(),
         high = std::numeric_limits<double>::infinity();
};

/// A parameter in the narrower type that products read, kept until the parameter changes. AdamW
/// writes it anew in its own pass.
struct NarrowCopy {
  Tensor tensor;         ///< undefined until somebody asks
  uint64_t version = 0;  ///< of the parameter it was made from
  /// It is there, and the parameter is as it was then.
  bool is_of(const Tensor& parameter) const {
    return tensor.defined() && version == parameter.version();
  }
};

/// Owns its parameters, buffers and children and names everything once, at construction. Names
/// joined with '.' are the keys of the state dict; a child with an empty name adds nothing to them.
/// A buffer is state that is saved but not trained, such as running statistics. Not copyable: a
/// parent holds references to its children. What nobody registered would be neither trained nor
/// saved, so it is refused: see child() and AdamW.
class Module {
 public:
  struct Entry {
    std::string name;
    Tensor tensor;  ///< a handle: what is done to it is done to the module's
    Init init;
    bool trained;  ///< a parameter; else a buffer
    Bounds bounds = {};
    std::shared_ptr<NarrowCopy> copy = {};  ///< of a parameter; never null there
    bool table = false;                     ///< see table()
  };

  Module();
  virtual ~Module();
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// All parameters and buffers below: a module's own first, then each child's, in the order of
  /// declaration.
  std::vector<Entry> state() const;
  /// The names and values of that: what load_state takes. Without history; the memory is shared.
  std::vector<NamedTensor> state_dict() const;
  std::vector<Entry> named_parameters() const;
  std::vector<Tensor> parameters() const;
  int64_t parameter_count() const;  ///< number of elements

  /// Whether layers that behave differently in training (batch norm) do so, here and below. True at
  /// first.
  void train(bool on = true);
  void eval() { train(false); }
  bool training() const { return training_ && !locked_; }

  /// Parameters here and below collect no gradients any more, and layers behave as in evaluation
  /// whatever train() says: nothing in here changes. Or the other way round.
  void lock(bool on = true);
  bool locked() const { return locked_; }

  /// From now on products, and all that flows between layers, here and below, are of that dtype; at
  /// first, of the parameters' own. Parameters stay what they are and are converted where they are
  /// used (see `in`).
  void compute_in(DType);

  /// Draws every parameter anew from its Init (see nn/init.h) and sets buffers to their first
  /// value.
  void initialize(uint64_t seed);
  /// Copies values in by name, converting the dtype. Throws one Error listing every missing,
  /// repeated and unexpected name and every wrong shape; then nothing was changed.
  void load_state(const std::vector<NamedTensor>& values);
  /// Throws the Error that load_state would. Works for ShapesOnly as well.
  void check_state(const std::vector<NamedTensor>& values) const;

  /// In place: every handle sees the change. Gradients and histories are dropped. Statistics in
  /// buffers keep at least f32; counts stay integers, and on the host. Parameters of 16 bits
  /// collect their gradients in f32.
  void to(Device);
  void to(DType);
  /// The same for what has two or more axes, matrices and embeddings, alone.
  void matrices_to(DType);
  void zero_grad();  ///< forgets the gradients

 protected:
  /// A tracked f32 parameter on the cpu, NaN until initialize(), load_state() or a write. Throws
  /// Error, as buffer() and child() do, if the module has state of that name.
  Tensor parameter(std::string name, Shape, Init, Bounds = {});
  Tensor buffer(std::string name, Shape, double first_value, DType = DType::f32);
  /// A parameter of which a batch uses some rows and not others, so that their gradients may differ
  /// by many powers of ten: f16 moments get a scale for each row.
  Tensor table(std::string name, Shape, Init);

  /// The type that compute_in() named, else that of the parameter.
  DType compute_dtype(const Tensor& parameter) const;
  /// A parameter of this module, as its layers read it: of compute_dtype(). The gradient reaches
  /// the parameter in the dtype that its gradients have.
  Tensor in(const Tensor& parameter) const;

  /// Makes an M out of `args` and registers it. Throws Error if M holds a module that it did not
  /// make by child(), as a member or through a pointer.
  template <class M, class... Args>
  M& child(std::string name, Args&&... args) {
    const int64_t before = unregistered_here();
    auto owned = std::make_unique<M>(std::forward<Args>(args)...);
    M& reference = *owned;
    adopt(std::move(name), std::move(owned), unregistered_here() - before - 1);
    return reference;
  }

 private:
  /// How many modules of this thread are alive that no parent registered.
  static int64_t unregistered_here();
  /// `hidden`: how many of those came with the child, beside itself.
  void adopt(std::string name, std::unique_ptr<Module>, int64_t hidden);
  void add_names(const std::vector<Entry>&);
  Tensor narrow_copy(const Tensor& parameter, DType) const;
  std::vector<Tensor> matched(const std::vector<NamedTensor>& values) const;
  void collect(const std::string& prefix, std::vector<Entry>& out) const;

  std::vector<Entry> entries_;
  std::vector<std::pair<std::string, std::unique_ptr<Module>>> children_;
  std::set<std::string> names_;  // of all state below
  std::optional<DType> compute_;
  bool training_ = true, locked_ = false, registered_ = false;
};

/// Throws Error naming `op` if the object, which lies in these bytes, has a module as a member that
/// it did not make by child(). (A root has no parent whose child() would have seen it.)
void check_members(const char* op, const Module& root, const void* object, size_t bytes);

/// While alive, modules built on this thread have names and shapes but no memory: for counting what
/// is too large to hold. Their values must not be used.
class ShapesOnly {
 public:
  ShapesOnly();
  ~ShapesOnly();
  ShapesOnly(const ShapesOnly&) = delete;
  ShapesOnly& operator=(const ShapesOnly&) = delete;
};

/// The number by which a parameter's random numbers are told from those of others: FNV-1a of its
/// name, so that adding a layer elsewhere changes no other parameter.
uint64_t stream_of(const std::string& name);

/// "resblocks.3.ln_1.weight" → "resblocks.*.ln_1.weight": in lists, equal blocks share a line.
std::string of_any_block(const std::string& name);

}  // namespace diptych::nn
