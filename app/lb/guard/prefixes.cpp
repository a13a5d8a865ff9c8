#include "app/lb/guard/prefixes.hpp"

#include <algorithm>
#include <optional>

namespace tern::app::lb {
namespace {

using Number = AccessList::Number;

Number number_of(const Ip& ip) {
  std::array<std::uint64_t, 2> words{};
  std::memcpy(words.data(), ip.bytes().data(), 16);
  return {__builtin_bswap64(words[0]), __builtin_bswap64(words[1])};
}

struct Block {
  Number first;
  Number last;
  unsigned length; // of 128 bits
  bool allowed;
};

Block block_of(const Prefix& p, bool allowed) {
  const unsigned length = p.length() + (p.base().is_v4() ? 96U : 0U);
  const std::uint64_t high = length >= 64 ? 0 : ~std::uint64_t{0} >> length;
  const std::uint64_t low = length >= 128  ? 0
                            : length <= 64 ? ~std::uint64_t{0}
                                           : ~std::uint64_t{0} >> (length - 64);
  const Number n = number_of(p.base());
  return {{n.high & ~high, n.low & ~low}, {n.high | high, n.low | low}, length, allowed};
}

std::optional<Number> after(Number n) {
  if (++n.low == 0 && ++n.high == 0) return std::nullopt;
  return n;
}

} // namespace

AccessList::AccessList(std::span<const Prefix> allow, std::span<const Prefix> deny)
    : otherwise_(allow.empty()) {
  for (const bool v4 : {true, false}) {
    std::vector<Block> blocks;
    for (const Prefix& p : allow)
      if (p.base().is_v4() == v4) blocks.push_back(block_of(p, true));
    for (const Prefix& p : deny)
      if (p.base().is_v4() == v4) blocks.push_back(block_of(p, false));
    // Outer before inner; of the same block, that which denies last, so that it is on top.
    std::ranges::sort(blocks, [](const Block& a, const Block& b) {
      if (a.first != b.first) return a.first < b.first;
      if (a.length != b.length) return a.length < b.length;
      return a.allowed && !b.allowed;
    });
    std::vector<Range>& ranges = v4 ? v4_ : v6_;
    const auto begin = [&](Number at, bool allowed) {
      if (!ranges.empty() && ranges.back().first == at)
        ranges.pop_back(); // an inner one begins where it does
      if (ranges.empty() ? allowed != otherwise_ : ranges.back().allowed != allowed)
        ranges.push_back({at, allowed});
    };
    std::vector<Block> open; // prefixes nest: a stack
    const auto close_before = [&](const Number* at) {
      while (!open.empty() && (at == nullptr || open.back().last < *at)) {
        const auto next = after(open.back().last);
        open.pop_back();
        if (next) begin(*next, open.empty() ? otherwise_ : open.back().allowed);
      }
    };
    for (const Block& b : blocks) {
      close_before(&b.first);
      begin(b.first, b.allowed);
      open.push_back(b);
    }
    close_before(nullptr);
  }
}

bool AccessList::allows(const Ip& ip) const {
  const std::vector<Range>& ranges = ip.is_v4() ? v4_ : v6_;
  const Number n = number_of(ip);
  const auto at = std::ranges::upper_bound(ranges, n, {}, &Range::first);
  return at == ranges.begin() ? otherwise_ : std::prev(at)->allowed;
}

} // namespace tern::app::lb
