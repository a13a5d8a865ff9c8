// What every fuzz target shares: exact-size heap copies, and a reader of bytes that make decisions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "base/check.hpp"

namespace tern::fuzz {

// Ends where its allocation ends: AddressSanitizer sees the first byte read or written too far.
class Exact {
 public:
  explicit Exact(std::size_t size) : size_(size), data_(new std::byte[size]) {}
  explicit Exact(std::span<const std::byte> from) : Exact(from.size()) {
    if (size_ != 0) std::memcpy(data_.get(), from.data(), size_);
  }
  Exact(const std::uint8_t* data, std::size_t size) : Exact(std::as_bytes(std::span{data, size})) {}
  [[nodiscard]] std::span<std::byte> span() { return {data_.get(), size_}; }
  [[nodiscard]] std::byte* data() { return data_.get(); }

 private:
  std::size_t size_;
  std::unique_ptr<std::byte[]> data_;
};

// Bytes as long as there are any, then zeros.
class Input {
 public:
  Input(const std::uint8_t* p, std::size_t n) : p_(p), end_(p + n) {}
  [[nodiscard]] bool empty() const { return p_ == end_; }
  template <class T = std::uint8_t>
  T take() {
    T v{};
    const std::size_t n = std::min<std::size_t>(sizeof v, static_cast<std::size_t>(end_ - p_));
    if (n != 0) std::memcpy(&v, p_, n);
    p_ += n;
    return v;
  }

 private:
  const std::uint8_t* p_;
  const std::uint8_t* end_;
};

} // namespace tern::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
