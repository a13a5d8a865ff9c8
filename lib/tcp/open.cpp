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
    h.options.wscale = t.rcv_scale;
  }
  // RFC 3168 §6.1.1: the SYN says ECE and CWR, its answer ECE alone.
  if (answering ? t.has(flag_ecn) : t.has(flag_ecn_setup))
    h.flags |= answering ? flag::ece : flag::ece | flag::cwr;
  h.window = syn_window(t);
}

} // namespace detail

void open_active(const Env& env, Tcb& t, Seq iss, std::uint32_t ts_offset, std::uint16_t mtu_mss,
                 std::uint16_t unsaid_mss, Instant now) {
  begin(env, t, iss, mtu_mss);
  t.rcv_scale = own_scale(env.settings) & 15; // what the SYN offers, until its answer says whether it holds
  t.peer_mss = unsaid_mss;
  t.state = State::SynSent;
  t.ts_offset = ts_offset;
  t.set(flag_active | flag_syn_due);
  if (env.settings.ecn) t.set(flag_ecn_setup);
  t.heard_at = now.coarse32();
}

void open_passive(const Env& env, Tcb& t, const Handshake& hs, std::uint16_t mtu_mss, Instant now) {
  begin_answered(env, t, hs, mtu_mss, now);
  t.state = State::SynReceived;
}

} // namespace tern::tcp
