#include "tcp/syn_received.hpp"

#include <algorithm>

#include "tcp/reply.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::tcp {

namespace {

namespace flag = wire::tcp_flag;

[[nodiscard]] bool ts_older(const SynRecord& r, const wire::Tcp& h) {
  return r.timestamps != 0 && h.options.has_timestamps() &&
         static_cast<std::int32_t>(h.options.ts_val - r.ts_recent) < 0;
}

// RFC 9293 §3.10.7.4's four cases, for a window that is never zero unless the settings say so.
[[nodiscard]] bool acceptable(Seq rcv_nxt, std::uint32_t wnd, const Segment& s) {
  const std::uint32_t len = s.len();
  if (len == 0) return wnd == 0 ? s.h.seq == rcv_nxt : s.h.seq.in_window(rcv_nxt, wnd);
  return wnd != 0 && (s.h.seq.in_window(rcv_nxt, wnd) || (s.end() - 1).in_window(rcv_nxt, wnd));
}

// Each record may answer ten times a second what it did not expect: per record, for a shared budget would be
// a side channel (CVE-2016-5696).
[[nodiscard]] bool may_answer(const Env& env, SynRecord& r, Instant now) {
  constexpr unsigned most = 10;
  const auto second = static_cast<std::uint8_t>(now.since_origin_ns() / 1'000'000'000);
  if (second != r.challenge_second) {
    r.challenge_second = second;
    r.challenges = 0;
  }
  if (r.challenges >= most) {
    env.count(Counter::challenge_ack_limited);
    return false;
  }
  r.challenges = (r.challenges + 1U) & 127;
  return true;
}

SynVerdict challenge(const Env& env, SynRecord& r, Instant now, wire::Tcp& reply) {
  if (!may_answer(env, r, now)) return SynVerdict::Drop;
  env.count(Counter::challenge_ack);
  const Timestamps ts{now.ms32() + r.ts_offset, r.ts_recent};
  reply = ack_segment(r.iss + 1, r.irs + 1, first_window(env.settings), r.timestamps != 0 ? &ts : nullptr);
  return SynVerdict::Reply;
}

// A client whose SYN goes unanswered may try again with fewer options (BSD), or without ECN (RFC 3168 §6.1.1.1). What it
// left out once stays out: its first SYN may still come, and a SYN-ACK that agreed to it may have left. As to ECN neither
// side may then mark (RFC 3168 §6.1.1, third rule). Whoever forges this knows the client's ISN.
void agree_on_less(const Settings& settings, SynRecord& r, const wire::Tcp& syn) {
  const SynOptions a = agree(settings, syn, r.peer_mss);
  r.scaled &= a.scaled;
  if (r.scaled == 0) r.snd_scale = 0;
  r.sack &= a.sack;
  r.timestamps &= a.timestamps;
  r.ecn &= a.ecn;
}

// The peer's own SYN again: our SYN-ACK was lost, or is late. The timer goes on as it was.
SynVerdict same_syn_again(const Env& env, SynRecord& r, const Segment& s, std::uint16_t mtu_mss, Instant now,
                          wire::Tcp& reply) {
  env.count(Counter::syn_duplicate);
  if (!may_answer(env, r, now)) return SynVerdict::Drop;
  agree_on_less(env.settings, r, s.h);
  if (r.timestamps != 0) r.ts_recent = s.h.options.ts_val; // RFC 7323 §4.3
  r.resent = 1;
  env.count(Counter::retransmit_syn_ack);
  reply = syn_ack(env.settings, r, mtu_mss, now);
  return SynVerdict::Reply;
}

} // namespace

SynRecord make_syn_record(const Settings& settings, const wire::Tcp& syn, std::uint16_t unsaid_mss,
                          Origins origins, Instant now) {
  const SynOptions a = agree(settings, syn, unsaid_mss);
  SynRecord r;
  r.iss = origins.iss;
  r.irs = syn.seq;
  r.ts_recent = a.timestamps ? syn.options.ts_val : 0;
  r.ts_offset = origins.ts_offset;
  r.sent_at_us = now.us32();
  r.peer_mss = a.peer_mss;
  r.syn_window = syn.window;
  r.snd_scale = a.snd_scale & 15;
  r.scaled = a.scaled;
  r.sack = a.sack;
  r.timestamps = a.timestamps;
  r.ecn = a.ecn;
  return r;
}

wire::Tcp syn_ack(const Settings& settings, const SynRecord& r, std::uint16_t mtu_mss, Instant now) {
  return syn_ack_segment(settings, mtu_mss, r.iss, r.irs, r.agreed(),
                         {now.ms32() + r.ts_offset, r.ts_recent});
}

std::optional<Duration> syn_ack_timer_fires(const Env& env, SynRecord& r) {
  const Settings& s = env.settings;
  if (r.retries >= s.synack_retries) {
    env.count(Counter::syn_given_up);
    return std::nullopt;
  }
  ++r.retries;
  r.resent = 1;
  env.count(Counter::retransmit_syn_ack);
  // RFC 6298 §5.5. Past 20 doublings every setting is at its maximum, and the shift stays defined.
  const Duration d = s.rto_initial * (std::int64_t{1} << std::min<int>(r.retries, 20));
  return std::min(d, s.rto_max);
}

SynVerdict syn_received_arrives(const Env& env, SynRecord& r, const Segment& s, std::uint16_t mtu_mss,
                                bool accept_room, Instant now, wire::Tcp& reply) {
  const wire::Tcp& h = s.h;
  const Seq rcv_nxt = r.irs + 1;

  // First, the sequence number, and with it PAWS (RFC 7323 §5.3), from which RST is exempt. The SYN that we know lies left
  // of the window, but for its text, if it has some, which was not taken.
  const bool old = ts_older(r, h) && !h.has(flag::rst);
  const bool same_syn =
      h.seq == r.irs && (h.flags & (flag::syn | flag::ack | flag::rst | flag::fin)) == flag::syn;
  if (same_syn && !old) [[unlikely]]
    return same_syn_again(env, r, s, mtu_mss, now, reply);
  if (old || !acceptable(rcv_nxt, first_window(env.settings), s)) [[unlikely]] {
    env.count(old ? Counter::drop_paws : Counter::drop_out_of_window);
    return h.has(flag::rst) ? SynVerdict::Drop : challenge(env, r, now, reply);
  }
  // Second, the RST bit: believed only at exactly rcv.nxt (RFC 5961 §3.2).
  if (h.has(flag::rst)) [[unlikely]] {
    if (h.seq != rcv_nxt) {
      env.count(Counter::drop_rst_not_exact);
      return challenge(env, r, now, reply);
    }
    env.count(Counter::reset_in);
    return SynVerdict::Closed;
  }
  // Fourth, the SYN bit (third is security).
  // Differs: §3.10.7.4 would return to LISTEN for any SYN in the window, so that one blind guess in 65,000
  // ends a handshake. RFC 5961 §4.2's challenge has the peer prove a restart by its RST, and figure 9 still
  // plays out.
  if (h.has(flag::syn)) [[unlikely]]
    return challenge(env, r, now, reply);
  // Fifth, the ACK field: SND.UNA < SEG.ACK =< SND.NXT leaves one value.
  if (!h.has(flag::ack)) [[unlikely]]
    return env.count(Counter::drop_no_ack), SynVerdict::Drop;
  if (h.ack != r.iss + 1) [[unlikely]] {
    env.count(Counter::drop_ack_of_unsent);
    if (!may_answer(env, r, now)) return SynVerdict::Drop;
    env.count(Counter::reset_out);
    reply = reset_for(s);
    return SynVerdict::Reply;
  }
  if (!accept_room) [[unlikely]]
    return env.count(Counter::accept_queue_full), SynVerdict::Drop;
  return SynVerdict::Complete;
}

} // namespace tern::tcp
