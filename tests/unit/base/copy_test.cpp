#include "base/copy.hpp"

#include <gtest/gtest.h>

#include <array>
#include <memory>

namespace tern {
namespace copy_test {

// Every length across the steps, at every alignment, from and to blocks that end where the bytes do: what a
// sanitizer would see read or written beyond, it sees.
TEST(CopyShort, CopiesEveryByteAndNoOther) {
  for (std::size_t n = 0; n <= 200; ++n) {
    for (std::size_t shift = 0; shift < 4; ++shift) {
      const auto from = std::make_unique<std::byte[]>(n + shift);
      const auto to = std::make_unique<std::byte[]>(n + 2 * shift);
      for (std::size_t i = 0; i < n + shift; ++i) from[i] = static_cast<std::byte>(i * 7 + 1);
      for (std::size_t i = 0; i < n + 2 * shift; ++i) to[i] = std::byte{0xee};
      copy_short(to.get() + shift, from.get() + shift, n);
      for (std::size_t i = 0; i < n; ++i) ASSERT_EQ(to[shift + i], from[shift + i]) << n << ' ' << i;
      for (std::size_t i = 0; i < shift; ++i) {
        ASSERT_EQ(to[i], std::byte{0xee}) << n;
        ASSERT_EQ(to[shift + n + i], std::byte{0xee}) << n;
      }
    }
  }
}

TEST(CopyShort, NothingFromNowhereIsNothing) {
  std::array<std::byte, 1> to{std::byte{1}};
  copy_short(to.data(), nullptr, 0);
  EXPECT_EQ(to[0], std::byte{1});
}

} // namespace copy_test
} // namespace tern
