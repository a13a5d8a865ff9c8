// What becomes of connections to each target, and what a person should know of it: which was never reached, and why.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "app/client/http_reader.hpp"
#include "app/client/load.hpp"
#include "net/network.hpp"

namespace tern::app {

// Of one client, whose connections are known by their index. Of a single target it keeps nothing a connection.
class Fates {
 public:
  Fates(const LoadPlan& plan, LoadStats& stats, std::uint32_t records)
      : all_(stats.targets),
        whose_(plan.targets.size() > 1 ? std::make_unique<std::uint16_t[]>(records) : nullptr) {
    for (const Endpoint& t : plan.targets) all_.push_back({.target = t});
  }

  void begins(std::uint32_t connection, std::uint16_t target) {
    if (whose_) whose_[connection] = target;
  }
  [[nodiscard]] std::size_t target(std::uint32_t connection) const { return whose_ ? whose_[connection] : 0; }
  void stands(std::uint32_t connection) {
    if (whose_) all_[whose_[connection]].stood = true;
  }
  void failed(std::uint32_t connection, Load why) {
    if (why == Load::connect_timeout) ++all_[target(connection)].unanswered;
    if (why == Load::refused) ++all_[target(connection)].refused;
    if (why == Load::unreachable) ++all_[target(connection)].unreachable;
  }
  void end(const HttpReader& http, net::Network& network);

 private:
  std::vector<TargetFate>& all_;
  std::unique_ptr<std::uint16_t[]> whose_; // null: there is but one
};

// Of endpoints, so many its connections can have: `owners` and `core` as Client has them.
[[nodiscard]] double pairs_of(const LoadPlan& plan, std::span<const std::uint16_t> owners,
                              std::uint16_t core);

// `fates`: of each client, those of its targets. A line each for the first few.
[[nodiscard]] std::vector<std::string> notes_of(std::span<const std::span<const TargetFate>> fates);

} // namespace tern::app
