// The window that we offer: how large it may be, and what a segment says of it.
//
//      snd.una of the peer         rcv.nxt                                rcv.adv
//   ─────────|─────────────────────────|─────────────────────────────────────|──────────────
//            | held: read by nobody yet|  what the peer may send             |
//            |<──────────────────────── rcv_limit ──────────────────────────>|
#include "tcp/internal.hpp"
#include "tcp/recovery/rtt.hpp"

namespace tern::tcp::detail {

std::uint32_t most_window(const Env& env, const Tcb& t) {
  return std::min(env.settings.receive_buffer_max, widest_unscaled << t.rcv_scale);
}

namespace {
bool plenty(const Env& env) {
  return env.packets.free() > env.packets.raw()->size / 4;
}
} // namespace

// The buffer must hold what arrives while an ACK travels to the peer and its answer back. So when the user
// read so much in a round trip that the next one, twice as large in slow start, would not fit, the buffer
// doubles, up to the setting: a fast reader on a long path gets its window, a slow one keeps the small one it
// needs (Fisk and Feng 2001, as Linux does). Never while packets are scarce: what is promised here must be
// held.
void tune_receive_window(const Env& env, Tcb& t, Instant now) {
  const std::uint32_t most = most_window(env, t);
  if (t.rcv_limit >= most) return;
  constexpr unsigned grain_us = 64;
  const auto read = static_cast<std::uint16_t>((t.rcv_nxt - t.rcv_held).raw() >> 10);
  const auto at = static_cast<std::uint16_t>(now.us32() / grain_us | 1);
  if (t.tune_at != 0) {
    // Who only receives measured the handshake. Without even that: a wide path, and a guess that errs by
    // little.
    constexpr std::uint32_t unmeasured_us = 100'000;
    const std::uint32_t rtt = rtt::measured(t) ? std::max(rtt::smoothed_us(t), grain_us) : unmeasured_us;
    const std::uint32_t age = static_cast<std::uint16_t>(at - t.tune_at) * grain_us;
    if (age < rtt) return;
    const std::uint64_t taken = static_cast<std::uint16_t>(read - t.tune_from) * std::uint64_t{1024};
    const std::uint64_t wanted = 2 * (taken * rtt / age) + 16U * t.rcv_mss;
    if (wanted > t.rcv_limit && plenty(env))
      t.rcv_limit = static_cast<std::uint32_t>(std::min<std::uint64_t>({wanted, most, 2ULL * t.rcv_limit}));
  }
  t.tune_from = read;
  t.tune_at = at;
}

} // namespace tern::tcp::detail

namespace tern::tcp {

// Its scale, too, is what so small a window needs: one that counts in larger units could not say it.
void begin_window(const Env& env, Tcb& t, std::uint32_t bytes) {
  const bool told_already = t.state != State::SynSent || !t.has(flag_syn_due) || t.rtx_at_ms != 0;
  if (told_already || bytes >= env.settings.receive_buffer) return;
  Settings told = env.settings;
  told.receive_buffer = told.receive_buffer_max = bytes;
  t.rcv_limit = told.receive_buffer;
  t.rcv_scale = own_scale(told) & 15;
}

// What a proxy lends is read at the far end's pace: a reader 100 ms away behind a backend that is next door
// reads little in the backend's round trip, and the tuning above would never see that it wants more.
void widen_window(const Env& env, Tcb& t) {
  const std::uint32_t most = detail::most_window(env, t);
  if (t.rcv_limit >= most || t.rcv_held < t.rcv_limit / 4 * 3 || !detail::plenty(env)) return;
  t.rcv_limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(2ULL * t.rcv_limit, most));
}

} // namespace tern::tcp
