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
  }
  // The neighbour that takes it: the destination itself on our own link, a gateway otherwise, none without a
  // route.
  [[nodiscard]] std::optional<Ip> next_hop(const Interface& i, const Ip& to) const {
    if (i.on_link(to)) return to;
    for (const Route& r : routes_)
      if (r.to.contains(to)) return r.gateway;
    return std::nullopt;
  }

 private:
  std::vector<Route> routes_;
};

} // namespace tern::net
