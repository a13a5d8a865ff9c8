// LISTEN and CLOSED: what becomes of a segment that belongs to no connection.
#pragma once

#include <cstdint>

#include "base/time.hpp"
#include "base/token_bucket.hpp"
#include "tcp/cookie.hpp"
#include "tcp/env.hpp"
#include "tcp/handshake.hpp"
#include "tcp/isn.hpp"
#include "tcp/segment.hpp"
#include "tcp/syn_received.hpp"

namespace tern::tcp {

enum class CookieMode : std::uint8_t {
  Auto,   // a record, until the backlog is full, records run out or SYNs come too fast: then a cookie
  Always, // no records
  Never,  // past the limits, SYNs are dropped
};

// What a listener has left, as its owner knows it.
struct ListenRoom {
  std::uint16_t mtu_mss = 1460; // what the interface's MTU leaves for text without options
  bool record = true;           // backlog and slab allow one more SYN-RECEIVED record
  bool accept = true;           // the listener may have one more connection
};

// One a core: keys and rates that its listeners share.
struct SynGate {
  IsnSource isn;
  CookieJar jar;
  TokenBucket syn_rate;   // new records
  TokenBucket reset_rate; // RSTs in answer to what belongs to no connection
  bool shared_keys =
      false; // other machines may have sent the cookie: ours is not the only word on whether any is out
  bool cookies_out = false;
  std::uint32_t last_cookie_epoch = 0;

  SynGate(const Secrets& secrets, std::uint32_t epoch) : isn(secrets.isn), jar(secrets.cookie, epoch) {}

  // Whether a client may hold a cookie of ours: none that we sent is good for more than the present and the next epoch,
  // nor, where the clock was set back, for more than the one before.
  [[nodiscard]] bool cookies_held() const { return cookies_out && jar.epoch() - last_cookie_epoch + 1 <= 2; }
  // Whether an ACK may be a cookie's: ours, or, where keys are shared, at any time another machine's. Else a forged ACK
  // would cost a hash at any time, and pass one time in three million.
  [[nodiscard]] bool cookies_live(CookieMode mode) const {
    return mode != CookieMode::Never && (shared_keys || cookies_held());
  }
};

enum class ListenVerdict : std::uint8_t {
  Drop,
  Reply,    // send `reply` (RST, or SYN-ACK with a cookie); nothing else to do
  Record,   // keep `record`, arm first_syn_ack_timeout(), send its SYN-ACK
  Complete, // a cookie came back: `handshake` to open_passive(), this segment to segment_arrives()
};
// Each field means something only under the verdict that names it, so one object serves a whole burst.
struct ListenOutcome {
  wire::Tcp reply;
  SynRecord record;
  Handshake handshake;
};

// RFC 9293 §3.10.7.2. Every limit, and what happens there:
//
//   listener has no room to accept   SYN dropped, cookie's ACK dropped (not reset: the peer tries again)
//   backlog full, no record left,    auto: cookie; never: SYN dropped; always: asks for no record
//   or SYNs faster than syn_rate
//   RSTs faster than reset_rate      dropped
template <std::size_t N>
[[nodiscard]] ListenVerdict listen_arrives(const Env&, SynGate&, CookieMode, const ListenRoom&,
                                           const TupleWords<N>&, const Segment&, Instant now, ListenOutcome&);

// Who is in SYN-RECEIVED may answer another SYN-ACK than his record's: a cookie that he was sent before there was room for
// the record, an epoch ago or by a machine that shares our keys. The record is then of that one. To be asked before
// syn_received_arrives().
template <std::size_t N>
void heed_cookie(const Env&, const SynGate&, CookieMode, const TupleWords<N>&, const Segment&, Instant now,
                 SynRecord&);

// The SYN that TIME-WAIT let pass (TimeWaitVerdict::Reuse): a record with TIME-WAIT's next ISN, or dropped.
// Never a cookie, whose ISN may lie behind the old connection's.
template <std::size_t N>
[[nodiscard]] ListenVerdict listen_reuses(const Env&, SynGate&, const ListenRoom&, const TupleWords<N>&,
                                          Seq iss, const Segment&, Instant now, ListenOutcome&);

// RFC 9293 §3.10.7.1: nobody listens. Drop or Reply.
[[nodiscard]] ListenVerdict closed_arrives(const Env&, SynGate&, const Segment&, Instant now,
                                           wire::Tcp& reply);

} // namespace tern::tcp
