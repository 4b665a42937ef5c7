// tensor/io/torch_state.cpp — looking for the state dict in what was saved around it.
#include "tensor/io/torch_state.h"

#include <algorithm>
#include <map>
#include <set>

#include "tensor/io/file.h"
#include "tensor/io/torch_storage.h"

namespace diptych::detail {
namespace {

using Kind = PickleValue::Kind;

struct Candidate {
  const PickleValue* dict;
  std::vector<std::string_view> keys;  // that lead to it
  size_t tensors;
};

/// A tensor, or a module, of which a state dict may consist as well.
bool holds_tensors(const PickleValue& value) {
  return is_torch_tensor(value) || value.is(Kind::object);
}

/// "'model' 'ema'", or what the top is called.
std::string described(const Candidate& c) {
  std::string text;
  for (const std::string_view key : c.keys) text += (text.empty() ? "" : " ") + in_quotes(key);
  return (text.empty() ? "the top" : text) + " (" + std::to_string(c.tensors) + " tensors)";
}

class Search {
 public:
  Search(const PickleValue& top, const std::string& where) : where_(where) { visit({&top, {}, 0}); }

  std::vector<Candidate> found;

 private:
  // Dicts may contain themselves: each is looked at once.
  void visit(Candidate here) {
    constexpr size_t kMaxKeys = 4, kMaxFound = 1 << 14;
    if (!seen_.insert(here.dict).second) return;
    const auto& items = here.dict->items;
    for (size_t i = 1; i < items.size(); i += 2) here.tensors += holds_tensors(*items[i]);
    if (here.tensors > 0) found.push_back(here);
    check(found.size() <= kMaxFound, where_, ": more than ", kMaxFound, " dicts of tensors");
    if (here.keys.size() == kMaxKeys) return;
    std::map<std::string_view, const PickleValue*> inner;  // of a key given twice the last value
    for (size_t i = 0; i + 1 < items.size(); i += 2)
      if (items[i]->is(Kind::text)) inner[items[i]->text] = items[i + 1];
    for (const auto& [key, value] : inner) {
      if (!value->is(Kind::dict)) continue;
      Candidate next{value, here.keys, 0};
      next.keys.push_back(key);
      visit(std::move(next));
    }
  }

  const std::string& where_;
  std::set<const PickleValue*> seen_;
};

/// Those that `is` is true of, if there are any; else all.
template <class Is>
std::vector<Candidate> preferred(const std::vector<Candidate>& all, const Is& is) {
  std::vector<Candidate> some;
  std::copy_if(all.begin(), all.end(), std::back_inserter(some), is);
  return some.empty() ? all : some;
}

std::vector<Candidate> best(std::vector<Candidate> all) {
  all = preferred(all, [](const Candidate& c) {
    return std::none_of(c.keys.begin(), c.keys.end(), is_averaged);
  });
  for (const char* wrapper : {"state_dict", "model_state_dict", "model"}) {
    const auto inside = [&](const Candidate& c) { return !c.keys.empty() && c.keys[0] == wrapper; };
    if (std::any_of(all.begin(), all.end(), inside)) {
      all = preferred(all, inside);
      break;
    }
  }
  const auto worse = [](const Candidate& a, const Candidate& b) {
    return a.tensors != b.tensors ? a.tensors < b.tensors : a.keys.size() > b.keys.size();
  };
  const Candidate most = *std::max_element(all.begin(), all.end(), worse);
  return preferred(all, [&](const Candidate& c) { return !worse(c, most); });
}

/// "; it has 'epoch', 'net', …"
std::string keys_of(const PickleValue& dict) {
  constexpr size_t kMost = 2 * 5;
  std::string text;
  for (size_t i = 0; i < std::min(kMost, dict.items.size()); i += 2)
    if (dict.items[i]->is(Kind::text))
      text += (text.empty() ? "; it has " : ", ") + in_quotes(dict.items[i]->text);
  return text + (dict.items.size() > kMost ? ", …" : "");
}

/// What stands beside the path to the state dict, and in it beside the tensors.
void name_the_rest(const PickleValue& top, const Candidate& taken, std::vector<std::string>& out) {
  const PickleValue* dict = &top;
  for (size_t level = 0; level <= taken.keys.size(); ++level) {
    const PickleValue* next = nullptr;
    const bool inside = level == taken.keys.size();
    for (size_t i = 0; i + 1 < dict->items.size(); i += 2) {
      const PickleValue &key = *dict->items[i], &value = *dict->items[i + 1];
      const bool leads =
          !inside && value.is(Kind::dict) && key.is(Kind::text) && key.text == taken.keys[level];
      if (leads) next = &value;
      if (!leads && !(inside && holds_tensors(value)))
        out.emplace_back(key.is(Kind::text) ? key.text : "a key that is no text");
    }
    dict = next;
  }
}

}  // namespace

bool is_averaged(std::string_view name) {
  return name == "ema" || name.starts_with("ema_") || name.ends_with("_ema") ||
         name.find("_ema_") != std::string_view::npos;
}

const PickleValue& state_dict_of(const PickleValue& file, const std::string& where,
                                 std::vector<std::string>* left_out) {
  const std::vector<Candidate> all = Search(file, where).found;
  check(!all.empty(), where, ": no tensors at the top or in dicts such as 'state_dict'",
        keys_of(file));
  const std::vector<Candidate> taken = best(all);
  if (taken.size() > 1)
    fail(where, ": holds two state dicts alike, ", described(taken[0]), " and ",
         described(taken[1]), "; keep one of them");
  if (left_out != nullptr) name_the_rest(file, taken[0], *left_out);
  return *taken[0].dict;
}

}  // namespace diptych::detail
