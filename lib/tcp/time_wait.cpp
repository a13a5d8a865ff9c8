#include "tcp/time_wait.hpp"

#include "tcp/reply.hpp"

namespace tern::tcp {

namespace {

namespace flag = wire::tcp_flag;

constexpr unsigned stamp_shift = 6;
constexpr std::uint32_t stamp_mask = 0x7fff;

[[nodiscard]] std::uint16_t stamp(std::uint32_t ms) {
  return static_cast<std::uint16_t>(ms >> stamp_shift & stamp_mask);
}

// RFC 6191 §2, whose last case ("otherwise, silently drop") is ours to answer with an ACK, as RFC 9293
// §3.10.7.4 has it.
[[nodiscard]] bool honours(const Settings& settings, const TimeWaitRecord& r, const wire::Tcp& syn) {
  const bool higher = syn.seq.after(r.rcv_nxt);
  const bool new_has = settings.timestamps && syn.options.has_timestamps();
  if (!new_has) return higher;
  if (r.timestamps == 0) return true;
  const auto newer = static_cast<std::int32_t>(syn.options.ts_val - r.ts_recent);
  return newer > 0 || (newer == 0 && higher);
}

} // namespace

TimeWaitRecord make_time_wait(const Env& env, const TimeWaitFacts& f) {
  env.count(Counter::time_wait_in);
  TimeWaitRecord r;
  r.snd_nxt = f.snd_nxt;
  r.rcv_nxt = f.rcv_nxt;
  r.ts_recent = f.ts_recent;
  r.ts_offset = f.ts_offset;
  r.window = static_cast<std::uint16_t>(f.rcv_wnd > 65535 ? 65535 : f.rcv_wnd);
  r.timestamps = f.timestamps;
  r.heard_at = stamp(f.ts_recent_at_ms) & stamp_mask;
  return r;
}

wire::Tcp time_wait_ack(const TimeWaitRecord& r, Instant now) {
  const Timestamps ts{now.ms32() + r.ts_offset, r.ts_recent};
  return ack_segment(r.snd_nxt, r.rcv_nxt, r.window, r.timestamps != 0 ? &ts : nullptr);
}

TimeWaitVerdict time_wait_arrives(const Env& env, TimeWaitRecord& r, const Segment& s, Instant now,
                                  wire::Tcp& reply) {
  const wire::Tcp& h = s.h;
  // Differs: RFC 9293 §3.10.7.4 lets a RST end TIME-WAIT; RFC 1337 shows the harm and forbids it.
  if (h.has(flag::rst)) return env.count(Counter::time_wait_rst_ignored), TimeWaitVerdict::Drop;

  if (h.has(flag::syn)) {
    if ((h.flags & (flag::ack | flag::fin)) == 0 && honours(env.settings, r, h))
      return TimeWaitVerdict::Reuse;
    env.count(Counter::time_wait_old_syn);
    reply = time_wait_ack(r, now);
    return TimeWaitVerdict::Reply;
  }
  // Differs: an empty segment outside the window would be answered; between two ends in TIME-WAIT that could
  // go on for ever, and whoever sends one has nothing that our ACK would help.
  if (s.len() == 0) return env.count(Counter::time_wait_old_segment), TimeWaitVerdict::Drop;

  const bool dated = r.timestamps != 0 && h.options.has_timestamps();
  const bool old = dated && static_cast<std::int32_t>(h.options.ts_val - r.ts_recent) < 0;
  const bool fin_again = h.has(flag::fin) && s.end() == r.rcv_nxt && !old;
  if (fin_again && dated) { // RFC 7323 §4.3
    r.ts_recent = h.options.ts_val;
    r.heard_at = stamp(now.ms32()) & stamp_mask;
  }
  reply = time_wait_ack(r, now);
  if (!fin_again) return env.count(Counter::time_wait_old_segment), TimeWaitVerdict::Reply;
  // Differs: by its number the FIN lies left of the window and the RFC's chain would stop at its first step,
  // before the eighth restarts 2MSL. What the eighth step says is what is meant.
  env.count(Counter::time_wait_fin_again);
  return TimeWaitVerdict::Restart;
}

bool may_reuse_for_active_open(const TimeWaitRecord& r, Instant now) {
  if (r.timestamps == 0) return false;
  const std::uint32_t age = (stamp(now.ms32()) - std::uint32_t{r.heard_at}) & stamp_mask;
  return age >= 17; // stamps are rounded down: 17 apart are more than 16 × 64 ms = 1,024 ms
}

} // namespace tern::tcp
