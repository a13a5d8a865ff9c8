// Segments that leave together, packed into one for a port that cuts them again (TSO). The engine knows nothing
// of it: to its scoreboard, its windows and its clocks they stay the segments they are, and each may be lost by
// itself.
//
//   output() ─▶ [hdr 1448][hdr 1448][hdr 1448][hdr 100] ─▶ pack() ─▶ [hdr 1448|1448|1448|100] ─▶ port ─▶ four frames
#pragma once

#include <cstddef>
#include <cstdint>

#include "tcp/segment.hpp"

namespace tern::tcp {

// What a port takes. Pieces are mbufs.
struct Packing {
  std::uint32_t most_bytes = 0;            // TCP header and text; 0: the port cuts nothing
  std::uint16_t most_segment = UINT16_MAX; // the same of one of the segments it is cut into
  std::uint16_t most_pieces = UINT16_MAX;
  std::uint16_t segment_pieces = UINT16_MAX; // that hold the text of one of the segments
};

struct Packed {
  std::uint32_t packs = 0;
  std::uint32_t segments = 0; // in them
};

// Packs what of `burst` follows upon one another and differs in nothing but its numbers; what does not stays as it
// is. Marks what it packed: RTE_MBUF_F_TX_TCP_SEG and tso_segsz.
Packed pack(TxBurst& burst, const Packing& may);

} // namespace tern::tcp
