// What a chooser knows of a backend. Slots number the backends of the whole process: a slot is kept by
// whatever reload, until the last connection on it has ended, so a session remembers its backend by two
// bytes.
#pragma once

#include <cstdint>

namespace tern::app::lb {

using Slot = std::uint16_t;
inline constexpr Slot no_slot = 0xffff;

struct Member {
  std::uint64_t id = 0;     // of its name: the same on every node
  std::uint32_t weight = 1; // 0: takes no new connection
  Slot slot = no_slot;
  constexpr bool operator==(const Member&) const = default;
};

} // namespace tern::app::lb
