// Reads the response of a server of our own kind (--payload tcp): so many bytes, known one by one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "app/client/load.hpp"
#include "app/client/visit.hpp"
#include "runtime/connection.hpp"

namespace tern::app {

// True when it is whole.
[[nodiscard]] inline bool read_plain(const LoadPlan& plan, Visit& v, Payload& p) {
  while (!p.empty()) {
    const auto piece = p.front();
    const std::size_t end = v.got + piece.size();
    if (end > plan.response.size())
      v.set(Visit::bad);
    else if (plan.verify && std::memcmp(piece.data(), plan.response.data() + v.got, piece.size()) != 0)
      v.set(Visit::bad);
    v.got = static_cast<std::uint32_t>(std::min(end, plan.response.size()));
    p.drop(static_cast<std::uint32_t>(piece.size()));
  }
  return v.got == plan.response.size();
}

} // namespace tern::app
