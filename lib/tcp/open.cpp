// How a connection begins: options offered and agreed, the first windows.
#include <new>

#include "tcp/internal.hpp"
#include "tcp/recovery/rtt.hpp"

namespace tern::tcp {

using namespace detail;

namespace {

void begin(const Env& env, Tcb& t, Seq iss, std::uint16_t mtu_mss) {
  // In place: assigned, it would be made beside and copied, in words of another width than it is written in.
  ::new (static_cast<void*>(&t)) Tcb;
  t.iss = t.snd_una = iss;
  t.snd_nxt = t.snd_end = iss + 1; // the SYN occupies iss; text follows it
  t.path_mss = mtu_mss;
  t.rcv_limit = env.settings.receive_buffer;
  if (!env.settings.nagle) t.set(flag_no_delay);
}

} // namespace

namespace detail {

void derive_mss(Tcb& t) {
  // RFC 6691: the MSS option leaves options out of account, so the sender takes off what every segment
  // carries.
  const std::uint32_t most = std::min<std::uint32_t>(t.peer_mss, t.path_mss);
  const std::uint32_t options = t.has(flag_timestamps) ? timestamp_bytes : 0;
  t.mss = static_cast<std::uint16_t>(std::max<std::uint32_t>(most, least_mss) - options);
}

void fill_syn(const Env& env, const Tcb& t, wire::Tcp& h, Instant now) {
  const Settings& s = env.settings;
  const bool answering = t.state == State::SynReceived;
  h.options.has = wire::TcpOptions::mss_bit;
  h.options.mss = t.path_mss;
  if (answering ? t.has(flag_sack) : s.sack) h.options.has |= wire::TcpOptions::sack_permitted_bit;
  if (answering ? t.has(flag_timestamps) : s.timestamps) {
    h.options.has |= wire::TcpOptions::timestamps_bit;
    h.options.ts_val = now.ms32() + t.ts_offset;
    h.options.ts_ecr = answering ? t.ts_recent : 0;
  }
  if (answering ? t.has(flag_scaled) : s.window_scale) {
    h.options.has |= wire::TcpOptions::wscale_bit;
    h.options.wscale = own_scale(s);
  }
  // RFC 3168 §6.1.1: the SYN says ECE and CWR, its answer ECE alone.
  if (answering ? t.has(flag_ecn) : t.has(flag_ecn_setup))
    h.flags |= answering ? flag::ece : flag::ece | flag::cwr;
  h.window = syn_window(t);
}

void take_syn_options(const Env& env, Tcb& t, const wire::Tcp& h, Instant now) {
  const wire::TcpOptions& o = h.options;
  const Settings& s = env.settings;
  using O = wire::TcpOptions;
  t.irs = h.seq;
  t.rcv_nxt = h.seq + 1;
  t.rcv_adv = t.rcv_nxt + std::min<std::uint32_t>(t.rcv_limit, 65535);
  t.last_ack_sent = t.rcv_nxt;
  if ((o.has & O::mss_bit) != 0) t.peer_mss = std::max(o.mss, least_mss);
  if (absurd_mss(o)) env.count(Counter::mss_raised);
  if (s.window_scale && (o.has & O::wscale_bit) != 0) {
    t.set(flag_scaled);
    t.snd_scale = std::min<std::uint8_t>(o.wscale, 14) & 15; // RFC 7323 §2.3
    t.rcv_scale = own_scale(s) & 15;
  }
  if (s.sack && (o.has & O::sack_permitted_bit) != 0) t.set(flag_sack);
  if (s.timestamps && (o.has & O::timestamps_bit) != 0) {
    t.set(flag_timestamps);
    t.ts_recent = o.ts_val;
  }
  const auto ecn = h.flags & (flag::ece | flag::cwr);
  if (t.has(flag_ecn_setup) && ecn == (h.has(flag::ack) ? flag::ece : flag::ece | flag::cwr)) t.set(flag_ecn);
  t.heard_ms = now.ms32();
  derive_mss(t);
}

void start_established(const Env& env, Tcb& t, Instant now) {
  t.state = t.has(flag_fin_queued) ? State::FinWait1 : State::Established;
  // RFC 6928; after more than one lost SYN the path is taken for poor (RFC 5681 §3.1, as Linux).
  t.cwnd = (t.rtx_count > 1 ? 1U : env.settings.initial_window) * t.mss;
  if (t.rtx_count != 0) rtt::after_lost_syn(t);
  t.quick_acks = 16;
  note_progress(t);
  if (env.settings.keepalive_idle > Duration{}) t.idle_at_ms = deadline_in(env.settings.keepalive_idle, now);
}

} // namespace detail

void open_active(const Env& env, Tcb& t, Seq iss, std::uint32_t ts_offset, std::uint16_t mtu_mss,
                 Instant now) {
  begin(env, t, iss, mtu_mss);
  t.state = State::SynSent;
  t.ts_offset = ts_offset;
  t.set(flag_active | flag_syn_due);
  if (env.settings.ecn) t.set(flag_ecn_setup);
  t.heard_ms = now.ms32();
}

void open_passive(const Env& env, Tcb& t, const Handshake& hs, std::uint16_t mtu_mss, Instant now) {
  begin(env, t, hs.iss, mtu_mss);
  t.state = State::SynReceived;
  t.irs = hs.irs;
  t.rcv_nxt = t.last_ack_sent = hs.irs + 1;
  t.rcv_adv = t.rcv_nxt + std::min<std::uint32_t>(t.rcv_limit, 65535);
  t.snd_wnd = t.max_snd_wnd = hs.syn_window;
  t.snd_wl1 = hs.irs;
  t.snd_wl2 = hs.iss;
  t.peer_mss = std::max(hs.peer_mss, least_mss);
  t.snd_scale = hs.snd_scale & 15;
  t.rcv_scale = hs.rcv_scale & 15;
  if (hs.scaled) t.set(flag_scaled);
  if (hs.sack) t.set(flag_sack);
  if (hs.ecn) t.set(flag_ecn);
  if (hs.timestamps) {
    t.set(flag_timestamps);
    t.ts_recent = hs.ts_recent;
    t.ts_offset = hs.ts_offset;
  }
  t.heard_ms = now.ms32();
  derive_mss(t);
  t.rtx_count = hs.resent; // what start_established() goes by
  if (hs.timed) {
    t.set(flag_timing);
    t.timed_seq = hs.iss;
    t.timed_at_us = hs.sent_at_us;
  }
}

} // namespace tern::tcp
