#include "base/siphash.hpp"

#include <gtest/gtest.h>

#include <array>

namespace tern {
namespace {

// The vector of the SipHash paper, appendix A.
TEST(SipHash, PaperVectorOfFifteenBytesMatches) {
  std::array<std::byte, 15> in;
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<std::byte>(i);
  const SipKey key{0x0706050403020100, 0x0f0e0d0c0b0a0908};
  EXPECT_EQ(siphash24(key, in), 0xa129ca6149be45e5U);
}

} // namespace
} // namespace tern
