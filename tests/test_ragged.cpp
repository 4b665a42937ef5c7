// tests/test_ragged.cpp — layouts of packed sequences, and captions in them.
#include <doctest/doctest.h>

#include "data/text/captions.h"
#include "tensor/factory.h"
#include "tests/devices.h"
#include "tests/files.h"

using namespace diptych;
using diptych::test::contains;
using diptych::test::error_of;

namespace {

using Ids = std::vector<int64_t>;

Ids host(const Tensor& x) { return x.to_vector<int64_t>(); }

}  // namespace

TEST_CASE("ragged: lengths, offsets and equal sequences describe one thing") {
  const Ragged layout = Ragged::of_lengths({3, 0, 2});
  CHECK(layout.ends() == Ids{0, 3, 3, 5});
  CHECK(host(layout.offsets()) == layout.ends());
  CHECK(layout.count() == 3);
  CHECK(layout.rows() == 5);
  CHECK(layout.longest() == 3);
  CHECK(layout.length(2) == 2);
  CHECK(host(layout.positions()) == Ids{0, 1, 2, 0, 1});
  CHECK(Ragged::of_offsets(layout.offsets()).ends() == layout.ends());
  CHECK(Ragged::equal(2, 3).ends() == Ids{0, 3, 6});
  CHECK(host(Ragged::equal(2, 3).first_rows("test")) == Ids{0, 3});
  CHECK(host(Ragged::equal(2, 3).last_rows("test")) == Ids{2, 5});
}

TEST_CASE("ragged: a slice counts its rows from zero") {
  const Ragged part = Ragged::of_lengths({3, 1, 4, 2}).slice(1, 3);
  CHECK(part.ends() == Ids{0, 1, 5});
  CHECK(part.longest() == 4);
  CHECK(part.slice(1, 1).count() == 0);
}

TEST_CASE("ragged: its numbers are made once, and a layout lies where they are put") {
  const Ragged layout = Ragged::of_lengths({3, 1});
  CHECK(host(layout.numbers()) == Ids{0, 3, 4, 0, 1, 2, 0, 2, 3});
  CHECK(layout.positions().same_storage(layout.last_rows("test")));
  CHECK(layout.positions().same_storage(layout.positions()));
  const Ragged copy = layout;
  CHECK(copy.numbers().same_storage(layout.numbers()));
  const Tensor elsewhere = layout.numbers().clone();
  const Ragged there = layout.at(elsewhere);
  CHECK(there.ends() == layout.ends());
  CHECK(there.longest() == 3);
  for (const Tensor& part :
       {there.offsets(), there.positions(), there.first_rows("test"), there.last_rows("test")})
    CHECK(part.same_storage(elsewhere));
}

TEST_CASE("ragged: equal sequences are the same as of lengths, on every device") {
  for (const Device device : test::devices()) {
    for (const int64_t T : {0, 1, 5}) {
      const Ragged equal = Ragged::equal(3, T, device), other = Ragged::of_lengths({T, T, T});
      CHECK(equal.device() == device);
      CHECK(host(equal.offsets()) == other.ends());
      CHECK(host(equal.numbers()) == host(other.numbers()));
    }
  }
}

TEST_CASE("ragged: no sequences is a layout") {
  for (const Ragged& none : {Ragged(), Ragged::equal(0, 7), Ragged::of_lengths({})}) {
    CHECK(none.count() == 0);
    CHECK(none.rows() == 0);
    CHECK(none.longest() == 0);
    CHECK(host(none.last_rows("test")).empty());
  }
}

TEST_CASE("ragged: the offsets of outside are copied, and stay what they were") {
  Tensor offsets = from_vector(Ids{0, 2}, {2});
  const Ragged layout = Ragged::of_offsets(offsets);
  offsets.fill_(9);
  CHECK(host(layout.offsets()) == Ids{0, 2});
}

TEST_CASE("ragged: what is no layout is refused") {
  const auto refused = [](const Ids& offsets) {
    return error_of(
        [&] { Ragged::of_offsets(from_vector(offsets, {static_cast<int64_t>(offsets.size())})); });
  };
  CHECK(contains(refused({}), "ragged: offsets must be i64 (B+1), got i64 (0)"));
  CHECK(contains(refused({1, 2}), "must rise from 0"));
  CHECK(contains(refused({0, 3, 2}), "must rise from 0"));
  CHECK(contains(error_of([] { Ragged::of_offsets(zeros({2})); }), "got f32 (2)"));
  CHECK(contains(error_of([] { Ragged::of_lengths({1, -1}); }), "ragged: sequence 1 has -1 rows"));
  CHECK(contains(error_of([] { Ragged::of_lengths({INT64_MAX, 1}); }), "ragged: sequence 0"));
  CHECK(contains(error_of([] { Ragged::equal(-1, 3); }), "ragged: -1 sequences of 3 rows"));
  CHECK(contains(error_of([] { Ragged::equal(int64_t{1} << 32, int64_t{1} << 32); }),
                 "sequences of"));
  CHECK(
      contains(error_of([] { Ragged::equal(2, 3).slice(1, 3); }), "[1, 3) is out of range for 2"));
  CHECK(contains(error_of([] { Ragged::equal(2, 3).length(2); }), "no sequence 2 among 2"));
  CHECK(contains(error_of([] {
                   Ragged::of_lengths({2, 0}).last_rows("pool");
                 }),
                 "pool: sequence 1 has no rows"));
}

TEST_CASE("captions: packed one behind the other") {
  const Captions captions = pack({{7, 8}, {}, {9}});
  CHECK(host(captions.tokens) == Ids{7, 8, 9});
  CHECK(captions.layout.ends() == Ids{0, 2, 2, 3});
}

TEST_CASE("captions: on a device, tokens and layout are those of the host, in one block") {
  const Captions captions = pack({{7, 8}, {6, 5, 4}, {9}});
  for (const Device device : test::devices()) {
    const Captions there = captions.to(device);
    CHECK(host(there.tokens) == Ids{7, 8, 6, 5, 4, 9});
    CHECK(there.layout.ends() == captions.layout.ends());
    CHECK(host(there.layout.offsets()) == captions.layout.ends());
    CHECK(host(there.layout.positions()) == Ids{0, 1, 0, 1, 2, 0});
    CHECK(host(there.layout.last_rows("test")) == Ids{1, 4, 5});
    for (const Tensor& part : {there.tokens, there.layout.offsets(), there.layout.numbers()}) {
      CHECK(part.device() == device);
      CHECK((device == Device::cpu || part.same_storage(there.tokens)));
    }
  }
}
