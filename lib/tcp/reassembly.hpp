// Text that came out of order: ranges in sequence order, each one chain of packets. First bytes win: what is
// held is never overwritten by a later, contradicting copy.
#pragma once

#include <algorithm>
#include <cstdint>

#include "packet/chain.hpp"
#include "tcp/env.hpp"
#include "tcp/tcb.hpp"

namespace tern::tcp {

struct ReassemblyRange {
  Seq left;
  Seq right;
  PacketChain text;
  ReassemblyRange* next = nullptr;
  std::uint32_t pinned = 0; // truesize of what `text` came in
};

// Side record of a connection that has a hole in what it received.
class Reassembly {
 public:
  static constexpr std::uint16_t most_ranges =
      256; // a connection's share; more holes than that are dropped, counted
  static constexpr std::size_t reported = 4;
  // And what all ranges may pin: single bytes in whole buffers are charged for the buffers. Full segments
  // take less than twice their text.
  [[nodiscard]] static std::uint32_t most_pinned(const Tcb& t) {
    return std::max(2 * t.rcv_limit, 32U * 1024);
  }

  ReassemblyRange* head = nullptr;
  ReassemblyRange* tail = nullptr;
  std::uint32_t pinned = 0; // of all ranges
  std::uint16_t ranges = 0;
  bool fin = false; // the peer's FIN lies at fin_seq
  Seq fin_seq;
  // Most recently touched first: what SACK reports (RFC 2018 §4).
  ReassemblyRange* recent[reported] = {};
};

namespace reassembly {

// Keeps the part of the segment's text that is new: [seq, seq + text). What does not fit is dropped, counted;
// D-SACK's range is noted in the Tcb when all of it was there already. `fin`: the peer's FIN comes behind it.
void insert(const Env&, Tcb&, Seq seq, std::uint32_t text, Packet* payload, bool fin);
// The same of text at rcv.nxt, where something is held: the FIN behind it is noted, unless its place was taken before;
// how much of the text lies before the FIN is returned.
[[nodiscard]] std::uint32_t before_fin(const Env&, Tcb&, Seq seq, std::uint32_t text, bool fin);
// Moves to `to` what now follows rcv.nxt; returns how many bytes, and gives the record back when it is empty.
// `fin` is set when the peer's FIN comes right after.
[[nodiscard]] std::uint32_t take_ready(const Env&, Tcb&, PacketChain& to, bool& fin);
// SACK blocks to send, most recent first; how many were written.
[[nodiscard]] std::uint8_t blocks(const Tcb&, wire::SackBlock* out, std::uint8_t most);
void release(const Env&, Tcb&);

} // namespace reassembly
} // namespace tern::tcp
