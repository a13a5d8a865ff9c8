// Where this core stands among its ports towards each backend. One place an address, whoever asks: services that
// share a backend, its health checks, a slot that a reload gave to it anew. Two that each began at the same port would
// find port after port taken by the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "app/lb/choose/chooser.hpp"
#include "app/lb/path/plan.hpp"
#include "runtime/core_handle.hpp"

namespace tern::app::lb {

struct HashEndpoint {
  std::size_t operator()(const Endpoint& e) const {
    return static_cast<std::size_t>(hash_for(Balance::maglev, {1, 2}, e));
  }
};

class Dials {
 public:
  // The slot leads there.
  void point(Slot slot, const Endpoint& to);
  // Like CoreHandle::connect, but patient: a run of ports that connections have held for long is passed at once.
  [[nodiscard]] Connecting connect(CoreHandle& core, Slot slot, std::uint64_t word);

 private:
  static constexpr std::uint32_t nowhere = 0xffff'ffff;
  static constexpr unsigned draws = 16; // of 16 candidates each

  void forget_unused();

  std::vector<std::uint32_t> of_; // by slot: its place in all_
  std::vector<Dial> all_;
  std::unordered_map<Endpoint, std::uint32_t, HashEndpoint> by_address_;
};

} // namespace tern::app::lb
