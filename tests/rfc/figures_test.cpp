// RFC 9293's figures 6 to 13, each played by two engines over a simulated link. Each is played twice: with
// the figures' own numbers, and beside the wrap-around, where only the differences are the figures'.
#include "rig.hpp"
#include "sim/story.hpp"

namespace tern::rfc {
namespace figures_test {

using sim::Side;
using sim::Stage;
using sim::StageSettings;
using Steps = std::vector<std::string>;

class Figure : public ::testing::TestWithParam<bool> {
 protected:
  // Opens, and forgets how.
  static std::size_t opened(Stage& s) {
    s.b_listens();
    s.a_connects();
    s.run(Duration::ms(100));
    EXPECT_EQ(s.state(Side::a), State::Established);
    EXPECT_EQ(s.state(Side::b), State::Established);
    return s.steps().size();
  }
  static Steps since(const Stage& s, std::size_t n) {
    const Steps all = s.steps();
    return {all.begin() + static_cast<std::ptrdiff_t>(n), all.end()};
  }
  StageSettings with_ = StageSettings::both_plain(GetParam());
};

TEST_P(Figure, Six_BasicThreeWayHandshake) {
  Stage s{packets(), with_};
  s.b_listens();
  s.a_connects();
  s.run(Duration::ms(100));
  s.say(Side::a, "data");
  s.run(Duration::ms(15)); // not until B's ACK of it has come
  EXPECT_EQ(s.steps(), (Steps{
                           "SYN-SENT | --> <SEQ=100><CTL=SYN> | SYN-RECEIVED",
                           "ESTABLISHED | <-- <SEQ=300><ACK=101><CTL=SYN,ACK> | SYN-RECEIVED",
                           "ESTABLISHED | --> <SEQ=101><ACK=301><CTL=ACK> | ESTABLISHED",
                           "ESTABLISHED | --> <SEQ=101><ACK=301><DATA=4><CTL=ACK> | ESTABLISHED",
                           "ESTABLISHED | ... <-- <SEQ=301><ACK=105><CTL=ACK> | ESTABLISHED",
                       }));
  EXPECT_EQ(s.actor_b.received, "data");
}

TEST_P(Figure, Seven_SimultaneousOpen) {
  Stage s{packets(), with_};
  s.a_connects();
  s.host_b.connect(Stage::port_b, s.address_a, Stage::port_a, s.actor_b);
  s.run(Duration::seconds(10));
  EXPECT_EQ(s.steps(), (Steps{
                           "SYN-SENT | --> ... <SEQ=100><CTL=SYN> | CLOSED",
                           "SYN-SENT | ... <-- <SEQ=300><CTL=SYN> | SYN-SENT",
                           "SYN-SENT | ... --> <SEQ=100><CTL=SYN> | SYN-RECEIVED",
                           "SYN-SENT | ... <-- <SEQ=300><ACK=101><CTL=SYN,ACK> | SYN-RECEIVED",
                           "SYN-RECEIVED | <-- ... <SEQ=300><CTL=SYN> | SYN-RECEIVED",
                           "SYN-RECEIVED | --> ... <SEQ=100><ACK=301><CTL=SYN,ACK> | SYN-RECEIVED",
                           "ESTABLISHED | <-- ... <SEQ=300><ACK=101><CTL=SYN,ACK> | SYN-RECEIVED",
                           "ESTABLISHED | ... --> <SEQ=100><ACK=301><CTL=SYN,ACK> | ESTABLISHED",
                       }));
}

TEST_P(Figure, Eight_RecoveryFromOldDuplicateSyn) {
  Stage s{packets(), with_};
  s.b_listens();
  s.hold(Side::a, "SYN", Duration::ms(200)); // the old one overtakes it
  s.a_connects();
  s.old_duplicate(Side::a, with_.iss_a - 10, flag::syn);
  s.run(Duration::seconds(5));
  EXPECT_EQ(s.steps(), (Steps{
                           "SYN-SENT | --> ... <SEQ=100><CTL=SYN> | CLOSED",
                           "SYN-SENT | ... --> <SEQ=90><CTL=SYN> | SYN-RECEIVED",
                           "SYN-SENT | <-- <SEQ=300><ACK=91><CTL=SYN,ACK> | SYN-RECEIVED",
                           "SYN-SENT | --> <SEQ=91><CTL=RST> | LISTEN",
                           "SYN-SENT | ... --> <SEQ=100><CTL=SYN> | SYN-RECEIVED",
                           "ESTABLISHED | <-- <SEQ=300><ACK=101><CTL=SYN,ACK> | SYN-RECEIVED",
                           "ESTABLISHED | --> <SEQ=101><ACK=301><CTL=ACK> | ESTABLISHED",
                       }));
  EXPECT_EQ(s.host_b.open_connections(), 1u);
  EXPECT_EQ(s.host_b.half_open(), 0u);
}

TEST_P(Figure, Nine_HalfOpenDiscoveredByTheOneThatCrashed) {
  Stage s{packets(), with_};
  const std::size_t n = opened(s);
  s.host_a.crash();
  s.host_a.choose_isn = [this](Port, Ip4, Port) { return with_.iss_a + 300; };
  s.a_connects();
  s.run(Duration::ms(500));
  EXPECT_EQ(since(s, n), (Steps{
                             "CLOSED |  | ESTABLISHED",
                             "SYN-SENT | --> <SEQ=400><CTL=SYN> | ESTABLISHED",
                             "SYN-SENT | <-- <SEQ=301><ACK=101><CTL=ACK> | ESTABLISHED",
                             "SYN-SENT | --> ... <SEQ=101><CTL=RST> | ESTABLISHED",
                             "SYN-SENT | A: SYN timer | ESTABLISHED", // line 7 of the figure, as soon as that
                             "SYN-SENT | --> ... <SEQ=400><CTL=SYN> | ESTABLISHED",
                             "SYN-SENT | ... --> <SEQ=101><CTL=RST> | CLOSED",
                             "SYN-SENT | ... --> <SEQ=400><CTL=SYN> | SYN-RECEIVED",
                             "ESTABLISHED | <-- <SEQ=300><ACK=401><CTL=SYN,ACK> | SYN-RECEIVED",
                             "ESTABLISHED | --> <SEQ=401><ACK=301><CTL=ACK> | ESTABLISHED",
                         }));
  EXPECT_EQ(s.actor_b.reason, tcp::CloseReason::Reset);
  EXPECT_EQ(s.state(Side::a), State::Established);
}

TEST_P(Figure, Ten_HalfOpenDiscoveredByTheOtherSide) {
  Stage s{packets(), with_};
  const std::size_t n = opened(s);
  s.host_a.crash();
  s.say(Side::b, "data");
  s.run(Duration::seconds(1));
  EXPECT_EQ(since(s, n), (Steps{
                             "CLOSED |  | ESTABLISHED",
                             "CLOSED | <-- <SEQ=301><ACK=101><DATA=4><CTL=ACK> | ESTABLISHED",
                             "CLOSED | --> <SEQ=101><CTL=RST> | CLOSED",
                         }));
  EXPECT_EQ(s.actor_b.reason, tcp::CloseReason::Reset);
}

TEST_P(Figure, Eleven_OldDuplicateSynResetsTwoPassiveSockets) {
  Stage s{packets(), with_};
  s.host_a.listen(Stage::port_a, s.actor_a);
  s.b_listens();
  s.old_duplicate(Side::a, with_.iss_a - 10, flag::syn);
  s.run(Duration::seconds(5));
  EXPECT_EQ(s.steps(), (Steps{
                           "CLOSED | ... --> <SEQ=90><CTL=SYN> | SYN-RECEIVED",
                           "CLOSED | <-- <SEQ=300><ACK=91><CTL=SYN,ACK> | SYN-RECEIVED",
                           "CLOSED | --> <SEQ=91><CTL=RST> | LISTEN",
                       }));
  EXPECT_EQ(s.state(Side::a), State::Listen);
  EXPECT_EQ(s.state(Side::b), State::Listen);
}

TEST_P(Figure, Twelve_NormalClose) {
  Stage s{packets(), with_};
  const std::size_t n = opened(s);
  s.close(Side::a);
  s.run(Duration::ms(100));
  s.close(Side::b);
  s.run(Duration::seconds(61));
  EXPECT_EQ(since(s, n), (Steps{
                             "FIN-WAIT-1 | --> <SEQ=101><ACK=301><CTL=FIN,ACK> | CLOSE-WAIT",
                             "FIN-WAIT-2 | <-- <SEQ=301><ACK=102><CTL=ACK> | CLOSE-WAIT",
                             "TIME-WAIT | <-- <SEQ=301><ACK=102><CTL=FIN,ACK> | LAST-ACK",
                             "TIME-WAIT | --> <SEQ=102><ACK=302><CTL=ACK> | CLOSED",
                             "TIME-WAIT | A: 2MSL timer | CLOSED",
                             "CLOSED |  | CLOSED",
                         }));
  EXPECT_EQ(s.actor_a.reason, tcp::CloseReason::Done);
  EXPECT_EQ(s.actor_b.reason, tcp::CloseReason::Done);
}

TEST_P(Figure, Thirteen_SimultaneousClose) {
  Stage s{packets(), with_};
  const std::size_t n = opened(s);
  s.close(Side::a);
  s.close(Side::b);
  s.run(Duration::seconds(1));
  EXPECT_EQ(since(s, n), (Steps{
                             "FIN-WAIT-1 | --> ... <SEQ=101><ACK=301><CTL=FIN,ACK> | ESTABLISHED",
                             "FIN-WAIT-1 | ... <-- <SEQ=301><ACK=101><CTL=FIN,ACK> | FIN-WAIT-1",
                             "FIN-WAIT-1 | ... --> <SEQ=101><ACK=301><CTL=FIN,ACK> | CLOSING",
                             "FIN-WAIT-1 | ... <-- <SEQ=302><ACK=102><CTL=ACK> | CLOSING",
                             "CLOSING | <-- ... <SEQ=301><ACK=101><CTL=FIN,ACK> | CLOSING",
                             "CLOSING | --> ... <SEQ=102><ACK=302><CTL=ACK> | CLOSING",
                             "TIME-WAIT | <-- ... <SEQ=302><ACK=102><CTL=ACK> | CLOSING",
                             "TIME-WAIT | ... --> <SEQ=102><ACK=302><CTL=ACK> | TIME-WAIT",
                         }));
}

INSTANTIATE_TEST_SUITE_P(Numbers, Figure, ::testing::Bool(),
                         [](const auto& i) { return i.param ? "BesideTheWrapAround" : "OfTheFigure"; });

} // namespace figures_test
} // namespace tern::rfc
