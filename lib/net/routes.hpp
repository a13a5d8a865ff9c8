// Where to, next. A small immutable array, longest prefix first, swapped whole: routes on an end host are
// few, and a linear look at a few lines in cache costs less than a trie.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "base/ip.hpp"
#include "net/interface.hpp"

namespace tern::net {

struct Route {
  Prefix to; // 0.0.0.0/0 or ::/0 is the default
  Ip gateway;
};

class Routes {
 public:
  Routes() = default;
  explicit Routes(std::vector<Route> routes) : routes_(std::move(routes)) {
    std::stable_sort(routes_.begin(), routes_.end(),
                     [](const Route& a, const Route& b) { return a.to.length() > b.to.length(); });
    for (std::uint32_t i = 0; i < routes_.size(); ++i)
      if (routes_[i].to.base().is_v4()) blocks4_.push_back({Block4{routes_[i].to}, i});
  }
  // The neighbour that takes it: the destination itself on our own link, a gateway otherwise, none without a
  // route.
  [[nodiscard]] std::optional<Ip> next_hop(const Interface& i, const Ip& to) const {
    if (i.on_link(to)) return to;
    const std::uint32_t n = to.is_v4() ? number(to.v4()) : number(to);
    return n == none ? std::nullopt : std::optional(routes_[n].gateway);
  }

  // The route to what is not on our link, by its number; `none` without one.
  static constexpr std::uint32_t none = ~0U;
  [[nodiscard]] std::uint32_t number(Ip4 to) const {
    for (const auto& [block, n] : blocks4_)
      if (block.contains(to)) return n;
    return none;
  }
  [[nodiscard]] std::uint32_t number(const Ip& to) const {
    for (std::uint32_t n = 0; n < routes_.size(); ++n)
      if (routes_[n].to.contains(to)) return n;
    return none;
  }
  [[nodiscard]] std::size_t size() const { return routes_.size(); }

 private:
  struct Numbered4 {
    Block4 block;
    std::uint32_t number;
  };
  std::vector<Route> routes_;
  std::vector<Numbered4> blocks4_; // those of IPv4, in the same order
};

} // namespace tern::net
