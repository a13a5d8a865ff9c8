// The engine from opening to closing, two of them back to back. The state × event table is in tests/rfc.
#include <algorithm>

#include "support/engine_pair.hpp"

namespace tern::tcp {
namespace engine_test {

using tern::test::Host;
namespace flag = wire::tcp_flag;

constexpr Seq near_wrap_a{0xffff'fff0};
constexpr Seq near_wrap_b{0xffff'fffe};

wire::Tcp parse(const Packet& p) {
  wire::Tcp h;
  EXPECT_EQ(wire::parse_tcp(p.bytes(), h), wire::Verdict::ok);
  return h;
}

class Engine : public ::testing::Test {
 protected:
  explicit Engine(Settings s = {}) : pool(4095), a(pool.pool(), s), b(pool.pool(), s) {}

  void advance(Duration d) { now = now + d; }

  // Everything either side wants to say, until both are silent. `drop(n, header)` loses the n-th segment.
  void settle(const std::function<bool(int, const wire::Tcp&)>& drop = {}) {
    for (bool quiet = false; !quiet;) {
      quiet = true;
      for (auto [from, to] : {std::pair{&a, &b}, std::pair{&b, &a}})
        for (Packet& p : from->output(now)) {
          quiet = false;
          const wire::Tcp h = parse(p);
          log.push_back({from == &a ? 'a' : 'b', h, p.length() - h.header_length});
          if (drop && drop(static_cast<int>(log.size()) - 1, h)) continue;
          if (to->tcb.state == State::Closed && !to->tcb.has(flag_active) &&
              (h.flags & (flag::syn | flag::ack)) == flag::syn) {
            accept(*to, h);
            continue;
          }
          to->arrive(std::move(p), now);
        }
    }
  }

  // The listening side's record machine in one line: the SYN becomes a connection that sends its SYN-ACK.
  void accept(Host& host, const wire::Tcp& syn) {
    open_active(host.env, host.tcb, near_wrap_b, 7000, 1460, 536, now);
    host.tcb.clear(flag_active);
    Outcome out;
    segment_arrives(host.env, host.tcb, Segment{.h = syn}, now,
                    out); // simultaneous open's path sends a SYN-ACK
  }

  void connect() {
    open_active(a.env, a.tcb, near_wrap_a, 99, 1460, 536, now);
    settle();
    ASSERT_EQ(a.tcb.state, State::Established);
    ASSERT_EQ(b.tcb.state, State::Established);
    log.clear();
  }

  // Runs both hosts' timers up to `until`, settling after each.
  void run_timers(Duration until, const std::function<bool(int, const wire::Tcp&)>& drop = {}) {
    const Instant end = now + until;
    while (now < end) {
      now = now + Duration::ms(1);
      for (Host* h : {&a, &b}) {
        const std::uint32_t at = next_deadline(h->tcb);
        if (at != 0 && static_cast<std::int32_t>(now.ms32() - at) >= 0) h->timer(now);
      }
      settle(drop);
    }
  }

  struct Seen {
    char from;
    wire::Tcp h;
    std::uint32_t text;
  };

  tern::test::TestPool pool;
  Host a;
  Host b;
  Instant now = Instant::at_ns(0xffff'ff00LL * 1'000'000); // the millisecond clock wraps during the test
  std::vector<Seen> log;
};

TEST_F(Engine, HandshakeAgreesOnEveryOption) {
  connect();
  EXPECT_TRUE(a.tcb.has(flag_sack) && b.tcb.has(flag_sack));
  EXPECT_TRUE(a.tcb.has(flag_timestamps) && b.tcb.has(flag_timestamps));
  EXPECT_EQ(a.tcb.snd_scale, b.tcb.rcv_scale);
  EXPECT_EQ(a.tcb.mss, 1460 - 12);
  EXPECT_TRUE((a.events & event_established) && (b.events & event_established));
}

TEST_F(Engine, TextBothWaysArrivesOnceInOrder) {
  connect();
  EXPECT_EQ(a.send("request", now), 7U);
  EXPECT_EQ(b.send("response", now), 8U);
  settle();
  EXPECT_EQ(b.received, "request");
  EXPECT_EQ(a.received, "response");
}

TEST_F(Engine, CloseByOneThenOtherEndsInTimeWaitAndClosed) {
  connect();
  Outcome out;
  close(a.env, a.tcb, now, out);
  settle();
  EXPECT_EQ(a.tcb.state, State::FinWait2);
  EXPECT_EQ(b.tcb.state, State::CloseWait);
  EXPECT_TRUE(b.events & event_peer_closed);
  b.send("still talking", now); // half-close: the other direction lives on
  settle();
  EXPECT_EQ(a.received, "still talking");
  close(b.env, b.tcb, now, out);
  settle();
  EXPECT_EQ(a.tcb.state, State::TimeWait);
  EXPECT_EQ(b.tcb.state, State::Closed);
  EXPECT_TRUE(a.events & event_time_wait);
  EXPECT_TRUE(b.events & event_closed);
}

TEST_F(Engine, SimultaneousCloseGoesThroughClosing) {
  connect();
  Outcome out;
  close(a.env, a.tcb, now, out);
  close(b.env, b.tcb, now, out);
  auto from_a = a.output(now);
  auto from_b = b.output(now);
  for (auto& p : from_a) b.arrive(std::move(p), now);
  for (auto& p : from_b) a.arrive(std::move(p), now);
  EXPECT_EQ(a.tcb.state, State::Closing);
  EXPECT_EQ(b.tcb.state, State::Closing);
  settle();
  EXPECT_EQ(a.tcb.state, State::TimeWait);
  EXPECT_EQ(b.tcb.state, State::TimeWait);
}

TEST_F(Engine, ResponseCarriesFinAndAckCarriesRequest) {
  open_active(a.env, a.tcb, near_wrap_a, 99, 1460, 536, now);
  a.send("GET", now);
  settle(); // SYN, SYN-ACK, ACK+request (b's quick ACK follows, since nobody answers yet)
  ASSERT_GE(log.size(), 3U);
  EXPECT_EQ(log[2].text, 3U);
  log.clear();
  Outcome out;
  b.send("200", now);
  close(b.env, b.tcb, now, out);
  settle();
  EXPECT_EQ(log[0].text, 3U);
  EXPECT_TRUE(log[0].h.has(flag::fin));
}

TEST_F(Engine, LostSynIsSentAgainAfterOneSecondWithBackOff) {
  open_active(a.env, a.tcb, near_wrap_a, 99, 1460, 536, now);
  const Instant start = now;
  std::vector<std::int64_t> at;
  const auto drop = [&](int, const wire::Tcp&) { return at.push_back((now - start).as_ms()), true; };
  settle(drop);
  run_timers(Duration::seconds(8), drop);
  ASSERT_EQ(at.size(), 4U);
  EXPECT_NEAR(static_cast<double>(at[1]), 1000, 2);
  EXPECT_NEAR(static_cast<double>(at[2]), 3000, 3);
  EXPECT_NEAR(static_cast<double>(at[3]), 7000, 4);
}

// Our SYN meets the TIME-WAIT of a life before, which says where that one ended: RST ends it, and the SYN goes again at
// once rather than after a second; once, whoever else sends such ACKs.
TEST_F(Engine, SynThatMetAnOldLifeGoesAgainAtOnce) {
  open_active(a.env, a.tcb, near_wrap_a, 99, 1460, 536, now);
  const Instant start = now;
  std::vector<std::int64_t> syns;
  unsigned resets = 0;
  const auto drop = [&](int, const wire::Tcp& h) {
    if (h.has(flag::syn)) syns.push_back((now - start).as_ms());
    if (h.has(flag::rst)) ++resets;
    return true;
  };
  const auto old_ack = [&](std::uint8_t flags = flag::ack) {
    Outcome out;
    wire::Tcp h;
    h.flags = flags;
    h.seq = Seq{7777};
    h.ack = near_wrap_a - 5000;
    segment_arrives(a.env, a.tcb, Segment{.h = h}, now, out);
    EXPECT_TRUE(out.reply_reset);
    EXPECT_EQ(out.reset_seq, h.ack);
  };
  settle(drop);
  ASSERT_EQ(syns.size(), 1U);
  old_ack(flag::syn | flag::ack); // of an old duplicate of our SYN: this one is on its way still
  run_timers(Duration::ms(10), drop);
  ASSERT_EQ(syns.size(), 1U);
  for (int i = 0; i < 10; ++i) { // more of them don't put it off
    old_ack();
    run_timers(Duration::ms(1), drop);
  }
  ASSERT_EQ(syns.size(), 2U);
  EXPECT_NEAR(static_cast<double>(syns[1]), 12, 1);
  old_ack();
  run_timers(Duration::ms(900), drop);
  EXPECT_EQ(syns.size(), 2U);
  run_timers(Duration::seconds(2), drop);
  EXPECT_EQ(syns.size(), 3U);
  EXPECT_EQ(a.tcb.state, State::SynSent);
}

TEST_F(Engine, SynIsGivenUpAfterItsRetries) {
  open_active(a.env, a.tcb, near_wrap_a, 99, 1460, 536, now);
  run_timers(Duration::seconds(200), [](int, const wire::Tcp&) { return true; });
  EXPECT_EQ(a.tcb.state, State::Closed);
  EXPECT_EQ(a.tcb.reason, CloseReason::TimedOut);
  EXPECT_EQ(a.counters.get(Counter::retransmit_syn), 6U);
}

TEST_F(Engine, LostTextIsSentAgain) {
  connect();
  a.send("lost", now);
  settle([](int, const wire::Tcp&) { return true; });
  run_timers(Duration::ms(500));
  EXPECT_EQ(b.received, "lost");
  EXPECT_EQ(a.tcb.outstanding(), 0U);
}

// What the timer's one firing costs is every segment that recovery then sends.
TEST_F(Engine, EverySegmentThatIsSentAgainAfterATimeOutIsCounted) {
  connect();
  const std::string text(10 * std::size_t{a.tcb.mss}, 'x');
  ASSERT_EQ(a.send(text, now), text.size());
  settle([](int, const wire::Tcp&) { return true; });
  ASSERT_EQ(log.back().from, 'a');
  ASSERT_EQ(a.tcb.outstanding(), text.size());
  std::uint64_t again = 0;
  run_timers(Duration::seconds(60), [&](int, const wire::Tcp&) {
    const bool text_again = log.back().from == 'a' && log.back().text != 0;
    again += text_again ? 1 : 0;
    return text_again && again == 1; // the tail loss probe: the timer must fire
  });
  EXPECT_EQ(b.received, text);
  EXPECT_GE(again, 10U);
  EXPECT_EQ(a.counters.get(Counter::retransmit_data), again);
  EXPECT_GE(a.counters.get(Counter::retransmit_rto), 1U);
  EXPECT_EQ(a.counters.get(Counter::retransmit_fin), 0U);
}

TEST_F(Engine, LostFinIsSentAgain) {
  connect();
  Outcome out;
  close(a.env, a.tcb, now, out);
  settle([](int, const wire::Tcp&) { return true; });
  std::vector<Packet> all; // without a packet nothing is sent again, and nothing counted
  while (Packet p = pool.pool().alloc()) all.push_back(std::move(p));
  run_timers(Duration::ms(500));
  EXPECT_GE(a.counters.get(Counter::retransmit_rto), 1U);
  EXPECT_EQ(a.counters.get(Counter::retransmit_fin), 0U);
  all.clear();
  run_timers(Duration::seconds(2));
  EXPECT_EQ(b.tcb.state, State::CloseWait);
  EXPECT_EQ(a.tcb.state, State::FinWait2);
  EXPECT_EQ(a.counters.get(Counter::retransmit_fin), 1U);
}

TEST_F(Engine, SlowReaderClosesTheWindowAndProbesOpenItAgain) {
  connect();
  b.hold = true;
  const std::string text(300'000, 'x');
  std::uint32_t sent = a.send(text, now);
  settle();
  EXPECT_GE(b.received.size(), 65536U - 1448);
  EXPECT_LT(a.tcb.snd_wnd, 1448U); // too little to be worth a segment
  run_timers(Duration::seconds(2));
  EXPECT_GT(a.counters.get(Counter::zero_window_probe), 0U);
  EXPECT_LE(b.received.size(), 65536U);
  // The window's opening is told at once; if that is lost, the next probe finds it.
  Outcome out;
  b.hold = false;
  release_received(b.env, b.tcb, b.tcb.rcv_held, out);
  settle([](int, const wire::Tcp& h) { return h.window != 0; });
  run_timers(Duration::seconds(10));
  EXPECT_EQ(b.received.size(), sent);
}

TEST_F(Engine, AWindowOfOneByteIsOfferedFromTheSynOn) {
  open_active(a.env, a.tcb, near_wrap_a, 99, 1460, 536, now);
  begin_window(a.env, a.tcb, 1);
  a.hold = true;
  settle();
  ASSERT_EQ(b.tcb.state, State::Established);
  begin_window(a.env, a.tcb, 9); // too late: the SYN has told it
  EXPECT_EQ(a.tcb.rcv_limit, 1U);
  EXPECT_EQ(b.send("two", now), 3U);
  settle();
  for (const Seen& s : log) EXPECT_TRUE(s.from == 'b' || s.h.window <= 1);
  EXPECT_EQ(a.received, "t");
  EXPECT_EQ(b.tcb.unsent(), 2U);
  Outcome out;
  release_received(a.env, a.tcb, 1, out);
  settle();
  EXPECT_EQ(a.received, "tw");
  a.hold = false;
  release_received(a.env, a.tcb, 1, out);
  settle();
  EXPECT_EQ(a.received, "two");
}

TEST_F(Engine, ResetAtExactlyRcvNxtEndsIt) {
  connect();
  wire::Tcp rst;
  rst.seq = b.tcb.rcv_nxt;
  rst.flags = flag::rst;
  b.arrive(rst, {}, now);
  EXPECT_EQ(b.tcb.state, State::Closed);
  EXPECT_EQ(b.tcb.reason, CloseReason::Reset);
}

TEST_F(Engine, ResetElsewhereInWindowIsChallenged) {
  connect();
  wire::Tcp rst;
  rst.seq = b.tcb.rcv_nxt + 1;
  rst.flags = flag::rst;
  b.arrive(rst, {}, now);
  EXPECT_EQ(b.tcb.state, State::Established);
  EXPECT_EQ(b.counters.get(Counter::challenge_ack), 1U);
  EXPECT_EQ(b.output(now).size(), 1U);
}

TEST_F(Engine, AbortSendsResetThatThePeerBelieves) {
  connect();
  Outcome out;
  abort(a.env, a.tcb, out);
  settle();
  EXPECT_EQ(b.tcb.state, State::Closed);
  EXPECT_EQ(b.tcb.reason, CloseReason::Reset);
}

TEST_F(Engine, TextOutOfOrderIsHeldAndDeliveredOnce) {
  connect();
  std::vector<Packet> segments;
  for (const char* word : {"one ", "two ", "three "}) {
    a.tcb.set(flag_no_delay);
    a.send(word, now);
    for (auto& p : a.output(now)) segments.push_back(std::move(p));
  }
  ASSERT_EQ(segments.size(), 3U);
  b.arrive(std::move(segments[2]), now);
  EXPECT_TRUE(b.tcb.has(flag_has_reassembly));
  auto acks = b.output(now);
  ASSERT_EQ(acks.size(), 1U);
  EXPECT_EQ(parse(acks[0]).options.sack_count, 1);
  b.arrive(std::move(segments[1]), now);
  b.arrive(std::move(segments[0]), now);
  EXPECT_EQ(b.received, "one two three ");
  EXPECT_FALSE(b.tcb.has(flag_has_reassembly));
}

TEST_F(Engine, BulkTransferOverAHundredMegabytesOfSequenceSpaceIsExact) {
  connect();
  std::uint64_t sent = 0;
  std::uint64_t got = 0;
  std::string block(100'000, ' ');
  while (got < 20'000'000) {
    for (std::size_t i = 0; i < block.size(); ++i) block[i] = static_cast<char>((sent + i) * 31 >> 3);
    block.resize(100'000);
    sent += a.send(block, now);
    settle();
    log.clear();
    for (std::size_t i = 0; i < b.received.size(); ++i)
      ASSERT_EQ(b.received[i], static_cast<char>((got + i) * 31 >> 3)) << "at " << got + i;
    got += b.received.size();
    b.received.clear();
    advance(Duration::us(50));
  }
  EXPECT_EQ(got, sent);
  EXPECT_EQ(a.counters.get(Counter::retransmit_rto), 0U);
}

// Others hold every block of the transmit log: what is lost is found by the timer and by what the ACKs ask for, and once
// there are blocks again it is found by the log.
TEST_F(Engine, WithoutATransmitLogEverythingArrivesAllTheSame) {
  connect();
  std::vector<TxLogBlock*> others;
  while (TxLogBlock* block = a.env.side.tx_log->take()) others.push_back(block);
  std::string text(60'000, ' ');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>((i * 31) >> 3);
  // Every tenth segment is lost at its first try; what it held is what comes again.
  Seq newest = a.tcb.snd_nxt;
  unsigned fresh = 0;
  const auto lossy = [&](int, const wire::Tcp& h) {
    if (log.back().from != 'a' || log.back().text == 0 || !(h.seq + log.back().text).after(newest))
      return false;
    newest = h.seq + log.back().text;
    return fresh++ % 10 == 4;
  };
  const auto transfer = [&] {
    b.received.clear();
    ASSERT_EQ(a.send(text, now), text.size());
    settle(lossy);
    run_timers(Duration::seconds(60), lossy);
    EXPECT_EQ(b.received, text);
    EXPECT_EQ(a.tcb.outstanding(), 0U);
  };
  transfer();
  const std::uint64_t went_without = a.counters.get(Counter::no_tx_log);
  EXPECT_GE(went_without,
            text.size() / 1448 - 1); // the first of them leaves before there is a record to miss it
  EXPECT_GE(fresh, 41U);
  EXPECT_GE(a.counters.get(Counter::retransmit_rto), 1U);
  EXPECT_EQ(a.counters.get(Counter::retransmit_fast), 0U);
  for (TxLogBlock* block : others) a.env.side.tx_log->give_back(block);
  transfer();
  EXPECT_EQ(a.counters.get(Counter::no_tx_log), went_without);
  EXPECT_GE(a.counters.get(Counter::retransmit_fast), 1U);
}

TEST_F(Engine, DelayedAckComesWithinFortyMilliseconds) {
  connect();
  b.tcb.quick_acks = 0;
  a.send("x", now);
  for (auto& p : a.output(now)) b.arrive(std::move(p), now);
  EXPECT_TRUE(b.output(now).empty());
  run_timers(Duration::ms(41));
  EXPECT_EQ(a.tcb.outstanding(), 0U);
}

} // namespace engine_test
} // namespace tern::tcp
