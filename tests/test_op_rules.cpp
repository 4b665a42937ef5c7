// tests/test_op_rules.cpp — what every operator must do besides being right: leave its inputs
// alone, repeat itself bit by bit, refuse what does not fit, stand in the table.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>
#include <set>

#include "tensor/parallel.h"
#include "tests/op_harness.h"

using namespace diptych;
using namespace diptych::test;

TEST_CASE("op table: each subset of tracked inputs gets the same gradients, the rest none") {
  for_each_row([](const OpCase& row, Device device) {
    const Sample s = sample(row, DType::f32, device);
    const Computed all = run(row.f, s.inputs, s.seed);
    const unsigned full_set = (1u << s.inputs.size()) - 1;
    for (unsigned subset = 1; subset < full_set; ++subset) {
      Computed some = run(row.f, s.inputs, s.seed, subset);
      for (size_t i = 0; i < some.grads.size(); ++i) {
        const bool tracked = subset >> i & 1u;
        CHECK_MESSAGE(some.grads[i].defined() == tracked, "subset ", subset, ", input ", i);
        if (!tracked) some.grads[i] = all.grads[i];
      }
      check_same_bits(some, all, "with subset " + std::to_string(subset));
    }
    CHECK_MESSAGE(!needs_grad(row.f(s.inputs)), "a history without tracked inputs");
  });
}

TEST_CASE("op table: inputs and seed are left alone") {
  for_each_row([](const OpCase& row, Device device) {
    const Sample s = sample(row, DType::f32, device);
    Inputs all = s.inputs, copies;
    all.push_back(s.seed);
    std::vector<uint64_t> versions;
    for (const Tensor& x : all) {
      copies.push_back(x.clone());
      versions.push_back(x.version());
    }
    run(row.f, s.inputs, s.seed);
    for (size_t i = 0; i < all.size(); ++i) {
      CHECK_MESSAGE(all[i].version() == versions[i], "the version of operand ", i, " changed");
      CHECK_MESSAGE(same_bits(all[i], copies[i]), "operand ", i, " changed");
    }
  });
}

TEST_CASE("op table: same bits twice and for any number of threads") {
  const int before = num_threads();
  for_each_dtype([before](const OpCase& row, Device device, DType dtype) {
    const Sample s = sample(row, dtype, device);
    const Computed first = run(row.f, s.inputs, s.seed);
    check_same_bits(run(row.f, s.inputs, s.seed), first, "the second time");
    if (device != Device::cpu) return;  // other devices have no threads of ours
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      check_same_bits(run(row.f, s.inputs, s.seed), first,
                      "with " + std::to_string(threads) + " threads");
    }
    set_num_threads(before);
  });
}

TEST_CASE("op table: what does not fit is refused with a message that says why") {
  for (const OpCase& row : op_table()) {
    for (const BadCall& bad : row.bad) {
      const std::string which = title(row) + ": " + bad.message;
      INFO(which);
      try {
        bad.call();
        FAIL_CHECK("accepted");
      } catch (const Error& e) {
        const std::string text = e.what();
        CHECK_MESSAGE(text.find(bad.message) != std::string::npos, text);
      }
    }
  }
}

namespace {

// The functions that autograd/ops.h declares to return tensors, one to a line.
std::set<std::string> declared_operators() {
  const auto header =
      std::filesystem::path(__FILE__).parent_path().parent_path() / "autograd/ops.h";
  std::ifstream file(header);
  REQUIRE_MESSAGE(file.good(), "cannot read ", header.string(), "; run from the source root");
  std::set<std::string> names;
  for (std::string line; std::getline(file, line);) {
    for (const std::string start :
         {"Tensor ", "inline Tensor ", "Tensor& ", "std::vector<Tensor> "}) {
      const size_t parenthesis = line.find('(');
      if (line.rfind(start, 0) == 0 && parenthesis != std::string::npos) {
        names.insert(line.substr(start.size(), parenthesis - start.size()));
      }
    }
  }
  return names;
}

}  // namespace

TEST_CASE("op table: every operator has a row") {
  std::set<std::string> titles, named, recorded;
  for (const OpCase& row : op_table()) {
    INFO(title(row));
    CHECK_MESSAGE(titles.insert(title(row)).second, "two rows of this title");
    const OpLog log;
    PhiloxStream rng = generator(row, 0);
    row.f(row.inputs(rng));
    CHECK(log.names().count(row.name) == (row.composed ? 0 : 1));
    if (!row.composed) named.insert(row.name);
    recorded.insert(log.names().begin(), log.names().end());
  }
  CHECK(recorded == named);
  for (const OpCase& row : op_table()) named.insert(row.name);
  named.insert("arg_max");  // not differentiable: tested below
  const std::set<std::string> declared = declared_operators();
  CHECK(declared.size() > 30);
  for (const std::string& op : declared) {
    CHECK_MESSAGE(named.count(op) == 1, op, " is in autograd/ops.h but not in the table");
  }
}

TEST_CASE("op table: rows that no device here can run are counted") {
  devices();  // throws where one is required
  for (Device d : {Device::cpu, Device::cuda}) {
    const std::string device = name(d);
    if (!available(d)) MESSAGE(op_table().size(), " rows skipped (no ", device, " device)");
  }
  const auto large = op_table().size() - rows_asked_for().size();
  if (large) MESSAGE(large, " rows skipped (more elements than asked for)");
}

TEST_CASE("max: ties share the gradient equally") {
  const Tensor x = track(from_vector<double>({2, 1, 2, 0, 3, 3, 3, 3}, {2, 4}));
  backward(max(x, 1), from_vector<double>({6, 8}, {2}));
  CHECK(grad(x).to_vector<double>() == std::vector<double>{3, 0, 3, 0, 2, 2, 2, 2});
}

TEST_CASE("maximum: a tie sends the gradient to the first operand") {
  const Tensor a = track(full({2}, 1)), b = track(full({2}, 1));
  backward(maximum(a, b));
  CHECK(grad(a).to_vector<double>() == std::vector<double>{1, 1});
  CHECK(grad(b).to_vector<double>() == std::vector<double>{0, 0});
}

TEST_CASE("minimum: a tie sends the gradient to the first operand") {
  const Tensor a = track(full({2}, 1)), b = track(full({2}, 1));
  backward(minimum(a, b));
  CHECK(grad(a).to_vector<double>() == std::vector<double>{1, 1});
  CHECK(grad(b).to_vector<double>() == std::vector<double>{0, 0});
}

TEST_CASE("clamp: the ends belong to the interval, and NaN stays NaN") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor x = track(from_vector<double>({-1, 0, 0.5, 1, 2, nan}, {6}));
  const Tensor y = clamp(x, 0, 1);
  const auto values = y.to_vector<double>();
  CHECK(std::vector<double>(values.begin(), values.end() - 1) ==
        std::vector<double>{0, 0, 0.5, 1, 1});
  CHECK(std::isnan(values[5]));
  backward(y);
  CHECK(grad(x).to_vector<double>() == std::vector<double>{0, 1, 1, 1, 0, 1});
}

TEST_CASE("abs and pow: derivatives where the formula has a hole") {
  const Tensor x = track(from_vector<double>({0, -0.0, -2}, {3}));
  backward(abs(x));
  CHECK(grad(x).to_vector<double>() == std::vector<double>{0, 0, -1});
  const Tensor a = track(from_vector<double>({0, 0, 0, -2}, {4})),
               b = track(from_vector<double>({0, 1, 2, 0}, {4}));
  backward(pow(a, b));
  CHECK(grad(a).to_vector<double>() == std::vector<double>{0, 1, 0, 0});
  CHECK(grad(b).to_vector<double>()[1] == 0);
  CHECK(pow(from_vector<double>({-2}, {1}), 3).item() == -8);
  CHECK(std::isnan(pow(from_vector<double>({-2}, {1}), 0.5).item()));
}

TEST_CASE("where: what the mask leaves out may be NaN, in values and in gradients") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor a = track(from_vector<double>({1, nan}, {2})), b = track(full({}, 5, DType::f64));
  const Tensor y = where(from_vector<uint8_t>({2, 0}, {2}), a, b);
  CHECK(y.to_vector<double>() == std::vector<double>{1, 5});
  backward(y * from_vector<double>({3, 4}, {2}));
  CHECK(grad(a).to_vector<double>() == std::vector<double>{3, 0});
  CHECK(grad(b).item() == 4);
}

TEST_CASE("max_pool: a tie sends the gradient to the first maximum, and a NaN is the maximum") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor x = track(from_vector<double>({1, 3, 3, 3, 9, nan, nan, 2}, {2, 2, 2, 1}));
  const Tensor y = max_pool(x, 2);
  CHECK(y.to_vector<double>()[0] == 3);
  CHECK(std::isnan(y.to_vector<double>()[1]));
  backward(y, from_vector<double>({5, 7}, {2, 1, 1, 1}));
  CHECK(grad(x).to_vector<double>() == std::vector<double>{0, 5, 0, 0, 0, 7, 0, 0});
}

TEST_CASE("split: pieces in order, the last one shorter") {
  const auto pieces = split(arange(7, DType::f32), 3, 0);
  REQUIRE(pieces.size() == 3);
  CHECK(pieces[1].to_vector<double>() == std::vector<double>{3, 4, 5});
  CHECK(pieces[2].to_vector<double>() == std::vector<double>{6});
  CHECK(split(zeros({0, 2}), 3, 0).size() == 1);
}

TEST_CASE("+=: the handle takes the new value and its history; other handles keep the old value") {
  const Tensor w = track(full({}, 3));
  Tensor x = w * 1;
  const Tensor before = x;
  x += 1;
  x *= x;
  CHECK(x.item() == 16);
  CHECK(before.item() == 3);
  backward(x);
  CHECK(grad(w).item() == 8);
}

TEST_CASE("arg_max: the first maximum along an axis, where a NaN counts as the maximum") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Tensor x = from_vector<double>({1, 5, 5, 4, nan, 9}, {2, 3});
  for (DType dtype : {DType::f32, DType::f64, DType::f16, DType::bf16}) {
    CHECK(arg_max(x.to(dtype), -1).to_vector<int64_t>() == std::vector<int64_t>{1, 1});
    CHECK(arg_max(x.to(dtype), 0).to_vector<int64_t>() == std::vector<int64_t>{1, 1, 1});
  }
  CHECK(arg_max(track(full({3}, 1)), 0).node() == nullptr);
  CHECK_THROWS_WITH_AS(arg_max(zeros({2, 0}), 1), "arg_max: of nothing: axis 1 of (2, 0) is empty",
                       Error);
  CHECK_THROWS_AS(arg_max(arange(3), 0), Error);
  CHECK_THROWS_AS(arg_max(zeros({3}), 1), Error);
}
