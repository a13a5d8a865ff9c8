// What `tern ctl show …` shows.
#pragma once

#include <span>
#include <string_view>

#include "app/socket/answer.hpp"

namespace tern::app::lb {

class Director;
using Words = std::span<const std::string_view>;

[[nodiscard]] Answer show_services(Director&, Words);
[[nodiscard]] Answer show_backends(Director&, Words);
[[nodiscard]] Answer show_connections(Director&, Words);
[[nodiscard]] Answer show_sockets(Director&, Words);
[[nodiscard]] Answer show_cores(Director&, Words);
[[nodiscard]] Answer show_ports(Director&, Words);
[[nodiscard]] Answer show_memory(Director&, Words);
[[nodiscard]] Answer show_cookies(Director&, Words);

inline constexpr const char* no_answer = "a core does not answer; is it stuck? tern ctl show cores names it";

} // namespace tern::app::lb
