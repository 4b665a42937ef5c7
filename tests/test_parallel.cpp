// tests/test_parallel.cpp — facts about parallel_for.
#include <doctest/doctest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "tensor/parallel.h"
#include "tests/files.h"

using namespace diptych;
using diptych::test::contains;
using diptych::test::error_of;

TEST_CASE("parallel_for: every index exactly once, for any number of threads and any grain") {
  const int before = num_threads();
  for (int threads : {1, 2, 3, 8}) {
    set_num_threads(threads);
    for (int64_t n : {0, 1, 2, 7, 1000}) {
      for (int64_t grain : {1, 3, 5000}) {
        std::vector<int> hits(static_cast<size_t>(n));
        parallel_for(n, grain, [&](int64_t begin, int64_t end) {
          CHECK(begin < end);
          for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
        });
        CHECK(std::accumulate(hits.begin(), hits.end(), int64_t{0}) == n);
        CHECK(std::count(hits.begin(), hits.end(), 1) == n);
      }
    }
  }
  set_num_threads(before);
}

TEST_CASE("parallel_for: nested calls and calls inside a SerialScope run in line") {
  const int before = num_threads();
  set_num_threads(4);
  parallel_for(4, 1, [](int64_t, int64_t) { CHECK(detail::run_in_line()); });
  const SerialScope serial;
  int calls = 0;
  parallel_for(1000, 1, [&](int64_t begin, int64_t end) { calls += begin == 0 && end == 1000; });
  CHECK(calls == 1);
  set_num_threads(before);
}

TEST_CASE("parallel_for: an error in a body arrives at the caller, and the pool works on") {
  const int before = num_threads();
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    for (int repeat = 0; repeat < 20; ++repeat) {
      const std::string text = error_of([] {
        parallel_for(3000, 1, [](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) check(i % 500 != 499, "body: element ", i);
        });
      });
      CHECK(text == "body: element 499");  // the first, whichever thread was faster
      std::vector<int> hits(1000);
      parallel_for(1000, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
      });
      CHECK(std::count(hits.begin(), hits.end(), 1) == 1000);
    }
  }
  set_num_threads(before);
}

TEST_CASE("parallel_for: pieces of nothing and ranges without end are refused") {
  const auto body = [](int64_t, int64_t) {};
  CHECK(contains(error_of([&] { parallel_for(5, 0, body); }),
                 "parallel_for: 5 elements in pieces of 0"));
  CHECK(contains(error_of([&] { parallel_for(5, -1, body); }), "in pieces of -1"));
  CHECK(contains(error_of([&] { parallel_for(INT64_MAX, 1, body); }), "at most 2^56"));
}
