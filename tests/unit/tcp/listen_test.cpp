#include "tcp/listen.hpp"

#include <gtest/gtest.h>

#include <random>

#include "machines.hpp"
#include "tcp/predicted_inl.hpp"

namespace tern::tcp::test {
namespace listen_test {

struct Listen : testing::Test, Host {
  SynGate gate{derive_secrets(master), epoch};
  CookieMode mode = CookieMode::Auto;
  ListenRoom room;
  ListenOutcome out;

  ListenVerdict arrives(const wire::Tcp& h, std::uint32_t text = 0, Instant now = t0) {
    out.reply = header(0xff, Seq{1}, Seq{2}); // whatever is not written shows
    const Segment s{.h = h, .text = text};
    const ListenVerdict v = listen_arrives(env, gate, mode, room, tuple4(), s, now, out);
    if (v == ListenVerdict::Record) out.reply = syn_ack(settings, out.record, room.mtu_mss, now);
    return v;
  }
  // A SYN answered by a cookie; the ACK that a peer sends back, `text_before` bytes into its stream.
  wire::Tcp cookie_ack(const wire::Tcp& syn = full_syn(), std::uint32_t text_before = 0) {
    EXPECT_EQ(arrives(syn), ListenVerdict::Reply);
    EXPECT_EQ(out.reply.flags & ~flag::ece, flag::syn | flag::ack);
    wire::Tcp h = header(flag::ack, syn.seq + 1 + text_before, out.reply.seq + 1);
    if ((out.reply.options.has & O::timestamps_bit) != 0)
      h = stamped(h, syn.options.ts_val + 3, out.reply.options.ts_val);
    return h;
  }
};

// ---- RFC 9293 §3.10.7.2, step by step.
TEST_F(Listen, ResetIsIgnored) {
  EXPECT_EQ(arrives(header(flag::rst, irs)), ListenVerdict::Drop);
  EXPECT_EQ(arrives(header(flag::rst | flag::ack, irs, iss)), ListenVerdict::Drop);
  EXPECT_EQ(arrives(header(flag::rst | flag::syn, irs)), ListenVerdict::Drop);
  EXPECT_EQ(count(Counter::listen_rst_in), 3U);
}

TEST_F(Listen, AckIsReset) {
  EXPECT_EQ(arrives(header(flag::ack, irs, iss), 10), ListenVerdict::Reply);
  EXPECT_EQ(out.reply.flags, flag::rst);
  EXPECT_EQ(out.reply.seq, iss);
  EXPECT_EQ(count(Counter::syn_cookie_invalid), 0U); // no cookie is out: not even looked at
}

// Figure 11: an old duplicate SYN reached one of two listeners, whose SYN-ACK reaches the other: RST, back to
// LISTEN.
TEST_F(Listen, Figure11SynAckIsReset) {
  EXPECT_EQ(arrives(header(flag::syn | flag::ack, irs, iss + 1)), ListenVerdict::Reply);
  EXPECT_EQ(out.reply.flags, flag::rst);
  EXPECT_EQ(out.reply.seq, iss + 1);
}

// Figure 10, from the side that lost its memory: text for a connection it does not know is answered by RST.
TEST_F(Listen, Figure10TextOfAHalfOpenConnectionIsReset) {
  EXPECT_EQ(arrives(header(flag::ack | flag::psh, Seq{0xffff'ff00}, Seq{100}), 512), ListenVerdict::Reply);
  EXPECT_EQ(out.reply.flags, flag::rst);
  EXPECT_EQ(out.reply.seq, Seq{100});
}

TEST_F(Listen, WhatHasNoFlagsOrFinAloneOrTextAloneIsDropped) {
  EXPECT_EQ(arrives(header(0, irs)), ListenVerdict::Drop);
  EXPECT_EQ(arrives(header(flag::fin, irs)), ListenVerdict::Drop);
  EXPECT_EQ(arrives(header(flag::psh | flag::urg, irs), 10), ListenVerdict::Drop);
  EXPECT_EQ(arrives(header(flag::syn | flag::fin, irs)), ListenVerdict::Drop);
  EXPECT_EQ(count(Counter::listen_bad_flags), 4U);
}

TEST_F(Listen, SynTakesARecord) {
  EXPECT_EQ(arrives(full_syn()), ListenVerdict::Record);
  const Origins o = gate.isn.both(tuple4(), t0);
  EXPECT_EQ(out.record.iss, o.iss);
  EXPECT_EQ(out.record.irs, irs);
  EXPECT_EQ(out.record.ts_offset, o.ts_offset);
  EXPECT_EQ(count(Counter::syn_in), 1U);
}

TEST_F(Listen, TextOnASynIsNotAcknowledged) {
  EXPECT_EQ(arrives(full_syn(), 100), ListenVerdict::Record);
  EXPECT_EQ(out.reply.ack, irs + 1);
  EXPECT_EQ(count(Counter::listen_text_dropped), 1U);
}

// ---- CLOSED, §3.10.7.1.
TEST_F(Listen, ClosedAnswersWithResetButNeverAReset) {
  const auto closed = [&](const wire::Tcp& h, std::uint32_t text) {
    return closed_arrives(env, gate, Segment{.h = h, .text = text}, t0, out.reply);
  };
  EXPECT_EQ(closed(header(flag::syn, Seq{0xffff'ffff}), 0), ListenVerdict::Reply);
  EXPECT_EQ(out.reply.flags, flag::rst | flag::ack);
  EXPECT_EQ(out.reply.seq, Seq{0});
  EXPECT_EQ(out.reply.ack, Seq{0}); // SEG.LEN counts the SYN
  EXPECT_EQ(closed(header(flag::syn | flag::fin, Seq{0xffff'fffe}), 5), ListenVerdict::Reply);
  EXPECT_EQ(out.reply.ack, Seq{5});
  EXPECT_EQ(closed(header(flag::ack, irs, iss), 5), ListenVerdict::Reply);
  EXPECT_EQ(out.reply.flags, flag::rst);
  EXPECT_EQ(out.reply.seq, iss);
  EXPECT_EQ(closed(header(flag::rst, irs), 0), ListenVerdict::Drop);
  EXPECT_EQ(closed(header(flag::rst | flag::ack, irs, iss), 0), ListenVerdict::Drop);
}

TEST_F(Listen, ResetsAreLimited) {
  gate.reset_rate = TokenBucket{10, 3};
  int sent = 0;
  for (int i = 0; i < 100; ++i) sent += arrives(header(flag::ack, irs, iss)) == ListenVerdict::Reply ? 1 : 0;
  for (int i = 0; i < 100; ++i)
    sent += closed_arrives(env, gate, Segment{.h = header(flag::syn, irs)}, t0, out.reply) ==
            ListenVerdict::Reply;
  EXPECT_EQ(sent, 3);
  EXPECT_EQ(count(Counter::listen_rst_out), 3U);
  EXPECT_EQ(count(Counter::listen_rst_limited), 197U);
  EXPECT_EQ(arrives(header(flag::ack, irs, iss), 0, t0 + Duration::ms(100)), ListenVerdict::Reply);
}

// ---- Limits.
TEST_F(Listen, FullAcceptQueueDropsSynsAndCookieAcks) {
  mode = CookieMode::Always;
  const wire::Tcp ack = cookie_ack();
  room.accept = false;
  EXPECT_EQ(arrives(full_syn()), ListenVerdict::Drop);
  EXPECT_EQ(arrives(ack), ListenVerdict::Drop);
  EXPECT_EQ(count(Counter::accept_queue_full), 2U);
  room.accept = true;
  EXPECT_EQ(arrives(ack), ListenVerdict::Complete); // the peer's next try
}

TEST_F(Listen, AutoSendsACookieWhenRecordsAreOut) {
  room.record = false;
  EXPECT_EQ(arrives(full_syn()), ListenVerdict::Reply);
  EXPECT_EQ(count(Counter::syn_cookie_sent), 1U);
}

// The SYN comes again and finds room: whichever SYN-ACK the client answers, it is known.
TEST_F(Listen, RecordAfterACookieHasTheCookiesNumber) {
  room.record = false;
  ASSERT_EQ(arrives(full_syn()), ListenVerdict::Reply);
  const Seq cookie = out.reply.seq;
  room.record = true;
  ASSERT_EQ(arrives(full_syn()), ListenVerdict::Record);
  EXPECT_EQ(out.record.iss, cookie);
  EXPECT_EQ(out.reply.seq, cookie);
}

TEST_F(Listen, AutoSendsACookieWhenSynsComeTooFast) {
  gate.syn_rate = TokenBucket{1000, 2};
  EXPECT_EQ(arrives(full_syn()), ListenVerdict::Record);
  EXPECT_EQ(arrives(full_syn()), ListenVerdict::Record);
  EXPECT_EQ(arrives(full_syn()), ListenVerdict::Reply);
  EXPECT_EQ(arrives(full_syn(), 0, t0 + Duration::ms(1)), ListenVerdict::Record);
}

TEST_F(Listen, NeverDropsPastTheLimits) {
  mode = CookieMode::Never;
  EXPECT_EQ(arrives(full_syn()), ListenVerdict::Record);
  room.record = false;
  EXPECT_EQ(arrives(full_syn()), ListenVerdict::Drop);
  EXPECT_EQ(count(Counter::syn_limit_drop), 1U);
  EXPECT_EQ(count(Counter::syn_cookie_sent), 0U);
}

// ---- Cookies.
TEST_F(Listen, CookieAckCompletesWithEveryOption) {
  mode = CookieMode::Always;
  settings.ecn = true;
  wire::Tcp syn = full_syn();
  syn.flags |= flag::ece | flag::cwr;
  const wire::Tcp ack = cookie_ack(syn);
  EXPECT_TRUE(out.reply.has(flag::ece));
  EXPECT_EQ(arrives(ack, 100), ListenVerdict::Complete); // with the request on it
  const Handshake& hs = out.handshake;
  EXPECT_EQ(hs.iss, ack.ack - 1);
  EXPECT_EQ(hs.irs, irs);
  EXPECT_EQ(hs.peer_mss, 1460);
  EXPECT_EQ(hs.snd_scale, 7);
  EXPECT_EQ(hs.rcv_scale, 7);
  EXPECT_TRUE(hs.scaled && hs.sack && hs.timestamps && hs.ecn);
  EXPECT_FALSE(hs.timed);
  EXPECT_EQ(hs.ts_recent, ack.options.ts_val);
  EXPECT_EQ(hs.ts_offset, gate.isn.ts_offset(tuple4()));
  EXPECT_EQ(count(Counter::syn_cookie_valid), 1U);
  EXPECT_EQ(count(Counter::handshake_done), 0U); // whether there is a connection is the caller's to say
}

TEST_F(Listen, CookieKeepsOptionsWithoutTimestampsToo) {
  mode = CookieMode::Always;
  wire::Tcp syn = full_syn();
  syn.options.has &= static_cast<std::uint8_t>(~O::timestamps_bit);
  EXPECT_EQ(arrives(cookie_ack(syn)), ListenVerdict::Complete);
  EXPECT_TRUE(out.handshake.scaled && out.handshake.sack);
  EXPECT_FALSE(out.handshake.timestamps);
}

TEST_F(Listen, CookieServesIpv6) {
  mode = CookieMode::Always;
  ASSERT_EQ(listen_arrives(env, gate, mode, room, tuple6(), Segment{.h = full_syn()}, t0, out),
            ListenVerdict::Reply);
  const wire::Tcp ack =
      stamped(header(flag::ack, irs + 1, out.reply.seq + 1), 0xffff'fff3, out.reply.options.ts_val);
  EXPECT_EQ(listen_arrives(env, gate, mode, room, tuple6(), Segment{.h = ack}, t0, out),
            ListenVerdict::Complete);
  EXPECT_EQ(listen_arrives(env, gate, mode, room, tuple6(9), Segment{.h = ack}, t0, out),
            ListenVerdict::Drop);
}

// RFC 9293 §3.7.1: what a peer takes who does not say depends on the family.
TEST_F(Listen, WithoutAnMssOptionTheFamilysIsAssumed) {
  const wire::Tcp syn = header(flag::syn, irs);
  const auto assumed = [&](const auto& tuple) {
    EXPECT_EQ(listen_arrives(env, gate, CookieMode::Never, room, tuple, Segment{.h = syn}, t0, out),
              ListenVerdict::Record);
    const std::uint16_t by_record = out.record.peer_mss;
    EXPECT_EQ(listen_arrives(env, gate, CookieMode::Always, room, tuple, Segment{.h = syn}, t0, out),
              ListenVerdict::Reply);
    const wire::Tcp ack = header(flag::ack, irs + 1, out.reply.seq + 1);
    EXPECT_EQ(listen_arrives(env, gate, CookieMode::Always, room, tuple, Segment{.h = ack}, t0, out),
              ListenVerdict::Complete);
    EXPECT_EQ(out.handshake.peer_mss, by_record);
    EXPECT_EQ(listen_reuses(env, gate, room, tuple, iss, Segment{.h = syn}, t0, out), ListenVerdict::Record);
    EXPECT_EQ(out.record.peer_mss, by_record);
    return by_record;
  };
  EXPECT_EQ(assumed(tuple4()), 536);
  EXPECT_EQ(assumed(tuple6()), 1220);
}

TEST_F(Listen, CookieSynAckEqualsARecordsButForTheIsn) {
  ASSERT_EQ(arrives(full_syn()), ListenVerdict::Record);
  wire::Tcp of_record = out.reply;
  room.record = false;
  ASSERT_EQ(arrives(full_syn()), ListenVerdict::Reply);
  const std::uint32_t behind = of_record.options.ts_val - out.reply.options.ts_val;
  EXPECT_LT(behind, 64U); // never ahead of the clock
  of_record.seq = out.reply.seq;
  of_record.options.ts_val = out.reply.options.ts_val;
  EXPECT_EQ(of_record, out.reply);
}

TEST_F(Listen, AckThatProvesNoCookieIsDroppedWhileCookiesAreLive) {
  mode = CookieMode::Always;
  wire::Tcp ack = cookie_ack();
  ack.ack += 1;
  EXPECT_EQ(arrives(ack), ListenVerdict::Drop);
  EXPECT_EQ(count(Counter::syn_cookie_invalid), 1U);
  // A bare ACK of a peer whose first flight was lost: no reset, or that flight's retransmission would find
  // nobody.
  wire::Tcp behind = cookie_ack();
  behind.seq += 13'032;
  EXPECT_EQ(arrives(behind), ListenVerdict::Drop);
  behind.seq = behind.seq - 13'032;
  EXPECT_EQ(arrives(behind), ListenVerdict::Complete);
}

TEST_F(Listen, TextThatOvertakesTheAckIsDroppedNotReset) {
  mode = CookieMode::Always;
  const wire::Tcp ack = cookie_ack();
  wire::Tcp text = ack;
  text.seq += 1460;
  EXPECT_EQ(arrives(text, 1460), ListenVerdict::Drop);
  wire::Tcp fin = text;
  fin.flags |= flag::fin;
  EXPECT_EQ(arrives(fin), ListenVerdict::Drop);
  EXPECT_EQ(count(Counter::listen_text_dropped), 2U);
  EXPECT_EQ(arrives(ack), ListenVerdict::Complete);
}

// Its numbers may be right: a SYN-ACK is for something we never sent, cookies or not.
TEST_F(Listen, SynAckBringsNoCookieBack) {
  mode = CookieMode::Always;
  wire::Tcp h = cookie_ack();
  h.flags |= flag::syn;
  EXPECT_EQ(arrives(h), ListenVerdict::Reply);
  EXPECT_EQ(out.reply.flags, flag::rst);
  EXPECT_EQ(out.reply.seq, h.ack);
  EXPECT_EQ(count(Counter::syn_cookie_valid) + count(Counter::syn_cookie_invalid), 0U);
}

TEST_F(Listen, AutoLooksAtCookiesOnlyWhileOneCanBeGood) {
  room.record = false;
  const wire::Tcp ack = cookie_ack();
  EXPECT_TRUE(gate.cookies_live(mode));
  gate.jar.turn_to(epoch + 1);
  EXPECT_TRUE(gate.cookies_live(mode));
  EXPECT_EQ(arrives(ack), ListenVerdict::Complete);
  gate.jar.turn_to(epoch + 2);
  EXPECT_FALSE(gate.cookies_live(mode));
  wire::Tcp text = ack;
  text.seq += 5;
  EXPECT_EQ(arrives(text, 5), ListenVerdict::Reply); // no longer dropped: RST
  EXPECT_EQ(out.reply.flags, flag::rst);
  EXPECT_EQ(count(Counter::syn_cookie_invalid), 0U);
}

// The time of day may be set back, by a second at the turn of an epoch or by a minute: what was sent before is of the next
// epoch then, and good.
TEST_F(Listen, CookieOutlivesAClockThatIsSetBackByAnEpoch) {
  room.record = false;
  const wire::Tcp ack = cookie_ack();
  gate.jar.turn_to(epoch - 1);
  EXPECT_EQ(arrives(ack), ListenVerdict::Complete);
  gate.jar.turn_to(epoch - 2);
  EXPECT_FALSE(gate.cookies_live(mode));
}

TEST_F(Listen, NoCookieIsLiveBeforeOneWasSentWhateverTheEpoch) {
  for (const std::uint32_t e : {0U, 1U, 2U, 0xffff'ffffU, epoch}) {
    const SynGate fresh{derive_secrets(master), e};
    EXPECT_FALSE(fresh.cookies_live(CookieMode::Auto)) << e;
    EXPECT_FALSE(fresh.cookies_live(CookieMode::Always)) << e;
  }
}

// A key file says that others may have sent one, not that we have: which of ours are out, we know alone.
TEST_F(Listen, CookiesOfOursAreOutOnlyAsLongAsTheyAreGoodSharedKeysOrNot) {
  for (const bool shared : {false, true}) {
    gate = SynGate{derive_secrets(master), epoch};
    gate.shared_keys = shared;
    EXPECT_FALSE(gate.cookies_held());
    room.record = false;
    ASSERT_EQ(arrives(full_syn()), ListenVerdict::Reply);
    EXPECT_TRUE(gate.cookies_held());
    room.record = true;
    gate.jar.turn_to(epoch + 2);
    EXPECT_FALSE(gate.cookies_held());
    EXPECT_EQ(gate.cookies_live(mode), shared); // another machine's may come
    ASSERT_EQ(arrives(full_syn()), ListenVerdict::Record);
    EXPECT_EQ(out.record.iss, gate.isn.both(tuple4(), t0).iss) << shared; // RFC 6528's again
  }
}

TEST_F(Listen, SharedKeysFinishWhatAnotherMachineBegan) {
  mode = CookieMode::Always;
  const wire::Tcp ack = cookie_ack();
  SynGate other{derive_secrets(master), epoch + 1}; // its clock is a little ahead
  EXPECT_EQ(listen_arrives(env, other, CookieMode::Auto, room, tuple4(), Segment{.h = ack}, t0, out),
            ListenVerdict::Reply); // it never sent one, and nobody told it that others might
  other.shared_keys = true;
  EXPECT_EQ(listen_arrives(env, other, CookieMode::Auto, room, tuple4(), Segment{.h = ack}, t0, out),
            ListenVerdict::Complete);
  EXPECT_EQ(out.handshake.ts_offset, gate.isn.ts_offset(tuple4()));
  EXPECT_EQ(listen_arrives(env, other, CookieMode::Never, room, tuple4(), Segment{.h = ack}, t0, out),
            ListenVerdict::Reply);
}

// The machines' clocks may be days apart, either way: what the peer sees of timestamps goes on from where it
// was, or its PAWS would drop all that the second machine sends.
TEST_F(Listen, SharedKeysGoOnFromTheOtherMachinesTimestamp) {
  mode = CookieMode::Always;
  const wire::Tcp ack = cookie_ack();
  SynGate other{derive_secrets(master), epoch};
  other.shared_keys = true;
  for (const Duration apart : {Duration::seconds(-3 * 86'400), Duration::seconds(-200), Duration::ms(-5),
                               Duration::ms(5), Duration::seconds(60), Duration::seconds(9 * 86'400)}) {
    const Instant now = t0 + apart;
    ASSERT_EQ(listen_arrives(env, other, CookieMode::Auto, room, tuple4(), Segment{.h = ack}, now, out),
              ListenVerdict::Complete);
    const std::uint32_t sent = now.ms32() + out.handshake.ts_offset;
    EXPECT_LE(sent - ack.options.ts_ecr, 128'000U) << apart.as_ms();
  }
}

// Alone, no other clock is believed: a timestamp that is not ours is what the peer made up.
TEST_F(Listen, WithoutSharedKeysTheClockIsOurs) {
  mode = CookieMode::Always;
  wire::Tcp ack = cookie_ack();
  ack.options.ts_ecr += 12'150'000U * 64; // nine days; the bits that prove the cookie stay
  ASSERT_EQ(arrives(ack), ListenVerdict::Complete);
  EXPECT_EQ(out.handshake.ts_offset, gate.isn.ts_offset(tuple4()));
}

// A cookie of another machine's, or of before a restart with other settings: what is switched off here stays off.
TEST_F(Listen, WhatACookieClaimsIsOnlyAgreedIfItIsSwitchedOn) {
  mode = CookieMode::Always;
  const wire::Tcp ack = cookie_ack(full_syn());
  settings.window_scale = settings.sack = settings.ecn = false;
  ASSERT_EQ(arrives(ack), ListenVerdict::Complete);
  EXPECT_FALSE(out.handshake.scaled);
  EXPECT_EQ(out.handshake.snd_scale, 0);
  EXPECT_EQ(out.handshake.rcv_scale, 0);
  EXPECT_FALSE(out.handshake.sack);
  EXPECT_FALSE(out.handshake.ecn);
}

// ---- TIME-WAIT's reuse.
TEST_F(Listen, ReuseTakesTheGivenIsnAndNeverACookie) {
  mode = CookieMode::Always;
  const auto reuses = [&] {
    return listen_reuses(env, gate, room, tuple4(), iss, Segment{.h = full_syn()}, t0, out);
  };
  EXPECT_EQ(reuses(), ListenVerdict::Record);
  EXPECT_EQ(out.record.iss, iss);
  EXPECT_EQ(out.record.ts_offset, gate.isn.ts_offset(tuple4())); // the same clock as the old connection's
  room.record = false;
  EXPECT_EQ(reuses(), ListenVerdict::Drop);
  EXPECT_EQ(count(Counter::syn_limit_drop), 1U);
  room.record = true;
  gate.syn_rate = TokenBucket{10, 1};
  EXPECT_EQ(reuses(), ListenVerdict::Record);
  EXPECT_EQ(reuses(), ListenVerdict::Drop);
  EXPECT_EQ(count(Counter::syn_limit_drop), 2U);
  EXPECT_EQ(count(Counter::time_wait_reused), 0U); // that is, once the handshake is done
  room = {.accept = false};
  EXPECT_EQ(reuses(), ListenVerdict::Drop);
  EXPECT_EQ(count(Counter::syn_cookie_sent), 0U);
}

// It is a SYN like any other: what is odd about it, and what is not kept of it, is counted.
TEST_F(Listen, ReuseCountsWhatIsOddAboutItsSyn) {
  wire::Tcp syn = full_syn();
  syn.options.mss = 10;
  ASSERT_EQ(listen_reuses(env, gate, room, tuple4(), iss, Segment{.h = syn, .text = 5}, t0, out),
            ListenVerdict::Record);
  EXPECT_EQ(count(Counter::syn_in), 1U);
  EXPECT_EQ(count(Counter::listen_text_dropped), 1U);
  EXPECT_EQ(count(Counter::mss_raised), 1U);
}

// ---- The predicted way is the steps' for what it takes, and takes what Linux sends.
TEST_F(Listen, WhatIsPredictedIsWhatTheStepsComeTo) {
  std::mt19937 random{7};
  unsigned predicted = 0;
  unsigned bare = 0; // of them, without timestamps
  for (unsigned i = 0; i < 20'000; ++i) {
    const auto one_in = [&](unsigned n) { return random() % n == 0; };
    wire::Tcp syn = full_syn(Seq{static_cast<std::uint32_t>(random())}, static_cast<std::uint32_t>(random()));
    syn.window = static_cast<std::uint16_t>(random());
    syn.options.mss = static_cast<std::uint16_t>(one_in(4) ? random() % 100 : random());
    syn.options.wscale = static_cast<std::uint8_t>(one_in(4) ? random() : random() % 15);
    if (one_in(8)) syn.flags = static_cast<std::uint8_t>(random());
    if (one_in(4)) syn.options.has ^= wire::TcpOptions::timestamps_bit;
    if (one_in(8)) syn.options.has = static_cast<std::uint8_t>(syn.options.has & random());
    const std::uint32_t text = one_in(8) ? static_cast<std::uint32_t>(random() % 3) : 0;
    settings = Settings{};
    if (one_in(8)) settings.sack = false;
    if (one_in(8)) settings.timestamps = false;
    if (one_in(8)) settings.window_scale = false;
    if (one_in(2)) settings.ecn = true;
    const CookieMode how = one_in(8) ? CookieMode::Always : one_in(8) ? CookieMode::Never : CookieMode::Auto;
    room = {.mtu_mss = 1460, .record = !one_in(8), .accept = !one_in(8)};
    SynGate other{derive_secrets(master), epoch};
    gate = SynGate{derive_secrets(master), epoch};
    if (one_in(8)) gate.shared_keys = other.shared_keys = true;
    if (one_in(4)) {
      gate.cookies_out = other.cookies_out = true;
      gate.last_cookie_epoch = other.last_cookie_epoch = epoch + 2 - static_cast<std::uint32_t>(random() % 6);
    }
    if (one_in(4)) gate.syn_rate = other.syn_rate = TokenBucket{10, 1};
    const Instant now = t0 + Duration::ms(static_cast<int>(i));
    if (one_in(2)) (void)gate.syn_rate.take(now), (void)other.syn_rate.take(now);

    std::byte bytes[60];
    const std::size_t length = wire::emit_tcp(syn, bytes);
    wire::FullSyn h;
    if (!wire::read({bytes, length}, h) || !predicts_record(env, gate, how, room, h, text, now)) continue;
    ++predicted;
    if (!h.stamped) ++bare;
    const std::uint64_t before = count(Counter::syn_in);
    const SynRecord r = record_predicted(env, gate, tuple4(), h, now);
    EXPECT_EQ(count(Counter::syn_in), before + 1);

    Host steps;
    steps.settings = settings;
    ASSERT_EQ(listen_arrives(steps.env, other, how, room, tuple4(), {.h = syn, .text = text}, now, out),
              ListenVerdict::Record);
    EXPECT_EQ(std::memcmp(&r, &out.record, sizeof r), 0);
    for (std::size_t c = 0; c < TcpCounters::size; ++c)
      EXPECT_EQ(steps.count(static_cast<Counter>(c)), static_cast<Counter>(c) == Counter::syn_in ? 1U : 0U)
          << c;
    EXPECT_EQ(gate.syn_rate.has(now), other.syn_rate.has(now));
  }
  EXPECT_GT(predicted, 2'000U);
  EXPECT_GT(bare, 500U);
}

} // namespace listen_test
} // namespace tern::tcp::test
