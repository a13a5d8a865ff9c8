// Black holes: a path that swallows full segments and tells nobody, since the ICMP that would say so is
// filtered (RFC 2923 §2.1). Probing downwards as RFC 4821 §7.7 has it:
//
//   whole ──3 time-outs in a row──▶ suspected: 1160, and after 2 more 536 ──something gets through──▶ whole
//   again, once whole again ──3 time-outs in a row──▶ believed: the size that got through stays
//
// Over IPv6 there is one size to look for, 1220: whatever carries it carries that.
//
// The second look is what tells a hole from a link that was down for a while: after that, every size gets
// through.
#include "tcp/internal.hpp"

namespace tern::tcp::detail {
namespace {

constexpr std::uint16_t safe_mss = 1200 - 40; // what tunnels leave

// What everything carries: RFC 1191 §3, RFC 8200 §5.
std::uint16_t surest_mss(const Tcb& t) {
  return t.has(flag_ipv6) ? 1280 - 60 : 576 - 40;
}

} // namespace

void suspect_black_hole(const Env& env, Tcb& t) {
  constexpr std::uint8_t patience = 3; // time-outs, as Linux's tcp_retries1
  if (t.rtx_count < patience || !synchronized(t.state)) return;
  const std::uint16_t surest = surest_mss(t);
  const std::uint16_t next = t.rtx_count < patience + 2 ? std::max(safe_mss, surest) : surest;
  // Smaller segments would be no news for text that fits them.
  if (t.path_mss <= next || t.outstanding() <= next) return;
  if (t.hole == BlackHole::None || t.hole == BlackHole::Doubted) {
    t.hole = t.hole == BlackHole::None ? BlackHole::Suspected : BlackHole::Believed;
    t.whole_mss = t.path_mss;
  }
  t.path_mss = next;
  derive_mss(t);
  t.cwnd = std::min<std::uint32_t>(t.cwnd, t.mss); // after a time-out: one segment, of the new size
  env.count(Counter::pmtu_black_hole);
}

void doubt_black_hole(Tcb& t) {
  if (t.hole != BlackHole::Suspected) return;
  t.hole = BlackHole::Doubted;
  t.path_mss = t.whole_mss;
  derive_mss(t);
  t.cwnd = std::max<std::uint32_t>(t.cwnd, t.mss);
}

} // namespace tern::tcp::detail
