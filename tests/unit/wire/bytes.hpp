// Helpers of the wire tests: literal bytes, exact-size heap copies, a seeded generator.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <random>
#include <span>
#include <vector>

namespace tern::wire::test {

using Bytes = std::vector<std::byte>;

inline Bytes bytes(std::initializer_list<unsigned> list) {
  Bytes b;
  for (const unsigned v : list) b.push_back(static_cast<std::byte>(v));
  return b;
}

// A copy that ends where its allocation ends, so that AddressSanitizer sees the first byte read too far.
class Exact {
 public:
  explicit Exact(std::span<const std::byte> from) : size_(from.size()), data_(new std::byte[size_ + 1]) {
    // One byte of lead makes the data unaligned as well: nothing on the wire is aligned.
    if (size_ != 0) std::memcpy(data_.get() + 1, from.data(), size_);
  }
  [[nodiscard]] std::span<const std::byte> span() const { return {data_.get() + 1, size_}; }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte[]> data_;
};

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t operator()() { return engine_(); }
  template <class T = std::uint32_t>
  T below(std::uint64_t n) {
    return static_cast<T>(engine_() % n);
  }
  template <class T>
  T any() {
    return static_cast<T>(engine_());
  }
  bool coin() { return (engine_() & 1) != 0; }
  Bytes bytes(std::size_t n) {
    Bytes b(n);
    for (auto& v : b) v = static_cast<std::byte>(engine_());
    return b;
  }

 private:
  std::mt19937_64 engine_;
};

} // namespace tern::wire::test
