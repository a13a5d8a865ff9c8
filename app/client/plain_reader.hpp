// Reads the response of a server of our own kind (--payload tcp): so many bytes, known one by one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "app/client/load.hpp"
#include "app/client/visit.hpp"
#include "runtime/connection.hpp"

namespace tern::app {

// True when it is whole.
[[nodiscard]] inline bool read_plain(const LoadPlan& plan, LoadStats& stats, Visit& v, Payload& p) {
  while (!p.empty()) {
    const auto piece = p.front();
    const std::size_t end = v.got + piece.size();
    if (end > plan.response.size() ||
        (plan.verify && std::memcmp(piece.data(), plan.response.data() + v.got, piece.size()) != 0)) {
      constexpr std::string_view http = "HTTP/1.";
      if (v.got == 0 && piece.size() >= http.size() &&
          std::memcmp(piece.data(), http.data(), http.size()) == 0)
        stats.load.add(Load::http_text);
      v.set(Visit::bad);
    }
    v.got = static_cast<std::uint32_t>(std::min(end, plan.response.size()));
    p.drop(static_cast<std::uint32_t>(piece.size()));
  }
  return v.got == plan.response.size();
}

} // namespace tern::app
