// Why TCP is as it is: each question is answered by the harm that comes when the mechanism is taken away, and
// by its absence when it is there. The questions stand in tests/README.md.
#include <gtest/gtest.h>

#include <cstring>

#include "sim/story.hpp"
#include "support/eal.hpp"
#include "tcp/time_wait.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::sim {
namespace the_why_test {

namespace flag = wire::tcp_flag;
using tcp::CloseReason;
using tcp::State;

PacketPool packets() {
  static test::TestPool pool{2047};
  return pool.pool();
}

// Each is asked twice: with the numbers of the RFC's figures, and beside the wrap-around.
class TheWhy : public ::testing::TestWithParam<bool> {
 protected:
  static StageSettings plain() { return StageSettings::both_plain(GetParam()); }
};
INSTANTIATE_TEST_SUITE_P(Numbers, TheWhy, ::testing::Bool(),
                         [](const auto& i) { return i.param ? "BesideTheWrapAround" : "OfTheFigures"; });

void open(Stage& s) {
  s.b_listens();
  s.a_connects();
  s.run(Duration::ms(100));
  ASSERT_EQ(s.state(Side::a), State::Established);
  ASSERT_EQ(s.state(Side::b), State::Established);
}

// Why three segments and not two? With two, B would believe any SYN, and old ones too.
TEST_P(TheWhy, ThreeSegmentsAndNotTwo) {
  for (const bool two : {true, false}) {
    StageSettings with = plain();
    with.b.two_way_handshake = two;
    Stage s{packets(), with};
    s.b_listens();
    s.old_duplicate(Side::a, s.iss(Side::a) - 10, flag::syn);
    s.run(Duration::seconds(1));
    EXPECT_EQ(s.actor_b.opened,
              two ? 1 : 0); // a connection that A never asked for, served by B's application
  }
}

// Why four to close? Were a FIN and its ACK enough for both directions, what B had yet to say would be lost, and
// neither would know.
TEST_P(TheWhy, EachDirectionIsClosedByItsOwnFin) {
  for (const bool two : {true, false}) {
    StageSettings with = plain();
    with.a.two_way_close = with.b.two_way_close = two;
    Stage s{packets(), with};
    open(s);
    const std::uint64_t before = s.net.frames_sent();
    s.close(Side::a);
    s.run(Duration::ms(50));
    EXPECT_EQ(s.state(Side::b), two ? State::Listen : State::CloseWait);
    EXPECT_EQ(s.net.frames_sent() - before, 2u); // FIN and ACK
    s.say(Side::b, "the rest of the answer");
    s.close(Side::b);
    s.run(Duration::seconds(1));
    EXPECT_EQ(s.net.frames_sent() - before > 2,
              !two); // the text, its ACK, another FIN and its ACK; or nothing
    EXPECT_EQ(s.actor_a.received, two ? "" : "the rest of the answer");
    EXPECT_EQ(s.actor_a.reason, CloseReason::Done);
    EXPECT_EQ(s.actor_b.reason, CloseReason::Done);
  }
}

// Why 2MSL, and what if the last ACK is lost? B's FIN comes again. Without TIME-WAIT it meets RST.
TEST_P(TheWhy, TimeWaitAnswersTheFinWhoseAckWasLost) {
  for (const bool wait : {false, true}) {
    StageSettings with = plain();
    if (!wait) with.a.tcp.time_wait = Duration{};
    Stage s{packets(), with};
    open(s);
    s.close(Side::a);
    s.run(Duration::ms(50));
    s.lose(Side::a, "ACK", 2);
    s.say(Side::b, "bye");
    s.close(Side::b);
    s.run(Duration::seconds(5));
    EXPECT_EQ(s.actor_a.received, "bye");
    // Without it B must think that its last words were lost, though they were heard.
    EXPECT_EQ(s.actor_b.reason, wait ? CloseReason::Done : CloseReason::Reset);
    EXPECT_EQ(s.host_a.count(tcp::Counter::time_wait_fin_again) != 0, wait);
    EXPECT_EQ(s.host_b.count(tcp::Counter::reset_in), wait ? 0u : 1u);
  }
}

// Why 2MSL? An old segment that comes late would be taken for text of the tuple's next connection.
TEST_P(TheWhy, TimeWaitKeepsOldSegmentsOutOfTheNextConnection) {
  for (const bool wait : {false, true}) {
    StageSettings with = plain();
    if (!wait) with.a.tcp.time_wait = Duration{};
    Stage s{packets(), with};
    open(s);
    s.say(Side::b, "old text");
    s.run(Duration::ms(50));
    s.close(Side::a);
    s.run(Duration::ms(50));
    s.close(Side::b);
    s.run(Duration::ms(100));
    s.actor_a.received.clear();
    const tcp::TimeWaitRecord* record = s.host_a.time_wait(Stage::port_a, s.address_b, Stage::port_b);
    EXPECT_EQ(record != nullptr, wait);
    // Without timestamps TIME-WAIT does not give its port back; without TIME-WAIT nobody asks.
    const bool may_open = record == nullptr || tcp::may_reuse_for_active_open(*record, s.net.now());
    EXPECT_EQ(may_open, !wait);
    if (may_open) s.a_connects();
    s.run(Duration::ms(100));
    s.old_duplicate(Side::b, s.iss(Side::b) + 1, flag::ack, s.iss(Side::a) + 1, "old text");
    s.run(Duration::ms(100));
    EXPECT_EQ(s.actor_a.received, wait ? "" : "old text"); // which the new connection's B never sent
  }
}

// Why a random initial sequence number? Who can guess it can speak in another's name without ever hearing an
// answer.
TEST_P(TheWhy, InitialSequenceNumbersCannotBeGuessed) {
  for (const bool guessable : {true, false}) {
    Stage s{packets(), plain()};
    if (!guessable) s.host_b.choose_isn = {}; // RFC 6528
    s.b_listens();
    const Seq his = s.iss(Side::a) + 7;
    s.lose(Side::b, "SYN,ACK", 100);          // the attacker has seen to it that A hears nothing
    s.old_duplicate(Side::a, his, flag::syn); // in A's name
    s.run(Duration::ms(10));
    s.old_duplicate(Side::a, his + 1, flag::ack, s.iss(Side::b) + 1,
                    "rm -rf /"); // acknowledging what was never seen
    s.run(Duration::ms(100));
    EXPECT_EQ(s.actor_b.received, guessable ? "rm -rf /" : "");
    EXPECT_EQ(s.actor_b.opened, guessable ? 1 : 0);
  }
}

// What if the third ACK is lost? The SYN-ACK's retransmission mends it; with none, A speaks to nobody and
// learns by RST.
TEST_P(TheWhy, SynAckIsSentAgainWhenTheThirdSegmentIsLost) {
  for (const bool again : {false, true}) {
    StageSettings with = plain();
    if (!again) with.b.tcp.synack_retries = 0;
    Stage s{packets(), with};
    s.b_listens();
    s.lose(Side::a, "ACK");
    s.a_connects();
    s.run(Duration::seconds(3));
    EXPECT_EQ(s.state(Side::a), State::Established);
    EXPECT_EQ(s.state(Side::b), again ? State::Established : State::Listen);
    s.say(Side::a, "hello");
    s.run(Duration::seconds(1));
    EXPECT_EQ(s.actor_b.received, again ? "hello" : "");
    EXPECT_EQ(s.actor_a.reason, again ? CloseReason::None : CloseReason::Reset);
  }
}

// And text that follows the lost ACK mends it without any timer, for each segment carries the ACK: here B's timer
// would but give up.
TEST_P(TheWhy, TextMendsALostThirdSegmentAtOnce) {
  for (const bool text : {false, true}) {
    StageSettings with = plain();
    with.b.tcp.synack_retries = 0;
    Stage s{packets(), with};
    s.b_listens();
    s.lose(Side::a, "ACK");
    s.a_connects();
    s.run(Duration::ms(50));
    EXPECT_EQ(s.state(Side::b), State::SynReceived);
    if (text) s.say(Side::a, "hello");
    s.run(Duration::ms(50));
    EXPECT_EQ(s.state(Side::b), text ? State::Established : State::SynReceived);
    EXPECT_EQ(s.actor_b.received, text ? "hello" : "");
    EXPECT_EQ(s.host_b.count(tcp::Counter::retransmit_syn_ack), 0u);
    s.run(Duration::seconds(3));
    EXPECT_EQ(s.state(Side::b), text ? State::Established : State::Listen);
  }
}

// Why cookies? A flood of SYNs in borrowed names fills the backlog, and an honest client finds no room.
TEST_P(TheWhy, CookiesLetAnHonestClientInUnderAFlood) {
  for (const bool cookies : {false, true}) {
    StageSettings with = plain();
    with.b.backlog = 16;
    with.b.cookies = cookies ? tcp::CookieMode::Auto : tcp::CookieMode::Never;
    Stage s{packets(), with};
    s.host_b.choose_isn = {};
    s.b_listens();
    for (std::uint16_t i = 0; i < 100; ++i) {
      wire::Tcp h;
      h.src = Port{static_cast<std::uint16_t>(30'000 + i)};
      h.dst = Stage::port_b;
      h.seq = s.iss(Side::a) + i;
      h.flags = flag::syn;
      h.window = 1000;
      Frame f;
      wire::emit_tcp(h, start_ip(f, wire::emitted_length(h)).data());
      seal_tcp(f, Ip4{192, 0, 2, 1}, s.address_b, Ecn::not_ect); // an address where nobody answers
      s.net.inject(std::move(f), Duration{});
    }
    s.run(Duration::ms(1));
    s.a_connects();
    s.run(Duration::ms(500));
    EXPECT_EQ(s.state(Side::a), cookies ? State::Established : State::SynSent);
    EXPECT_LE(s.host_b.half_open(), 16u);
  }
}

} // namespace the_why_test
} // namespace tern::sim
