// From the small machines into the engine and back: a record, a cookie and TIME-WAIT's reuse each open a
// connection, and a connection that closes leaves TIME-WAIT what it needs.
#include <gtest/gtest.h>

#include "machines.hpp"
#include "tcp/engine.hpp"
#include "tcp/tcb.hpp"

namespace tern::tcp::test {
namespace handshake_engine_test {

struct IntoTheEngine : testing::Test, Host {
  SynGate gate{derive_secrets(master), epoch};
  ListenRoom room;
  ListenOutcome out;

  ListenVerdict at_listen(const wire::Tcp& h, CookieMode mode) {
    const ListenVerdict v = listen_arrives(env, gate, mode, room, tuple4(), Segment{.h = h}, t0, out);
    if (v == ListenVerdict::Record) out.reply = syn_ack(settings, out.record, room.mtu_mss, t0);
    return v;
  }
  wire::Tcp ack_of_reply() const {
    return stamped(header(flag::ack, irs + 1, out.reply.seq + 1), 0xffff'fff3, out.reply.options.ts_val);
  }
  void open(Tcb& t, const Handshake& hs, const wire::Tcp& ack) {
    const std::uint64_t done = count(Counter::handshake_done);
    open_passive(env, t, hs, room.mtu_mss, t0);
    EXPECT_EQ(count(Counter::handshake_done), done + 1);
    Outcome o;
    segment_arrives(env, t, Segment{.h = ack}, t0, o);
    EXPECT_TRUE(o.has(event_established));
    EXPECT_FALSE(o.reply_reset);
    EXPECT_EQ(t.state, State::Established);
    EXPECT_EQ(t.snd_una, t.snd_nxt);
    EXPECT_EQ(t.rcv_nxt, irs + 1);
  }
};

TEST_F(IntoTheEngine, RecordAndCookieOpenTheSameConnection) {
  ASSERT_EQ(at_listen(full_syn(), CookieMode::Auto), ListenVerdict::Record);
  SynRecord record = out.record;
  const wire::Tcp by_record = ack_of_reply();
  wire::Tcp unused;
  ASSERT_EQ(syn_received_arrives(env, record, Segment{.h = by_record}, 1460, true, t0, unused),
            SynVerdict::Complete);
  ASSERT_EQ(at_listen(full_syn(), CookieMode::Always), ListenVerdict::Reply);
  const wire::Tcp by_cookie = ack_of_reply();
  ASSERT_EQ(at_listen(by_cookie, CookieMode::Always), ListenVerdict::Complete);

  Tcb a;
  Tcb b;
  open(a, handshake_of(settings, record), by_record);
  open(b, out.handshake, by_cookie);
  EXPECT_EQ(a.mss, b.mss);
  EXPECT_EQ(a.snd_wnd, b.snd_wnd);
  EXPECT_EQ(a.snd_scale, b.snd_scale);
  EXPECT_EQ(a.rcv_scale, b.rcv_scale);
  EXPECT_EQ(a.ts_offset, b.ts_offset);
  EXPECT_EQ(a.ts_recent, b.ts_recent);
  EXPECT_EQ(a.cwnd, b.cwnd);
  constexpr std::uint32_t agreed = flag_scaled | flag_sack | flag_timestamps | flag_ecn;
  EXPECT_EQ(a.flags & agreed, b.flags & agreed);
  EXPECT_EQ(a.flags & agreed, flag_scaled | flag_sack | flag_timestamps);
  release(env, a);
  release(env, b);
}

// Our SYN-ACK and the engine's own must promise the same first window and scale, or the peer would overrun
// one of them.
TEST_F(IntoTheEngine, EngineExpectsWhatTheSynAckPromised) {
  for (const std::uint32_t first : {1000U, 65535U, 1U << 20})
    for (const std::uint32_t most : {1000U, 65535U, 65536U, 6U << 20}) {
      settings.receive_buffer = first;
      settings.receive_buffer_max = most;
      ASSERT_EQ(at_listen(full_syn(), CookieMode::Auto), ListenVerdict::Record);
      Tcb t;
      open_passive(env, t, handshake_of(settings, out.record), 1460, t0);
      EXPECT_EQ(t.rcv_adv, irs + 1 + out.reply.window);
      EXPECT_EQ(t.rcv_scale, out.reply.options.wscale);
      release(env, t);
    }
}

TEST_F(IntoTheEngine, TimeWaitOfAConnectionIsReusedAboveIt) {
  ASSERT_EQ(at_listen(full_syn(), CookieMode::Auto), ListenVerdict::Record);
  Tcb t;
  open(t, handshake_of(settings, out.record), ack_of_reply());
  TimeWaitRecord tw = make_time_wait(env, time_wait_facts(t, t0));
  release(env, t);
  EXPECT_EQ(tw.snd_nxt, out.record.iss + 1);
  EXPECT_EQ(tw.rcv_nxt, irs + 1);
  const wire::Tcp again = full_syn(irs - 5000, 0xffff'fff4); // a lower number, a later timestamp
  wire::Tcp unused;
  const Segment s{.h = again};
  ASSERT_EQ(time_wait_arrives(env, tw, s, t0, unused), TimeWaitVerdict::Reuse);
  ASSERT_EQ(listen_reuses(env, gate, room, tuple4(), tw.next_iss(), s, t0, out), ListenVerdict::Record);
  EXPECT_TRUE(out.record.iss.after(tw.snd_nxt));
  EXPECT_EQ(out.record.ts_offset,
            tw.ts_offset); // one clock for both incarnations, or PAWS would shed the second
}

} // namespace handshake_engine_test
} // namespace tern::tcp::test
