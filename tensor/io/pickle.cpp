// tensor/io/pickle.cpp — the stack machine that pickles are programs for, with a few opcodes. Their
// names are those of Python's pickletools.py.
#include "tensor/io/pickle.h"

#include <algorithm>

#include "tensor/io/file.h"
#include "tensor/io/pickle_bytes.h"
#include "tensor/types.h"

namespace diptych {
namespace {

using Kind = PickleValue::Kind;
using Items = std::vector<const PickleValue*>;

constexpr size_t kMaxValues = 1 << 18;  // also of the stack and of the memo
constexpr size_t kMaxItems = 1 << 19;
constexpr size_t kMaxMarks = 64;
constexpr int kMaxDepth = 64;
constexpr int kProtocol = 2;
constexpr uint8_t kStop = '.';

/// Names of what a file of tensors may refer to. None of it is ever called.
bool is_allowed(std::string_view global) {
  constexpr std::string_view kExact[] = {
      "collections.OrderedDict",
      "torch._utils._rebuild_tensor_v2",
      "torch._utils._rebuild_parameter",
      "torch.jit._pickle.build_boollist",
      "torch.jit._pickle.build_doublelist",
      "torch.jit._pickle.build_intlist",
      "torch.jit._pickle.build_tensorlist",
      "torch.jit._pickle.restore_type_tag",
  };
  if (std::find(std::begin(kExact), std::end(kExact), global) != std::end(kExact)) return true;
  if (global.starts_with("__torch__.")) return true;
  constexpr std::string_view kTorch = "torch.", kStorage = "Storage";
  return global.starts_with(kTorch) && global.ends_with(kStorage) &&
         global.find('.', kTorch.size()) == global.npos;
}

}  // namespace

/// Runs once over the bytes of a pickle.
class Pickle::Machine {
 public:
  Machine(Pickle& pickle, const std::string& where)
      : in_(pickle.bytes_, where), values_(pickle.values_), where_(where) {}

  const PickleValue* run() {
    for (uint8_t opcode = in_.opcode(); opcode != kStop; opcode = in_.opcode()) step(opcode);
    in_.require(in_.at_end(), "has bytes after its end");
    in_.require(stack_.size() == 1 && marks_.empty(), "leaves ", stack_.size(), " values and ",
                marks_.size(), " marks instead of one value");
    return stack_.back();
  }

 private:
  void step(uint8_t opcode) {
    switch (opcode) {
      case 0x80:  // PROTO
        return in_.require(in_.take(1)[0] == kProtocol, "is not of protocol 2, as PyTorch's are");
      case '(':  // MARK
        in_.require(marks_.size() < kMaxMarks, "is nested deeper than ", kMaxMarks);
        return marks_.push_back(stack_.size());
      case 'N':  // NONE
        return push(make(Kind::none));
      case 0x88:  // NEWTRUE
        return push_integer(Kind::boolean, 1);
      case 0x89:  // NEWFALSE
        return push_integer(Kind::boolean, 0);
      case 'J':  // BININT
        return push_integer(Kind::integer, in_.signed_number(4));
      case 'K':  // BININT1
        return push_integer(Kind::integer, static_cast<int64_t>(in_.unsigned_number(1)));
      case 'M':  // BININT2
        return push_integer(Kind::integer, static_cast<int64_t>(in_.unsigned_number(2)));
      case 0x8a:  // LONG1
        return push_integer(Kind::integer, in_.signed_number(in_.unsigned_number(1)));
      case 'G':  // BINFLOAT
        return push_real(in_.real_number());
      case 'X':  // BINUNICODE
        return push_text(Kind::text, in_.take(in_.unsigned_number(4)));
      case 'c':  // GLOBAL
        return push_global(in_.global_name());
      default:
        return step_containers(opcode);
    }
  }

  void step_containers(uint8_t opcode) {
    switch (opcode) {
      case ')':  // EMPTY_TUPLE
        return push(make(Kind::tuple));
      case 0x85:  // TUPLE1
      case 0x86:  // TUPLE2
      case 0x87:  // TUPLE3
        return push_items(Kind::tuple, pop(opcode - size_t{0x84}));
      case 't':  // TUPLE
        return push_items(Kind::tuple, pop_to_mark());
      case ']':  // EMPTY_LIST
        return push(make(Kind::list));
      case 'a':  // APPEND
        return grow(Kind::list, pop(1));
      case 'e':  // APPENDS
        return grow(Kind::list, pop_to_mark());
      case '}':  // EMPTY_DICT
        return push(make(Kind::dict));
      case 's':  // SETITEM
        return grow(Kind::dict, pop(2));
      case 'u':  // SETITEMS
        return grow(Kind::dict, pop_to_mark());
      default:
        return step_objects(opcode);
    }
  }

  void step_objects(uint8_t opcode) {
    switch (opcode) {
      case 'q':  // BINPUT
        return put(in_.unsigned_number(1));
      case 'r':  // LONG_BINPUT
        return put(in_.unsigned_number(4));
      case 'h':  // BINGET
        return get(in_.unsigned_number(1));
      case 'j':  // LONG_BINGET
        return get(in_.unsigned_number(4));
      case 'Q':  // BINPERSID
        return push_items(Kind::persistent, pop(1));
      case 'R':  // REDUCE
        return reduce(pop(2));
      case 0x81:  // NEWOBJ
        return new_object(pop(2));
      case 'b':  // BUILD
        return build(pop(1));
      default:
        in_.refuse("has the opcode ", int{opcode}, ", which PyTorch does not write; refused");
    }
  }

  // -- values ---------------------------------------------------------------------------------
  PickleValue& make(Kind kind) {
    in_.require(values_.size() < kMaxValues, "has more than ", kMaxValues, " values");
    values_.emplace_back().kind = kind;
    return values_.back();
  }

  void adopt(PickleValue& value, const Items& items) {
    items_ += items.size();
    in_.require(items_ <= kMaxItems, "has more than ", kMaxItems, " items");
    for (const PickleValue* item : items)
      value.depth = std::max(value.depth, static_cast<uint8_t>(item->depth + 1));
    in_.require(value.depth <= kMaxDepth, "is nested deeper than ", kMaxDepth);
    value.items.insert(value.items.end(), items.begin(), items.end());
  }

  void push(PickleValue& value) {
    in_.require(stack_.size() < kMaxValues, "needs a stack of more than ", kMaxValues, " values");
    stack_.push_back(&value);
  }

  void push_integer(Kind kind, int64_t integer) {
    PickleValue& value = make(kind);
    value.integer = integer;
    push(value);
  }

  void push_real(double real) {
    PickleValue& value = make(Kind::real);
    value.real = real;
    push(value);
  }

  void push_text(Kind kind, std::string_view text) {
    PickleValue& value = make(kind);
    value.text = text;
    push(value);
  }

  void push_items(Kind kind, const Items& items) {
    PickleValue& value = make(kind);
    adopt(value, items);
    push(value);
  }

  void push_global(std::string_view name) {
    const std::string shown = in_quotes(name);
    check(is_allowed(name), where_, ": needs ", shown.substr(1, shown.size() - 2),
          ": refused, since loading weights must not run code; write plain tensors with "
          "torch.save(model.state_dict(), …) or safetensors");
    push_text(Kind::global, name);
  }

  // -- stack and memo ---------------------------------------------------------------------------
  /// The values above the last mark are the only ones an opcode may take.
  size_t available() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }

  Items pop(size_t count) {
    in_.require(available() >= count, "takes values from an empty stack");
    Items items(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return items;
  }

  Items pop_to_mark() {
    in_.require(!marks_.empty(), "needs a mark, and there is none");
    Items items = pop(available());
    marks_.pop_back();
    return items;
  }

  PickleValue& top() const {
    in_.require(available() > 0, "needs a value on the stack, and there is none");
    return *stack_.back();
  }

  void put(uint64_t index) {
    in_.require(index < kMaxValues, "uses the memo beyond ", kMaxValues);
    memo_.resize(std::max(memo_.size(), static_cast<size_t>(index) + 1));
    memo_[index] = &top();
  }

  void get(uint64_t index) {
    in_.require(index < memo_.size() && memo_[index] != nullptr, "reads the memo where nothing is");
    push(*memo_[index]);
  }

  // -- objects ----------------------------------------------------------------------------------
  void grow(Kind kind, const Items& items) {
    in_.require(top().is(kind), "adds items to something that is no ",
                kind == Kind::list ? "list" : "dict");
    in_.require(kind == Kind::list || items.size() % 2 == 0, "has a key without a value");
    adopt(top(), items);
  }

  void reduce(const Items& call) {
    in_.require(call[0]->is(Kind::global) && call[1]->is(Kind::tuple), "calls what is no function");
    if (!call[0]->is_global("collections.OrderedDict")) return push_items(Kind::call, call);
    in_.require(call[1]->items.empty(), "makes an OrderedDict from arguments");
    push(make(Kind::dict));
  }

  void new_object(const Items& call) {
    const bool is_class = call[0]->is(Kind::global) && call[0]->text.starts_with("__torch__.");
    in_.require(is_class && call[1]->is(Kind::tuple) && call[1]->items.empty(),
                "makes an object of what is no class of TorchScript");
    push_items(Kind::object, {call[0]});
  }

  /// The attributes of an OrderedDict (`_metadata`: versions of modules) are dropped.
  void build(const Items& state) {
    if (top().is(Kind::dict)) return;
    in_.require(top().is(Kind::object) && top().items.size() == 1,
                "gives a state to something that takes none");
    adopt(top(), state);
  }

  detail::PickleBytes in_;
  std::deque<PickleValue>& values_;
  const std::string& where_;
  size_t items_ = 0;
  std::vector<PickleValue*> stack_, memo_;
  std::vector<size_t> marks_;
};

Pickle::Pickle(std::string bytes, const std::string& where) : bytes_(std::move(bytes)) {
  root_ = Machine(*this, where).run();
}

}  // namespace diptych
