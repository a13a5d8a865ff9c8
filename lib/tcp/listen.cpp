#include "tcp/listen.hpp"

#include "tcp/reply.hpp"

namespace tern::tcp {

namespace {

namespace flag = wire::tcp_flag;
using O = wire::TcpOptions;

ListenVerdict drop(const Env& env, Counter why) {
  env.count(why);
  return ListenVerdict::Drop;
}

ListenVerdict reset(const Env& env, SynGate& gate, const Segment& s, Instant now, wire::Tcp& reply) {
  if (!gate.reset_rate.take(now)) return drop(env, Counter::listen_rst_limited);
  env.count(Counter::listen_rst_out);
  reply = reset_for(s);
  return ListenVerdict::Reply;
}

// A SYN, wherever a handshake begins with it.
void count_syn(const Env& env, const Segment& s) {
  env.count(Counter::syn_in);
  count_odd_options(env, s.h.options);
  // Differs: text on a SYN may be queued until the handshake is done; we have nowhere to keep a stranger's
  // bytes. The SYN-ACK does not acknowledge them, so they come again.
  if (s.text != 0) env.count(Counter::listen_text_dropped);
  if (absurd_mss(s.h.options)) [[unlikely]]
    env.count(Counter::mss_raised);
}

template <std::size_t N>
ListenVerdict make_record(const Env& env, const Segment& s, Origins origins, Instant now,
                          ListenOutcome& out) {
  out.record = make_syn_record(env.settings, s.h, TupleWords<N>::assumed_mss, origins, now);
  return ListenVerdict::Record;
}

template <std::size_t N>
Cookie cookie_for(const SynGate& gate, const TupleWords<N>& tuple, Seq irs, const SynOptions& a) {
  const CookieFacts facts{a.peer_mss, a.snd_scale, a.scaled, a.sack, a.ecn};
  return gate.jar.make(tuple, irs, facts, a.timestamps);
}

template <std::size_t N>
ListenVerdict send_cookie(const Env& env, SynGate& gate, const ListenRoom& room, const TupleWords<N>& tuple,
                          const Segment& s, Instant now, ListenOutcome& out) {
  const SynOptions a = agree(env.settings, s.h, TupleWords<N>::assumed_mss);
  const Cookie c = cookie_for(gate, tuple, s.h.seq, a);
  Timestamps ts;
  if (a.timestamps)
    ts = {CookieJar::timestamp_with(now.ms32() + gate.isn.ts_offset(tuple), c.ts_bits), s.h.options.ts_val};
  out.reply = syn_ack_segment(env.settings, room.mtu_mss, c.iss, s.h.seq, a, ts);
  gate.cookies_out = true;
  gate.last_cookie_epoch = gate.jar.epoch();
  env.count(Counter::syn_cookie_sent);
  return ListenVerdict::Reply;
}

// TSval is the millisecond clock and an offset. A machine that shares our keys may have another clock: what
// it began goes on from the timestamp that the peer saw, or its PAWS (RFC 7323 §5) would drop what we send.
template <std::size_t N>
std::uint32_t timestamp_offset(const SynGate& gate, const TupleWords<N>& tuple, std::uint32_t ts_ecr,
                               Instant now) {
  const std::uint32_t offset = gate.isn.ts_offset(tuple);
  const std::uint32_t age = now.ms32() + offset - ts_ecr;
  const bool ours = age <= 2 * 1000 * CookieJar::epoch_seconds; // no older cookie is good
  return ours || !gate.shared_keys ? offset : ts_ecr - now.ms32();
}

// What the handshake agreed on, if this ACK brings back a cookie that answered the SYN `irs`.
template <std::size_t N>
std::optional<Handshake> by_cookie(const Env& env, const SynGate& gate, const TupleWords<N>& tuple, Seq irs,
                                   const wire::Tcp& h, Instant now) {
  const Settings& set = env.settings;
  const bool timestamps = set.timestamps && h.options.has_timestamps();
  std::optional<std::uint8_t> ts_bits;
  if (timestamps) ts_bits = static_cast<std::uint8_t>(h.options.ts_ecr & CookieJar::timestamp_mask);
  const std::optional<CookieFacts> facts = gate.jar.check(tuple, irs, h.ack - 1, ts_bits);
  if (!facts) return std::nullopt;
  const bool scaled = facts->scaled && set.window_scale;
  return Handshake{.iss = h.ack - 1,
                   .irs = irs,
                   .peer_mss = facts->peer_mss,
                   .snd_scale = scaled ? facts->snd_scale : std::uint8_t{0},
                   .rcv_scale = scaled ? own_scale(set) : std::uint8_t{0},
                   .scaled = scaled,
                   .sack = facts->sack && set.sack,
                   .timestamps = timestamps,
                   .ecn = facts->ecn && set.ecn,
                   .ts_recent = timestamps ? h.options.ts_val : 0,
                   .ts_offset = timestamps ? timestamp_offset(gate, tuple, h.options.ts_ecr, now) : 0};
}

// Second step: any ACK is for something we never sent, unless it brings a cookie back.
template <std::size_t N>
ListenVerdict ack_arrives(const Env& env, SynGate& gate, CookieMode mode, const ListenRoom& room,
                          const TupleWords<N>& tuple, const Segment& s, Instant now, ListenOutcome& out) {
  const wire::Tcp& h = s.h;
  if (h.has(flag::syn) || !gate.cookies_live(mode)) return reset(env, gate, s, now, out.reply);

  const std::optional<Handshake> agreed = by_cookie(env, gate, tuple, h.seq - 1, h, now);
  if (!agreed) {
    env.count(Counter::syn_cookie_invalid);
    // It may be text that overtook the ACK which proves the cookie, or a bare ACK behind text that was lost:
    // a reset would end what is about to begin (found by campaigns: a path whose MTU ate the first flight).
    if (s.len() != 0) env.count(Counter::listen_text_dropped);
    return ListenVerdict::Drop;
  }
  env.count(Counter::syn_cookie_valid);
  if (!room.accept) return drop(env, Counter::accept_queue_full);
  out.handshake = *agreed;
  return ListenVerdict::Complete;
}

} // namespace

template <std::size_t N>
ListenVerdict listen_arrives(const Env& env, SynGate& gate, CookieMode mode, const ListenRoom& room,
                             const TupleWords<N>& tuple, const Segment& s, Instant now, ListenOutcome& out) {
  const wire::Tcp& h = s.h;
  // First, RST: nothing to reset. Second, ACK. Third, SYN; fourth, anything else is dropped.
  if (h.has(flag::rst)) return drop(env, Counter::listen_rst_in);
  if (h.has(flag::ack)) return ack_arrives(env, gate, mode, room, tuple, s, now, out);
  // Differs: a SYN with FIN would be taken, and the FIN queued; no honest stack sends one, scanners do (as
  // Linux).
  if ((h.flags & (flag::syn | flag::fin)) != flag::syn) return drop(env, Counter::listen_bad_flags);

  count_syn(env, s);
  if (!room.accept) return drop(env, Counter::accept_queue_full);
  if (mode != CookieMode::Always && room.record && gate.syn_rate.take(now)) [[likely]] {
    Origins origins = gate.isn.both(tuple, now);
    // The client may hold a cookie from before there was room, and this be its SYN again: with the cookie as
    // our number either SYN-ACK may be answered (found by campaigns: the answer to the first met the second's
    // record, and RST).
    if (mode != CookieMode::Never && gate.cookies_held()) [[unlikely]]
      origins.iss = cookie_for(gate, tuple, h.seq, agree(env.settings, h, TupleWords<N>::assumed_mss)).iss;
    return make_record<N>(env, s, origins, now, out);
  }
  if (mode == CookieMode::Never) return drop(env, Counter::syn_limit_drop);
  return send_cookie(env, gate, room, tuple, s, now, out);
}

template <std::size_t N>
void heed_cookie(const Env& env, const SynGate& gate, CookieMode mode, const TupleWords<N>& tuple,
                 const Segment& s, Instant now, SynRecord& r) {
  const wire::Tcp& h = s.h;
  const bool proof = (h.flags & (flag::syn | flag::rst | flag::ack)) == flag::ack;
  if (h.ack == r.iss + 1 || !proof || !gate.cookies_live(mode)) [[likely]]
    return;
  const std::optional<Handshake> agreed = by_cookie(env, gate, tuple, r.irs, h, now);
  if (!agreed) return;
  env.count(Counter::syn_cookie_valid);
  r.iss = agreed->iss;
  r.peer_mss = agreed->peer_mss;
  r.snd_scale = agreed->snd_scale & 15;
  r.scaled = agreed->scaled;
  r.sack = agreed->sack;
  r.timestamps = agreed->timestamps;
  r.ecn = agreed->ecn;
  r.ts_offset = agreed->ts_offset;
  r.resent = 1; // when that SYN-ACK left, nobody knows
}

template <std::size_t N>
ListenVerdict listen_reuses(const Env& env, SynGate& gate, const ListenRoom& room, const TupleWords<N>& tuple,
                            Seq iss, const Segment& s, Instant now, ListenOutcome& out) {
  count_syn(env, s);
  if (!room.accept) return drop(env, Counter::accept_queue_full);
  if (!room.record || !gate.syn_rate.take(now)) return drop(env, Counter::syn_limit_drop);
  return make_record<N>(env, s, {iss, gate.isn.ts_offset(tuple)}, now, out);
}

ListenVerdict closed_arrives(const Env& env, SynGate& gate, const Segment& s, Instant now, wire::Tcp& reply) {
  if (s.h.has(flag::rst)) return drop(env, Counter::listen_rst_in);
  return reset(env, gate, s, now, reply);
}

template ListenVerdict listen_arrives(const Env&, SynGate&, CookieMode, const ListenRoom&, const Tuple4&,
                                      const Segment&, Instant, ListenOutcome&);
template ListenVerdict listen_arrives(const Env&, SynGate&, CookieMode, const ListenRoom&, const Tuple6&,
                                      const Segment&, Instant, ListenOutcome&);
template void heed_cookie(const Env&, const SynGate&, CookieMode, const Tuple4&, const Segment&, Instant,
                          SynRecord&);
template void heed_cookie(const Env&, const SynGate&, CookieMode, const Tuple6&, const Segment&, Instant,
                          SynRecord&);
template ListenVerdict listen_reuses(const Env&, SynGate&, const ListenRoom&, const Tuple4&, Seq,
                                     const Segment&, Instant, ListenOutcome&);
template ListenVerdict listen_reuses(const Env&, SynGate&, const ListenRoom&, const Tuple6&, Seq,
                                     const Segment&, Instant, ListenOutcome&);

} // namespace tern::tcp
