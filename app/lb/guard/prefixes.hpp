// Who may connect: prefixes that are allowed or denied, the longest that fits decides. Made off the packet
// path into sorted ranges that do not overlap; a look is one binary search. rte_lpm would answer IPv4 in two
// loads, for 64 MB a list and a bound on rules; few lists have more than some hundred prefixes, and a
// connection asks once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/ip.hpp"

namespace tern::app::lb {

class AccessList {
 public:
  AccessList() = default; // lets everybody in
  // Where nothing fits: nobody is let in if there is an allow list, else everybody is. A prefix in both is
  // denied.
  AccessList(std::span<const Prefix> allow, std::span<const Prefix> deny);

  [[nodiscard]] bool allows(const Ip& ip) const;
  [[nodiscard]] std::size_t ranges() const { return v4_.size() + v6_.size(); }

  struct Number { // an address to count with
    std::uint64_t high;
    std::uint64_t low;
    constexpr auto operator<=>(const Number&) const = default;
  };

 private:
  struct Range { // from here to where the next begins
    Number first;
    bool allowed;
  };
  std::vector<Range> v4_; // none: as `otherwise_` says
  std::vector<Range> v6_;
  bool otherwise_ = true;
};

} // namespace tern::app::lb
