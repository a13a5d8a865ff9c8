// What a handler may have. Every member is optional and found at compile time; a handler is a plain type, one
// object a core.
//
//   void on_start(CoreHandle&)               once, on the core's thread, before its first packet: keep the
//                                            reference to open connections, to tell the time, to post to
//                                            other cores (core_handle.hpp)
//   void on_accept(Connection)               a client's handshake is done
//   void on_connected(Connection)            ours is
//   void on_data(Connection, Payload&)       text; what is left in the payload stays unread and comes again
//   void on_peer_closed(Connection)          no more text will come; without this member we close too.
//                                            It waits for text that a full send buffer or a pause keeps
//                                            unread
//   void on_writable(Connection)             after a send that took less than asked
//   void on_returned(Connection, uint32_t)   so many bytes that Connection::forward took were acknowledged
//   void on_closed(Connection, CloseReason)  the end, told once to every connection that was opened; the
//   handle's last
//                                            moment. A connection in TIME-WAIT is closed for its handler
//                                            Text that is unread then comes once more just before it, even
//                                            while reading is paused
//   bool on_end_unread(Connection)           the connection ended well, and text of it is left unread: true
//                                            keeps both until the handler has read it (resume_reading,
//                                            forward_unread) or parts from it; on_closed follows. How long
//                                            that may take is for the handler to bound. Without this member
//                                            such text is dropped, and counted
//   void on_tick(Instant)                    once a poll that moved the millisecond clock
//   Duration tick_every()                    how seldom on_tick may come while the core is at rest; without
//                                            this member 1 ms, without on_tick for as long as nothing is due
//   void on_drain()                          the node is told to stop: open nothing new, end what you hold
//
// Four ways to part:
//
//   close()    ends our direction after what is queued. The other direction goes on for as long as the peer
//              likes: the handler still reads, and it alone knows how long to wait (keepalive finds a dead
//              peer).
//   drain()    closes, and the handler is done: what still comes is thrown away unseen, so that the peer can
//   take
//              the last of what was sent before it learns anything else. What a server does after its last
//              response.
//   release()  closes, and the handler is done: unread text, or text that still comes, is answered by RST,
//   since
//              it is lost (RFC 1122 §4.2.2.13). What closing a socket does elsewhere.
//   abort()    RST now; what is queued is dropped.
//
// After drain() and release() nothing but on_returned and on_closed is called, and nobody waits for the peer
// without bound: `fin_wait_2` after it acknowledged our FIN without sending its own, `orphan_retries` tries
// when it takes nothing, a window held shut included. So it is too once both sides have closed, and after
// close() by a handler without on_data: that one drains.
//
// After on_peer_closed it is the handler's turn: nothing that the peer does can end the connection well. One
// that is forgotten there, neither sending nor reading for `close_wait` (2 h) to twice that, is reset and
// counted (`timeout_close_wait`); a handler that still sends has all the time it likes.
#pragma once

#include <concepts>
#include <optional>

#include "base/time.hpp"
#include "runtime/connection.hpp"

namespace tern {
class CoreHandle;
}

namespace tern::handler {

// Whether anybody wants what comes after close().
template <class H>
concept Reads = requires(H& h, Connection c, Payload& p) {
  h.on_data(c, p);
};

template <class H>
void started(H& h, CoreHandle& core) {
  if constexpr (requires { h.on_start(core); }) h.on_start(core);
}
template <class H>
void accepted(H& h, Connection c) {
  if constexpr (requires { h.on_accept(c); }) h.on_accept(c);
}
template <class H>
void connected(H& h, Connection c) {
  if constexpr (requires { h.on_connected(c); }) h.on_connected(c);
}
template <class H>
void data(H& h, Connection c, Payload& p) {
  if constexpr (Reads<H>)
    h.on_data(c, p);
  else
    p.drop_all();
}
template <class H>
void peer_closed(H& h, Connection c) {
  if constexpr (requires { h.on_peer_closed(c); })
    h.on_peer_closed(c);
  else
    c.close();
}
template <class H>
void writable(H& h, Connection c) {
  if constexpr (requires { h.on_writable(c); }) h.on_writable(c);
}
template <class H>
void returned(H& h, Connection c, std::uint32_t bytes) {
  if constexpr (requires { h.on_returned(c, bytes); }) h.on_returned(c, bytes);
}
template <class H>
void closed(H& h, Connection c, CloseReason r) {
  if constexpr (requires { h.on_closed(c, r); }) h.on_closed(c, r);
}
template <class H>
[[nodiscard]] bool keeps_unread(H& h, Connection c) {
  if constexpr (requires { h.on_end_unread(c); })
    return h.on_end_unread(c);
  else
    return false;
}
template <class H>
void draining(H& h) {
  if constexpr (requires { h.on_drain(); }) h.on_drain();
}
template <class H>
void tick(H& h, Instant now) {
  if constexpr (requires { h.on_tick(now); }) h.on_tick(now);
}
template <class H>
[[nodiscard]] std::optional<Duration> tick_every(H& h) {
  if constexpr (requires { h.tick_every(); })
    return h.tick_every();
  else if constexpr (requires { h.on_tick(Instant{}); })
    return Duration::ms(1);
  else
    return std::nullopt;
}

} // namespace tern::handler
