// tensor/tensor.h — Tensor: a handle to an n-dimensional array, with strided views.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tensor/types.h"

namespace diptych {

struct Node;  // autograd/graph.h; this layer carries the link to the tape and never looks inside

/// A block of memory on one device, shared by all views of it.
struct Storage {
  using Release = std::function<void(void* data)>;

  Storage(int64_t bytes, Device);  ///< from the allocator of the device
  /// Memory of somebody else (pinned, mapped, another program's), handed to `release` when the last
  /// view is gone. Throws Error if there is none but bytes > 0; what was given is released then
  /// too.
  Storage(void* data, int64_t bytes, Device, Release release);
  ~Storage();
  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;

  void* data;
  int64_t bytes;
  Device device;
  /// Counts in-place writes; autograd compares it to find overwritten values.
  uint64_t version = 0;

 private:
  Release release_;
};

/// A handle to an n-dimensional array. Copying a Tensor copies the handle: both see the same array,
/// its history and its moves between devices. Views (`transpose`, `slice`, `expand`, …) are new
/// handles on the same storage. Nothing here is differentiable: that is autograd/ops.h.
class Tensor {
 public:
  Tensor() = default;  ///< the null tensor: `defined()` is false
  /// Throws Error unless is_addressable(shape): no tensor has another.
  Tensor(std::shared_ptr<Storage>, DType, Shape shape, Shape strides, int64_t offset);

  bool defined() const { return impl_ != nullptr; }
  const Shape& shape() const { return impl().shape; }
  const Shape& strides() const { return impl().strides; }  ///< in elements; 0 along expanded axes
  int rank() const { return shape().rank(); }
  int64_t dim(int axis) const;  ///< negative counts from the back; throws Error if out of range
  int64_t numel() const { return shape().numel(); }
  DType dtype() const { return impl().dtype; }
  Device device() const { return impl().storage->device; }
  bool is_contiguous() const;

  /// The first element. Throws Error if T is not the C++ type of the dtype. Writing through it to a
  /// tensor that autograd may have saved calls for `bump_version()`.
  template <class T>
  T* data() const {
    check(dtype() == dtype_of<T>(), "data: asked for ", dtype_of<T>(), ", the tensor is ", dtype());
    return static_cast<T*>(raw());
  }
  void* raw() const;  ///< the first element, untyped

  /// The value of a one-element tensor, as f64. Throws Error otherwise.
  double item() const;
  /// All elements in row-major order, converted to T: for tests and printing.
  template <class T>
  std::vector<T> to_vector() const;

  /// A view of element i along the first axis, which goes; -1 is the last. Differentiable: it is
  /// select() of autograd/ops.h, and stands here because the language wants it in the class.
  Tensor operator[](int64_t i) const;

  // Views. They share storage; each throws Error on a bad axis or size.
  Tensor view(Shape) const;  ///< contiguous tensors only; one extent may be -1
  Tensor transpose(int a, int b) const;
  Tensor slice(int axis, int64_t begin, int64_t end) const;  ///< elements begin … end-1
  Tensor select(int axis, int64_t i) const;  ///< element i, without the axis; -1 is the last
  Tensor expand(Shape) const;  ///< repeats axes of extent 1 (stride 0); may add axes in front

  Tensor contiguous() const;  ///< this handle if already so, else a packed copy
  Tensor clone() const;       ///< a packed copy with storage of its own
  Tensor to(DType) const;     ///< converted copy; this handle if nothing changes
  Tensor to(Device) const;

  /// In-place writes; each bumps the version. Shapes must be equal.
  /// Converts the dtype, crosses devices; source may overlap this. Throws Error if this repeats
  /// elements, as an expanded view does.
  void copy_(const Tensor& source);
  void fill_(double value);

  /// Makes every handle to this array refer to the data of `source` (module moves and casts).
  void set_data(const Tensor& source);

  Tensor detach() const;  ///< a handle to the same data without history

  uint64_t version() const { return impl().storage->version; }
  void bump_version() const { ++impl().storage->version; }
  int64_t storage_bytes() const { return impl().storage->bytes; }
  bool same_storage(const Tensor& other) const { return impl().storage == other.impl().storage; }
  /// No other handle or view sees this array.
  bool sole_owner() const { return impl_.use_count() == 1 && impl().storage.use_count() == 1; }

  const std::shared_ptr<Node>& node() const { return impl().node; }
  void set_node(std::shared_ptr<Node>) const;

 private:
  struct Impl {
    std::shared_ptr<Storage> storage;
    std::shared_ptr<Node> node;
    Shape shape, strides;
    int64_t offset = 0;  // in elements
    DType dtype = DType::f32;
  };
  const Impl& impl() const {
    check(impl_ != nullptr, "tensor: used before it was given a value");
    return *impl_;
  }
  std::shared_ptr<Impl> impl_;
};

/// An entry of a state dict or of a file.
struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// "f32 (2, 3) cpu\n[[1, 2, 3],\n [4, 5, 6]]"; long axes are shortened to their ends.
std::string to_string(const Tensor&);
std::ostream& operator<<(std::ostream&, const Tensor&);

Shape contiguous_strides(const Shape&);
/// The shape both operands expand to (NumPy's rule). Throws Error naming `op` if there is none.
Shape broadcast_shape(const char* op, const Shape& a, const Shape& b);
/// (outer, n, inner): how reductions along `axis` see a contiguous tensor of this shape.
Shape split_at(const Shape&, int axis);
/// Axis in [0, rank); negative counts from the back. Throws Error naming `op` if out of range.
int normalize_axis(const char* op, int axis, int rank);

}  // namespace diptych
