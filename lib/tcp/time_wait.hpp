// TIME-WAIT: 20 bytes that outlive the connection for 2MSL.
//
//     our last ACK --x lost          peer: FIN again --> re-ACK, 2MSL from now
//     old duplicate text, old SYN -----------------> ACK, which tells the peer where the connection ended
//     RST -----------------------------------------> ignored (RFC 1337: it could be an old duplicate too)
//     new SYN, later timestamp or higher sequence -> Reuse: the next incarnation (RFC 6191, RFC 1122
//     §4.2.2.13)
#pragma once

#include <cstdint>

#include "base/time.hpp"
#include "tcp/engine.hpp"
#include "tcp/env.hpp"
#include "tcp/segment.hpp"

namespace tern::tcp {

// With a key of 12 bytes a record is 32 bytes, with one of 36, 56. When it expires is its owner's knowledge:
// the owner keeps records in the order of their expiry.
struct TimeWaitRecord {
  Seq snd_nxt;
  Seq rcv_nxt;
  std::uint32_t ts_recent = 0;
  std::uint32_t ts_offset = 0;
  std::uint16_t window = 0;
  std::uint16_t timestamps : 1 = 0;
  std::uint16_t heard_at : 15 = 0; // when ts_recent was taken, in 64 ms: wraps after 35 minutes

  // How a later incarnation begins: above all that this one sent, as Linux. The clock of RFC 6528 cannot
  // promise that after a fast transfer.
  [[nodiscard]] Seq next_iss() const { return snd_nxt + 65'537; }
};
static_assert(sizeof(TimeWaitRecord) == 20 && alignof(TimeWaitRecord) == 4);
static_assert(12 + sizeof(TimeWaitRecord) == 32 && 36 + sizeof(TimeWaitRecord) == 56);

// 2MSL may be at most this, or ages could not be told apart.
inline constexpr Duration time_wait_most = Duration::seconds(1800);

[[nodiscard]] TimeWaitRecord make_time_wait(const Env&, const TimeWaitFacts&);
[[nodiscard]] wire::Tcp time_wait_ack(const TimeWaitRecord&, Instant now);

enum class TimeWaitVerdict : std::uint8_t {
  Drop,
  Reply,   // send `reply`
  Restart, // send `reply`, and 2MSL begins anew
  Reuse, // a new incarnation: listen_reuses() with next_iss(). If nobody listens, send time_wait_ack(). It is reused,
  // and counted by the record's owner, once that handshake is done
};
[[nodiscard]] TimeWaitVerdict time_wait_arrives(const Env&, TimeWaitRecord&, const Segment&, Instant now,
                                                wire::Tcp& reply);

// Whether an active open may take this tuple now, with next_iss(): only if PAWS will shed the old
// incarnation's segments, which needs timestamps and a clock that has moved on by a second (Linux's
// tcp_tw_reuse).
[[nodiscard]] bool may_reuse_for_active_open(const TimeWaitRecord&, Instant now);

} // namespace tern::tcp
