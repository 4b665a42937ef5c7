// tensor/tensor.cpp — storage, views and copies.
#include "tensor/tensor.h"

#include <cstring>

#include "tensor/allocator.h"
#include "tensor/device.h"
#include "tensor/factory.h"
#include "tensor/kernels.h"

namespace diptych {

namespace {

// One behind the last byte of x.
const char* end_of(const Tensor& x) {
  int64_t last = 0;
  for (int i = 0; i < x.rank(); ++i) last += (x.shape()[i] - 1) * x.strides()[i];
  return static_cast<const char*>(x.raw()) + (last + 1) * size_of(x.dtype());
}

// True if the memory between first and last element of one meets that of the other.
bool overlap(const Tensor& a, const Tensor& b) {
  if (!a.same_storage(b) || a.numel() == 0) return false;
  return a.raw() < end_of(b) && b.raw() < end_of(a);
}

}  // namespace

Storage::Storage(int64_t size, Device where)
    : data(allocator(where).allocate(size)),
      bytes(size),
      device(where),
      release_([where](void* block) { allocator(where).release(block); }) {}

Storage::Storage(void* memory, int64_t size, Device where, Release release)
    : data(memory), bytes(size), device(where), release_(std::move(release)) {
  if (size >= 0 && (memory || size == 0)) return;
  if (release_) release_(memory);
  fail("storage: ", size, " bytes at ", memory ? "an address" : "no address");
}

Storage::~Storage() {
  if (release_) release_(data);
}

Shape contiguous_strides(const Shape& shape) {
  Shape strides = shape;
  int64_t step = 1;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    strides[i] = step;
    step *= shape[i];
  }
  return strides;
}

Shape broadcast_shape(const char* op, const Shape& a, const Shape& b) {
  const int rank = std::max(a.rank(), b.rank());
  Shape out;
  for (int i = 0; i < rank; ++i) {
    const int ia = i - rank + a.rank(), ib = i - rank + b.rank();
    const int64_t da = ia < 0 ? 1 : a[ia], db = ib < 0 ? 1 : b[ib];
    check(da == db || da == 1 || db == 1, op, ": shapes do not broadcast: a ", a, ", b ", b);
    out.push_back(da == 1 ? db : da);
  }
  return out;
}

Shape split_at(const Shape& shape, int axis) {
  Shape split{1, shape[axis], 1};
  for (int i = 0; i < axis; ++i) split[0] *= shape[i];
  for (int i = axis + 1; i < shape.rank(); ++i) split[2] *= shape[i];
  return split;
}

int normalize_axis(const char* op, int axis, int rank) {
  check(axis >= -rank && axis < rank, op, ": axis ", axis, " is out of range for rank ", rank);
  return axis < 0 ? axis + rank : axis;
}

Tensor::Tensor(std::shared_ptr<Storage> storage, DType dtype, Shape shape, Shape strides,
               int64_t offset)
    : impl_(std::make_shared<Impl>(
          Impl{std::move(storage), nullptr, shape, strides, offset, dtype})) {
  check(is_addressable(shape), "tensor: impossible shape ", shape);
}

int64_t Tensor::dim(int axis) const { return shape()[normalize_axis("dim", axis, rank())]; }

bool Tensor::is_contiguous() const {
  int64_t step = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (shape()[i] != 1 && strides()[i] != step) return numel() == 0;
    step *= shape()[i];
  }
  return true;
}

void* Tensor::raw() const {
  const Impl& t = impl();
  return static_cast<char*>(t.storage->data) + t.offset * size_of(t.dtype);
}

double Tensor::item() const {
  check(numel() == 1, "item: needs a tensor of one element, got shape ", shape());
  return to_vector<double>()[0];
}

template <class T>
std::vector<T> Tensor::to_vector() const {
  const Tensor host = to(Device::cpu).to(dtype_of<T>()).contiguous();
  const T* p = host.data<T>();
  return std::vector<T>(p, p + numel());
}
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<int64_t> Tensor::to_vector() const;
template std::vector<uint8_t> Tensor::to_vector() const;

Tensor Tensor::view(Shape shape) const {
  check(is_contiguous(), "view: the tensor is not contiguous; call contiguous() first");
  Shape known = shape;
  int wild = -1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] >= 0) continue;
    check(shape[i] == -1 && wild < 0, "view: bad shape ", shape, "; one extent may be -1");
    wild = i;
    known[i] = 1;
  }
  bool fits = is_addressable(known);
  if (wild >= 0) {
    fits = fits && known.numel() > 0 && numel() % known.numel() == 0;
    if (fits) known[wild] = numel() / known.numel();
  }
  check(fits && known.numel() == numel(), "view: cannot see ", this->shape(), " as ", shape);
  return Tensor(impl().storage, dtype(), known, contiguous_strides(known), impl().offset);
}

Tensor Tensor::transpose(int a, int b) const {
  a = normalize_axis("transpose", a, rank());
  b = normalize_axis("transpose", b, rank());
  Shape shape = this->shape(), strides = this->strides();
  std::swap(shape[a], shape[b]);
  std::swap(strides[a], strides[b]);
  return Tensor(impl().storage, dtype(), shape, strides, impl().offset);
}

Tensor Tensor::slice(int axis, int64_t begin, int64_t end) const {
  axis = normalize_axis("slice", axis, rank());
  check(0 <= begin && begin <= end && end <= shape()[axis], "slice: [", begin, ", ", end,
        ") is out of range for axis ", axis, " of ", shape());
  Shape shape = this->shape();
  shape[axis] = end - begin;
  return Tensor(impl().storage, dtype(), shape, strides(), impl().offset + begin * strides()[axis]);
}

Tensor Tensor::select(int axis, int64_t i) const {
  axis = normalize_axis("select", axis, rank());
  const int64_t n = shape()[axis], at = i < 0 ? i + n : i;
  check(at >= 0 && at < n, "select: ", i, " is out of range for axis ", axis, " of ", shape());
  Shape shape, strides;
  for (int k = 0; k < rank(); ++k) {
    if (k == axis) continue;
    shape.push_back(this->shape()[k]);
    strides.push_back(this->strides()[k]);
  }
  return Tensor(impl().storage, dtype(), shape, strides,
                impl().offset + at * this->strides()[axis]);
}

Tensor Tensor::expand(Shape to) const {
  const int lead = to.rank() - rank();
  check(lead >= 0 && is_addressable(to), "expand: cannot expand ", shape(), " to ", to);
  Shape strides = to;
  for (int i = 0; i < to.rank(); ++i) {
    const int64_t from = i < lead ? 1 : shape()[i - lead];
    check(from == to[i] || from == 1, "expand: cannot expand ", shape(), " to ", to);
    strides[i] = i < lead || from != to[i] ? 0 : this->strides()[i - lead];
  }
  return Tensor(impl().storage, dtype(), to, strides, impl().offset);
}

Tensor Tensor::contiguous() const { return is_contiguous() ? *this : clone(); }

Tensor Tensor::clone() const {
  Tensor out = empty_like(*this);
  out.copy_(*this);
  return out;
}

Tensor Tensor::to(DType target) const {
  if (target == dtype()) return *this;
  Tensor out = empty(shape(), target, device());
  out.copy_(*this);
  return out;
}

Tensor Tensor::to(Device target) const {
  if (target == device()) return *this;
  Tensor out = empty(shape(), dtype(), target);
  out.copy_(*this);
  return out;
}

void Tensor::copy_(const Tensor& source) {
  check(source.shape() == shape(), "copy_: shapes differ: from ", source.shape(), " to ", shape());
  for (int i = 0; i < rank(); ++i) {
    check(strides()[i] != 0 || shape()[i] <= 1 || numel() == 0, "copy_: the destination ", shape(),
          " repeats elements along axis ", i, "; clone() it first");
  }
  if (overlap(*this, source)) return copy_(source.clone());
  if (source.device() == device()) {
    kernel::copy(device(), source, *this);
  } else {
    copy_across(source, *this);
  }
  bump_version();
}

void Tensor::fill_(double value) {
  kernel::fill(device(), value, *this);
  bump_version();
}

void Tensor::set_data(const Tensor& source) {
  check(source.shape() == shape(), "set_data: shapes differ: from ", source.shape(), " to ",
        shape());
  std::shared_ptr<Node> node = impl().node;
  *impl_ = source.impl();
  impl_->node = std::move(node);
}

Tensor Tensor::detach() const {
  const Impl& t = impl();
  return Tensor(t.storage, t.dtype, t.shape, t.strides, t.offset);
}

void Tensor::set_node(std::shared_ptr<Node> node) const {
  check(impl_ != nullptr, "tensor: used before it was given a value");
  impl_->node = std::move(node);
}

}  // namespace diptych
