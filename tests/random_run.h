// tests/random_run.h — making random calls and holding what comes of them against the rules.
//
// A few thousand calls of each kind by default, the same ones each time; more with
//   DIPTYCH_RANDOM_CALLS=300000 build/asan/run_tests -tc='random calls*'
#pragma once

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>

#include "tests/random_calls.h"

namespace diptych::test {

inline bool all_finite(const Tensor& x) {
  if (!is_float(x.dtype())) return true;
  for (const double v : x.to_vector<double>())
    if (!std::isfinite(v)) return false;
  return true;
}

/// What is wrong with the gradients of an accepted call; empty if nothing is.
inline std::string gradients_of(const Call& call, const Tensor& y) {
  if (!needs_grad(y) || y.numel() > 1 << 16) return "";
  backward(y);
  for (const Tensor& x : call.operands) {
    if (!x.defined() || !needs_grad(x) || !grad(x).defined()) continue;
    if (!(grad(x).shape() == x.shape())) return "a gradient of another shape";
    if (call.finite && !all_finite(grad(x))) return "a gradient that is not finite";
  }
  return "";
}

/// What is wrong with the result of an accepted call; empty if nothing is.
inline std::string verdict_on(const Call& call, const Tensor& y) {
  if (!call.rule) return "accepted";
  if (!y.defined()) return "no result";
  if (extents(y) != *call.rule) return "a result of another shape";
  if (y.numel() > 1 << 20) return "";  // a view of one element, repeated
  if (call.finite && !all_finite(y)) return "a result that is not finite";
  return gradients_of(call, y);
}

/// Makes the call. An Error must be due, and a sentence; anything else that is thrown is foreign.
inline std::string outcome_of(const Call& call, bool& accepted) {
  std::vector<uint64_t> versions;
  for (const Tensor& x : call.operands) versions.push_back(x.defined() ? x.version() : 0);
  std::string wrong;
  accepted = false;
  try {
    const Tensor y = call.run();
    accepted = true;
    wrong = verdict_on(call, y);
  } catch (const Error& error) {
    const std::string text = error.what();
    if (accepted || (call.rule && !call.lenient)) wrong = "refused: " + text;
    if (text.find(": ") == text.npos || text.size() > 1000) wrong = "no sentence: " + text;
  } catch (const std::exception& error) {
    wrong = std::string("a foreign exception: ") + error.what();
  }
  for (size_t i = 0; i < versions.size(); ++i) {
    const Tensor& x = call.operands[i];
    if (x.defined() && x.version() != versions[i]) wrong += " an operand was written to";
  }
  return wrong;
}

using Draw = std::function<Call(Dice&)>;

/// Makes random calls of these kinds in turn. Both outcomes must be common, or nothing is tested.
inline void make_random_calls(const std::vector<Draw>& kinds, uint64_t seed) {
  const char* asked = std::getenv("DIPTYCH_RANDOM_CALLS");
  const int64_t calls = asked ? std::atoll(asked) : 4000;
  int64_t accepted_calls = 0, wrong_calls = 0;
  Dice dice(seed);
  for (int64_t i = 0; i < calls && wrong_calls < 30; ++i) {
    const Call call = kinds[static_cast<size_t>(i) % kinds.size()](dice);
    INFO(call.text);  // printed if the process dies
    bool accepted = false;
    const std::string wrong = outcome_of(call, accepted);
    accepted_calls += accepted;
    wrong_calls += !wrong.empty();
    CHECK_MESSAGE(wrong.empty(), wrong);
  }
  CHECK(accepted_calls > calls / 4);
  CHECK(accepted_calls < calls * 9 / 10);
}

}  // namespace diptych::test
