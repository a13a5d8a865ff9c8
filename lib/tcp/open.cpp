// How a connection begins: options offered and agreed, the first windows.
#include "tcp/internal.hpp"
#include "tcp/open_inl.hpp"

namespace tern::tcp {

using namespace detail;

namespace detail {

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
  begin_answered(env, t, hs, mtu_mss, now);
  t.state = State::SynReceived;
}

} // namespace tern::tcp
