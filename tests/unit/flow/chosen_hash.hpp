// Hashes of the test's choosing: which buckets of a table they lead to. As the table reckons it, told a second time.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>

#include "flow/flow_table.hpp"

namespace tern {

inline FlowRef conn(std::uint32_t i) {
  return {FlowKind::connection, i};
}

struct ChosenHash {
  explicit ChosenHash(const FlowTable& t) : n(t.slots() / 10) {}
  [[nodiscard]] std::uint32_t reduce(std::uint32_t h) const {
    return static_cast<std::uint32_t>(std::uint64_t{h} * n >> 32);
  }
  // Whose home is `bucket`.
  [[nodiscard]] FlowHash hash(std::uint32_t bucket, std::uint32_t tag) const {
    const std::uint64_t h = ((std::uint64_t{bucket} << 32) + (std::uint64_t{1} << 31)) / n;
    EXPECT_EQ(reduce(static_cast<std::uint32_t>(h)), bucket);
    return {h << 32 | tag};
  }
  [[nodiscard]] std::uint32_t other(std::uint32_t bucket, std::uint32_t tag) const {
    return (reduce(tag * 0x9e3779b1U) + n - bucket) % n;
  }
  // Whose home is `bucket`, and whose other bucket is `second`.
  [[nodiscard]] FlowHash between(std::uint32_t bucket, std::uint32_t second) const {
    for (std::uint32_t tag = 1;; ++tag)
      if (other(bucket, tag) == second) return hash(bucket, tag);
  }
  std::uint32_t n;
};

} // namespace tern
