// tests/test_sha256.cpp — SHA-256 against the examples of FIPS 180-4.
#include <doctest/doctest.h>

#include "tensor/io/sha256.h"
#include "tests/files.h"

using namespace diptych;
using namespace diptych::test;

TEST_CASE("sha256: the examples of FIPS 180-4") {
  CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST_CASE("sha256: bytes may come in any pieces") {
  const std::string bytes(200, 'x');
  Sha256 hash;
  for (const int64_t piece : {0, 1, 63, 64, 65, 200}) {
    CAPTURE(piece);
    hash.add(bytes.data(), piece);
    hash.add(bytes.data(), 200 - piece);
    CHECK(hash.hex() == sha256(bytes));
  }
}

TEST_CASE("sha256: a file of a million letters, read in pieces, and files of every awkward size") {
  const TempDir dir;
  put_file(dir / "a", std::string(1'000'000, 'a'));
  CHECK(sha256_of_file({"test", dir / "a"}) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  for (const size_t size : {0u, 1u, (1u << 20) - 1, 1u << 20, (1u << 20) + 1}) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * i >> 3);
    put_file(dir / "a", bytes);
    CHECK(sha256_of_file({"test", dir / "a"}) == sha256(bytes));
  }
}
