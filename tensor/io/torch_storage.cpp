// tensor/io/torch_storage.cpp — torch._utils._rebuild_tensor_v2 as data: checked, then built.
#include "tensor/io/torch_storage.h"

#include <algorithm>
#include <cstring>

#include "tensor/io/file.h"

namespace diptych::detail {
namespace {

using Kind = PickleValue::Kind;

constexpr int64_t kMaxWidenedBytes = 4 << 20;
constexpr std::string_view kTensor = "torch._utils._rebuild_tensor_v2";
constexpr std::string_view kParameter = "torch._utils._rebuild_parameter";

bool is_call_of(const PickleValue& value, std::string_view function) {
  return value.is(Kind::call) && value.items[0]->is_global(function);
}

int64_t count_of(const PickleValue& value, const char* what) {
  check(value.is(Kind::integer) && value.integer >= 0, "its ", what, " is no count");
  return value.integer;
}

Shape counts_of(const PickleValue& value, const char* what) {
  check(value.is(Kind::tuple), "its ", what, " is no tuple");
  check(value.items.size() <= Shape::kMaxRank, "it has more than ", Shape::kMaxRank, " dimensions");
  Shape counts;
  for (const PickleValue* item : value.items) counts.push_back(count_of(*item, what));
  return counts;
}

/// Whether offset + Σ (dᵢ - 1) strideᵢ is an element of the storage; none of it overflows.
bool lies_inside(const Shape& shape, const Shape& strides, int64_t offset, int64_t numel) {
  int64_t room = numel - 1 - offset;
  for (int i = 0; i < shape.rank() && room >= 0; ++i) {
    const int64_t steps = shape[i] - 1;
    if (steps > 0 && strides[i] > room / steps) return false;
    room -= steps * strides[i];
  }
  return room >= 0;
}

template <class Narrow>
void widen(const std::string& bytes, int64_t* out) {
  for (size_t at = 0; at < bytes.size(); at += sizeof(Narrow)) {
    Narrow value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    *out++ = value;
  }
}

}  // namespace

/// How the file spells an element type, and what it becomes in memory.
struct TorchStorages::Type {
  std::string_view name;
  DType dtype;
  int64_t bytes;  // per element, in the file
  void (*widen)(const std::string& bytes, int64_t* out) = nullptr;
};

const TorchStorages::Type& TorchStorages::type_of(const PickleValue& global) {
  static constexpr Type kTypes[] = {
      {"torch.FloatStorage", DType::f32, 4},
      {"torch.DoubleStorage", DType::f64, 8},
      {"torch.HalfStorage", DType::f16, 2},
      {"torch.BFloat16Storage", DType::bf16, 2},
      {"torch.LongStorage", DType::i64, 8},
      {"torch.ByteStorage", DType::u8, 1},
      {"torch.BoolStorage", DType::u8, 1},
      {"torch.IntStorage", DType::i64, 4, widen<int32_t>},
      {"torch.ShortStorage", DType::i64, 2, widen<int16_t>},
      {"torch.CharStorage", DType::i64, 1, widen<int8_t>},
  };
  const auto found = std::find_if(std::begin(kTypes), std::end(kTypes),
                                  [&](const Type& type) { return global.is_global(type.name); });
  check(found != std::end(kTypes), "its storage is of the type ", in_quotes(global.text),
        ", which is not supported");
  return *found;
}

bool is_torch_tensor(const PickleValue& value) {
  return is_call_of(value, kTensor) || is_call_of(value, kParameter);
}

Tensor TorchStorages::tensor(const PickleValue& value) {
  const auto& arguments = value.items[1]->items;
  if (is_call_of(value, kParameter)) {
    check(!arguments.empty() && is_call_of(*arguments[0], kTensor), "it is a parameter of nothing");
    return tensor(*arguments[0]);
  }
  check(arguments.size() == 6 || arguments.size() == 7, "it is made of ", arguments.size(),
        " values instead of 6 or 7");
  const int64_t offset = count_of(*arguments[1], "offset");
  const Shape shape = counts_of(*arguments[2], "shape");
  Shape strides = counts_of(*arguments[3], "strides");
  check(shape.rank() == strides.rank(), "its shape ", shape, " has strides ", strides);
  check(is_addressable(shape), "its shape ", shape, " overflows");
  const Loaded& from = storage(*arguments[0]);
  const int64_t numel = shape.numel();
  check(numel == 0 || (numel <= from.numel && lies_inside(shape, strides, offset, from.numel)),
        "its shape ", shape, " with strides ", strides, " at ", offset, " leaves its storage of ",
        from.numel, " elements");
  const Shape packed = contiguous_strides(shape);
  if (numel == 0) return Tensor(from.storage, from.type->dtype, shape, packed, 0);
  for (int i = 0; i < shape.rank(); ++i)
    if (shape[i] == 1) strides[i] = packed[i];  // never used, so not checked: it may be anything
  return Tensor(from.storage, from.type->dtype, shape, strides, offset);
}

/// ('storage', torch.FloatStorage, '0', 'cpu', 6)
const TorchStorages::Loaded& TorchStorages::storage(const PickleValue& persistent) {
  check(persistent.is(Kind::persistent) && persistent.items[0]->is(Kind::tuple),
        "its storage is no storage");
  const auto& id = persistent.items[0]->items;
  check(id.size() == 5 && id[0]->is(Kind::text) && id[0]->text == "storage" &&
            id[1]->is(Kind::global) && id[2]->is(Kind::text),
        "its storage is no storage");
  const Type& type = type_of(*id[1]);
  const int64_t numel = count_of(*id[4], "storage size");
  const auto found = loaded_.find(id[2]->text);
  if (found == loaded_.end()) {
    std::string key(id[2]->text);
    Loaded loaded = load(type, key, numel);
    return loaded_.emplace(std::move(key), std::move(loaded)).first->second;
  }
  check(found->second.type == &type && found->second.numel == numel, "its storage ",
        in_quotes(found->first), " appears as ", numel, " of ", type.name, " and as ",
        found->second.numel, " of ", found->second.type->name);
  return found->second;
}

TorchStorages::Loaded TorchStorages::load(const Type& type, const std::string& key, int64_t numel) {
  const ZipEntry* entry = archive_.find(root_ + "data/" + key);
  if (entry == nullptr) entry = archive_.find(root_ + "tensors/" + key);
  check(entry != nullptr, "its storage ", in_quotes(key), " is not in the file");
  check(entry->size % type.bytes == 0 && numel == entry->size / type.bytes, "its storage ",
        in_quotes(key), " has ", entry->size, " bytes instead of ", numel, " elements of ",
        type.name);
  if (type.widen != nullptr) {
    check(numel <= (kMaxWidenedBytes - widened_bytes_) / size_of(type.dtype),
          "it makes more than 4 MiB of small integers, which become i64");
    widened_bytes_ += numel * size_of(type.dtype);
  }
  const auto out = std::make_shared<Storage>(numel * size_of(type.dtype), Device::cpu);
  if (type.widen == nullptr) {
    archive_.read(*entry, out->data);
  } else {
    type.widen(archive_.read(*entry), static_cast<int64_t*>(out->data));
  }
  return {&type, numel, out};
}

}  // namespace diptych::detail
