// A listener that closes, by a drain or by a reload, while handshakes are under way: they end with it, as Linux ends those
// of a socket that is closed. Nobody comes in afterwards, and who thinks that he does is told at once.
#include <string_view>

#include "support/lone_core.hpp"

namespace tern {
namespace closed_listener_test {

using test::LoneCore;
using test::Sent;
namespace flag = wire::tcp_flag;

struct Draining {
  void on_accept(Connection) {
    ++accepted;
    if (drains) ++accepted_late;
  }
  void on_data(Connection c, Payload& p) { c.send(p); }
  void on_peer_closed(Connection c) { c.close(); }
  void on_drain() { drains = true; }
  bool drains = false;
  int accepted = 0;
  int accepted_late = 0;
};
using Lone = LoneCore<Draining>;

FlowRef place_of(const Lone& c, const FlowKey4& k) {
  return c.shard.flows.find(c.shard.hasher(k), k, c.shard);
}

// One client of a core: its SYN, and what answers the SYN-ACK.
struct Knocking : Lone {
  Knocking() { listen(); }
  FlowKey4 key = from(Ip4{198, 51, 100, 1}, 5000);
  Seq irs{7};
  Seq theirs{};

  void syn(bool stamped = true) {
    wire::Tcp h = test::linux_syn(irs, ++clock);
    if (!stamped) h.options.has &= static_cast<std::uint8_t>(~wire::TcpOptions::timestamps_bit);
    says(h);
  }
  void prove(std::string_view text = {}) {
    wire::Tcp h;
    h.flags = flag::ack;
    h.seq = irs + 1;
    h.ack = theirs + 1;
    h.window = 500;
    if (stamp != 0) h.options.has = wire::TcpOptions::timestamps_bit;
    h.options.ts_val = ++clock;
    h.options.ts_ecr = stamp;
    says(h, text);
  }
  void says(const wire::Tcp& h, std::string_view text = {}) {
    (void)take_sent();
    ASSERT_TRUE(arrives(key, h, text));
    turn();
    answers = take_sent();
    if (answers.empty() || answers[0].h.flags != (flag::syn | flag::ack)) return;
    theirs = answers[0].h.seq;
    stamp = answers[0].h.options.has_timestamps() ? answers[0].h.options.ts_val : 0;
  }
  void begin_drain() { // as a Worker does
    shard.listeners.close_all();
    core.drain();
  }
  void close_by_reload() { shard.listeners.put(0, shard.listeners[0].settings, true); }
  void expect_refused() {
    EXPECT_TRUE(answer().has(flag::rst));
    EXPECT_EQ(handler.accepted, 0);
    EXPECT_EQ(shard.syn4.slots.used(), 0U);
    EXPECT_EQ(shard.listeners[0].opening, 0U);
    EXPECT_EQ(shard.connections.used(), 0U);
    EXPECT_EQ(count(tcp::Counter::syn_listener_closed), 1U);
  }
  [[nodiscard]] wire::Tcp answer() const { return answers.size() == 1 ? answers[0].h : wire::Tcp{}; }
  std::vector<Sent> answers;
  std::uint32_t clock = 1000;
  std::uint32_t stamp = 0;
};

TEST(ClosedListener, RefusesWhoProvesHimselfAfterwards) {
  for (const bool drain : {true, false})
    for (const bool stamped : {true, false}) // the predicted way and the steps'
      for (const std::string_view text : {"", "GET"}) {
        Knocking c;
        c.syn(stamped);
        ASSERT_EQ(c.shard.syn4.slots.used(), 1U);
        drain ? c.begin_drain() : c.close_by_reload();
        c.prove(text);
        c.expect_refused();
        EXPECT_EQ(c.answer().seq, c.theirs + 1); // believed by who is established
        EXPECT_EQ(c.handler.accepted_late, 0);
        EXPECT_EQ(c.shard.flows.size(), 0U);
      }
}

TEST(ClosedListener, RefusesASynThatComesAgain) {
  Knocking c;
  c.syn();
  c.begin_drain();
  c.syn();
  c.expect_refused();
  EXPECT_EQ(c.answer().ack, c.irs + 1);
}

TEST(ClosedListener, SendsNoSynAckAgain) {
  Knocking c;
  c.syn();
  c.begin_drain();
  c.run(Duration::seconds(2));
  EXPECT_TRUE(c.take_sent().empty());
  EXPECT_EQ(c.shard.syn4.slots.used(), 0U);
  EXPECT_EQ(c.shard.flows.size(), 0U);
  EXPECT_EQ(c.count(tcp::Counter::syn_listener_closed), 1U);
  EXPECT_EQ(c.count(tcp::Counter::syn_given_up), 0U);
}

// A reload gave its port to another one: the handshake was not with that, but the next SYN is.
TEST(ClosedListener, LeavesItsPortToTheNext) {
  Knocking c;
  c.syn();
  c.close_by_reload();
  c.listen();
  c.syn();
  EXPECT_EQ(c.answer().flags, flag::syn | flag::ack);
  EXPECT_EQ(c.shard.listeners[0].opening, 0U);
  EXPECT_EQ(c.shard.listeners[1].opening, 1U);
  c.prove("GET");
  EXPECT_EQ(c.handler.accepted, 1);
  EXPECT_EQ(c.shard.listeners[1].open, 1U);
}

// The TIME-WAIT record that a handshake stood for comes back, whoever ends it.
TEST(ClosedListener, GivesTimeWaitItsPlaceBack) {
  for (const bool by_proof : {true, false}) {
    Knocking c;
    c.rests(c.key);
    c.shard.time_wait4.streams.at(place_of(c, c.key).index()).facts = {.snd_nxt = Seq{1},
                                                                       .rcv_nxt = c.irs - 100};
    c.syn();
    ASSERT_EQ(place_of(c, c.key).kind(), FlowKind::syn_received);
    c.begin_drain();
    by_proof ? c.prove() : c.syn();
    // To the SYN it is TIME-WAIT's own answer where nobody listens.
    EXPECT_EQ(c.answer().flags, by_proof ? flag::rst : flag::ack);
    EXPECT_EQ(place_of(c, c.key).kind(), FlowKind::time_wait);
    EXPECT_EQ(c.shard.syn4.slots.used(), 0U);
    EXPECT_EQ(c.handler.accepted, 0);
  }
}

TEST(ClosedListener, BringsNoCookieBack) {
  Knocking c;
  c.shard.listeners[0].settings.cookies = tcp::CookieMode::Always;
  c.syn();
  c.begin_drain();
  c.prove();
  EXPECT_TRUE(c.answer().has(flag::rst));
  EXPECT_EQ(c.handler.accepted, 0);
}

// What a reload puts does not open what a drain has closed, nor does another that is added.
TEST(ClosedListener, StaysClosedOnceAllAre) {
  Knocking c;
  c.begin_drain();
  c.shard.listeners.put(0, c.shard.listeners[0].settings, false);
  c.listen();
  c.syn();
  EXPECT_TRUE(c.answer().has(flag::rst));
}

} // namespace closed_listener_test
} // namespace tern
