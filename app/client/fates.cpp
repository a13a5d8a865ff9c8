#include "app/client/fates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace tern::app {
namespace {

// All clients' together, in the order in which the targets were named.
std::vector<TargetFate> merged(std::span<const std::span<const TargetFate>> fates) {
  std::vector<TargetFate> all;
  std::map<std::string, std::size_t> places;
  for (const auto& of_client : fates)
    for (const TargetFate& f : of_client) {
      const auto [place, fresh] = places.emplace(f.target.to_string(), all.size());
      if (fresh) {
        all.push_back(f);
        continue;
      }
      TargetFate& sum = all[place->second];
      sum.stood |= f.stood;
      sum.unanswered += f.unanswered;
      sum.refused += f.refused;
      sum.unreachable += f.unreachable;
      sum.obstacle = std::max(sum.obstacle, f.obstacle);
      sum.differed += f.differed;
    }
  return all;
}

std::string cause(const TargetFate& f) {
  if (f.refused != 0) return "they were refused: nothing listens there, or a firewall says no";
  if (f.unreachable != 0) return "a router on the way, or the host, says by ICMP that it is unreachable";
  if (f.obstacle == Obstacle::no_route) return "it is on no network of --ip; name a --gateway";
  if (f.obstacle == Obstacle::no_neighbour)
    return "nobody answers ARP or neighbour discovery on the way to it";
  return "it does not answer";
}

// The first few lines, and how many more there would be.
void shorten(std::vector<std::string>& lines, const char* more) {
  constexpr std::size_t most = 3;
  if (lines.size() <= most) return;
  const std::size_t others = lines.size() - most;
  lines.resize(most);
  lines.push_back(fmt::format("so it is with {} more {}", others, more));
}

// A neighbour that is not known was given up, unless it had to make room.
Obstacle obstacle_to(const Ip& target, net::Network& network) {
  const auto next = network.routes().next_hop(network.self(), target);
  if (!next) return Obstacle::no_route;
  const net::Neighbour* const n = network.neighbours().find(*next);
  const bool known = n == nullptr ? network.counters().get(net::NetCounter::neighbours_evicted) != 0
                                  : n->state != net::NeighbourState::incomplete;
  return known ? Obstacle::none : Obstacle::no_neighbour;
}

} // namespace

void Fates::end(const HttpReader& http, net::Network& network) {
  for (std::size_t i = 0; i < all_.size(); ++i) {
    TargetFate& f = all_[i];
    f.differed = http.differed(i);
    if (!f.stood && f.unanswered != 0) f.obstacle = obstacle_to(f.target.ip, network);
  }
}

// A core has those ports whose replies come to it: of all that its port has, its part of the table.
double pairs_of(const LoadPlan& plan, std::span<const std::uint16_t> owners, std::uint16_t core) {
  if (plan.rests || owners.empty()) return 0;
  const double part =
      static_cast<double>(std::ranges::count(owners, core)) / static_cast<double>(owners.size());
  const double ports = plan.ports.last - plan.ports.first + 1;
  return part * plan.sources.count() * ports * static_cast<double>(plan.targets.size());
}

std::vector<std::string> notes_of(std::span<const std::span<const TargetFate>> fates) {
  const std::vector<TargetFate> all = merged(fates);
  std::vector<std::string> dead;
  if (std::any_of(all.begin(), all.end(), [](const TargetFate& f) { return f.stood; }))
    for (const TargetFate& f : all)
      if (const std::uint64_t n = f.unanswered + f.refused + f.unreachable; !f.stood && n != 0)
        dead.push_back(fmt::format("{}: no connection was established, {} failed: {}", f.target.to_string(),
                                   n, cause(f)));
  std::vector<std::string> unlike;
  for (const TargetFate& f : all)
    if (f.differed != 0)
      unlike.push_back(
          fmt::format("{} responses were not what the first response of {} was, and were compared with it",
                      f.differed, f.target.to_string()));
  shorten(dead, "targets");
  shorten(unlike, "targets");
  dead.insert(dead.end(), unlike.begin(), unlike.end());
  return dead;
}

} // namespace tern::app
