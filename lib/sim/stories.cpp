// The stories of `tern explain`: each one sets the stage, lets the engine play, and says why TCP does it so.
#include <fmt/format.h>

#include "sim/story.hpp"
#include "wire/tcp_inl.hpp"

namespace tern::sim {
namespace {

namespace flag = wire::tcp_flag;

StageSettings plain() {
  return StageSettings::both_plain();
}

StageSettings with_timestamps() {
  StageSettings s = plain();
  s.a.tcp.timestamps = s.b.tcp.timestamps = true;
  return s;
}

StageSettings with_cookies() {
  StageSettings s = plain();
  s.b.cookies = tcp::CookieMode::Always;
  return s;
}

void open(Stage& s) {
  s.b_listens();
  s.note("B listens");
  s.a_connects();
  s.run(Duration::ms(100));
}

void handshake(Stage& s) {
  s.b_listens();
  s.note("B listens");
  s.actor_a.on_established = [&](EngineHost&, ConnId id) {
    s.actor_a.id = id;
    s.say(Side::a, "request"); // rides on the third segment
  };
  s.a_connects();
  s.run(Duration::ms(60));
}

void close_both(Stage& s) {
  open(s);
  s.note("A has nothing more to send");
  s.close(Side::a);
  s.run(Duration::ms(60));
  s.note("nor has B");
  s.close(Side::b);
  s.run(Duration::seconds(61));
}

void half_close(Stage& s) {
  open(s);
  s.close(Side::a);
  s.run(Duration::ms(50));
  s.note("A has closed; B still talks");
  s.say(Side::b, "a long answer");
  s.run(Duration::ms(100));
  s.say(Side::b, "and some more");
  s.run(Duration::ms(100));
  s.close(Side::b);
  s.run(Duration::seconds(61));
}

void old_duplicate_syn(Stage& s) {
  s.b_listens();
  s.note("B listens");
  s.hold(Side::a, "SYN", Duration::ms(100));
  s.a_connects();
  s.note("an old connection's SYN gets to B first");
  s.old_duplicate(Side::a, s.iss(Side::a) - 10, flag::syn);
  s.run(Duration::ms(500));
}

void lost_third_ack(Stage& s) {
  s.b_listens();
  s.note("B listens");
  s.lose(Side::a, "ACK");
  s.a_connects();
  s.run(Duration::seconds(2));
}

void lost_syn_ack(Stage& s) {
  s.b_listens();
  s.note("B listens; nothing that it sends arrives");
  s.lose(Side::b, "SYN,ACK", 100);
  s.a_connects();
  s.run(Duration::ms(200));
  s.note("A is switched off");
  s.host_a.crash(); // so that the picture is of B's patience alone
  s.run(Duration::seconds(70));
}

void lost_last_ack(Stage& s) {
  open(s);
  s.close(Side::a);
  s.run(Duration::ms(50));
  s.note("the ACK of B's FIN will be lost");
  s.lose(Side::a, "ACK");
  s.close(Side::b);
  s.run(Duration::seconds(62));
}

void time_wait(Stage& s) {
  open(s);
  s.say(Side::b, "old text");
  s.run(Duration::ms(100));
  s.close(Side::a);
  s.run(Duration::ms(50));
  s.close(Side::b);
  s.run(Duration::seconds(1));
  s.note("a copy of B's text that took the long way");
  s.old_duplicate(Side::b, s.iss(Side::b) + 1, flag::ack, s.iss(Side::a) + 1, "old text");
  s.run(Duration::seconds(61));
}

void time_wait_reuse(Stage& s) {
  open(s);
  s.close(Side::b); // the side that listens closes first, and keeps TIME-WAIT
  s.run(Duration::ms(50));
  s.close(Side::a);
  s.run(Duration::seconds(2));
  s.note("the same ports again, two seconds later");
  s.host_a.choose_isn = [&s](Port, Ip4, Port) { return s.iss(Side::a) + 4900; };
  s.a_connects();
  s.run(Duration::ms(100));
}

void simultaneous_open(Stage& s) {
  s.a_connects();
  s.host_b.connect(Stage::port_b, s.address_a, Stage::port_a, s.actor_b);
  s.run(Duration::ms(500));
}

void simultaneous_close(Stage& s) {
  open(s);
  s.close(Side::a);
  s.close(Side::b);
  s.run(Duration::seconds(61));
}

void syn_cookie(Stage& s) {
  s.host_b.choose_isn = {}; // the cookie is the number
  s.b_listens();
  s.note("B listens, under flood: no memory for a SYN");
  s.a_connects();
  s.run(Duration::ms(15));
  s.note(fmt::format("B keeps nothing of A: {} half-open records", s.host_b.half_open()));
  s.run(Duration::ms(100));
}

} // namespace

std::vector<Story> stories() {
  return {
      {"handshake", "Opening: three segments", handshake, plain,
       "Each side must learn the other's first sequence number and hear its own come back, or an old segment "
       "could open a "
       "connection that nobody wants: that is four messages, of which B's two share a segment. The third can "
       "carry the "
       "request already, so it costs nothing."},
      {"close", "Closing: two FINs, each acknowledged", close_both, plain,
       "A connection is two streams, and each ends when its own sender says so: FIN and ACK in either "
       "direction, four segments "
       "unless B's ACK and FIN can share one. Whoever closes first stays in TIME-WAIT, since nobody will "
       "tell it whether its "
       "last ACK arrived."},
      {"half-close", "Half-close: A is done, B is not", half_close, plain,
       "A FIN ends one direction only: A can say \"that was the question\" and still hear the whole answer, "
       "however long it "
       "takes. B in CLOSE-WAIT sends and is acknowledged as ever."},
      {"old-duplicate-syn", "An old SYN arrives first (RFC 9293, figure 8)", old_duplicate_syn, plain,
       "B cannot tell an old SYN from a new one and must ask; A, which knows what it sent, answers the wrong "
       "acknowledgement "
       "with RST. Had two segments sufficed, B would now hold a connection that A never opened."},
      {"lost-third-ack", "The third segment of the handshake is lost", lost_third_ack, plain,
       "A thinks the connection open and B does not; B's timer sends the SYN-ACK again, and A acknowledges "
       "it again. Any text "
       "from A would have mended it too, for every segment carries the ACK."},
      {"lost-syn-ack", "SYN-ACKs into the void: back-off and giving up", lost_syn_ack, plain,
       "B sends its SYN-ACK again after 1, 2, 4, 8 and 16 seconds, doubling so as not to add to what may be "
       "congestion, and "
       "frees the record after 63 seconds. A half-open record is memory that a stranger made B spend, so "
       "patience has a limit."},
      {"lost-last-ack", "The last ACK is lost", lost_last_ack, plain,
       "B hears nothing and sends its FIN again; because A waits in TIME-WAIT it can acknowledge once more, "
       "and its 2MSL start "
       "anew. Without TIME-WAIT, B's FIN would meet RST and a connection that ended well would end in an "
       "error."},
      {"time-wait", "TIME-WAIT: an old duplicate dies", time_wait, plain,
       "A segment that took the long way finds a record that knows the connection is over: it is "
       "acknowledged with where things "
       "ended, and never delivered. After 2MSL nothing of the connection can still be in the network, and "
       "the record goes."},
      {"time-wait-reuse", "TIME-WAIT makes room for a new connection", time_wait_reuse, with_timestamps,
       "A SYN with a later timestamp or a higher sequence number cannot be an old duplicate, so TIME-WAIT "
       "gives way to it at "
       "once, and B's new numbers begin above all that the old connection used. So 2MSL need not stop a "
       "client that comes back."},
      {"simultaneous-open", "Both sides open at once (RFC 9293, figure 7)", simultaneous_open, plain,
       "Two SYNs that cross are two halves of one handshake: each side answers with its own SYN again and an "
       "ACK. The result is "
       "one connection, not two, for a connection is named by its two ends and not by who began."},
      {"simultaneous-close", "Both sides close at once (RFC 9293, figure 13)", simultaneous_close, plain,
       "Each FIN finds the other side waiting for the ACK of its own: CLOSING. Both were first to close, so "
       "both keep TIME-WAIT."},
      {"syn-cookie", "A SYN cookie: a handshake without memory", syn_cookie, with_cookies,
       "B's first sequence number is a keyed hash of the two ends, the time and A's options; the ACK brings "
       "it back plus one, "
       "and that proves A without B having kept a byte. A flood of SYNs from forged addresses then costs a "
       "hash each and "
       "nothing more."},
  };
}

const Story* find_story(std::string_view name) {
  static const std::vector<Story> all = stories();
  for (const Story& s : all)
    if (s.name == name) return &s;
  return nullptr;
}

std::string tell(const Story& story, PacketPool packets) {
  return tell(story, packets, story.settings());
}

std::string tell(const Story& story, PacketPool packets, const StageSettings& at) {
  Stage stage{packets, at};
  story.play(stage);
  std::string text =
      fmt::format("{}\n{}\n\n{}\n", story.title, std::string(story.title.size(), '='), stage.ladder());
  // The reason, in lines of a terminal's width.
  std::size_t column = 0;
  for (std::size_t from = 0; from < story.why.size();) {
    const std::size_t end = std::min(story.why.find(' ', from), story.why.size());
    const std::string_view word = story.why.substr(from, end - from);
    if (column + word.size() + 1 > 100) text += "\n", column = 0;
    if (column != 0) text += " ", ++column;
    text += word;
    column += word.size();
    from = end + 1;
  }
  return text + "\n";
}

} // namespace tern::sim
