// The state × event table of tests/README.md, executed: every cell brings a connection into its column's
// state, lets its row's event happen, and compares everything that can be seen with what the cell says.
#include <fmt/format.h>

#include <fstream>
#include <map>
#include <sstream>

#include "happening.hpp"
#include "rig.hpp"
#include "sim/trace.hpp"
#include "tcp/recovery/recovery.hpp"

namespace tern::rfc {
namespace table_test {

// Where a segment lies in the receive window.
Seq place(const Rig& r, const std::string& where) {
  const Seq nxt = r.tcb.state == State::SynSent || r.tcb.state == State::Closed ? their_iss : r.tcb.rcv_nxt;
  const Seq edge =
      r.tcb.state == State::SynSent || r.tcb.state == State::Closed ? their_iss + 5000 : r.tcb.rcv_adv;
  if (where == "below") return nxt - 3 * piece;
  if (where == "across") return nxt - piece / 2; // begins below, ends inside
  if (where == "at") return nxt;
  if (where == "inside") return nxt + piece;
  if (where == "last") return edge - 1;
  if (where == "edge") return edge;
  if (where == "above") return edge + piece;
  if (where == "irs") return their_iss;
  ADD_FAILURE() << "where is " << where;
  return nxt;
}

Seq acknowledgement(const Rig& r, const std::string& which) {
  const tcp::Tcb& t = r.tcb;
  if (which == "ancient") return t.snd_una - t.max_snd_wnd - 1;
  if (which == "old") return t.snd_una - 1;
  if (which == "una") return t.snd_una;
  if (which == "between") return t.snd_una + 100;
  if (which == "nxt") return t.snd_nxt;
  if (which == "unsent") return t.snd_nxt + 1;
  ADD_FAILURE() << "which is " << which;
  return t.snd_una;
}

Happening parse_event(const std::string& text) {
  Happening e;
  std::istringstream in{text};
  std::string first;
  in >> first;
  if (first == "user") {
    std::getline(in >> std::ws, e.user);
    return e;
  }
  if (first == "timer") {
    std::getline(in >> std::ws, e.timer);
    return e;
  }
  static const std::map<std::string, std::uint8_t> bits{
      {"SYN", flag::syn}, {"ACK", flag::ack}, {"FIN", flag::fin}, {"RST", flag::rst}, {"data", 0}};
  std::istringstream words{first};
  for (std::string one; std::getline(words, one, '+');) {
    EXPECT_TRUE(bits.contains(one)) << text;
    e.flags |= bits.at(one);
    e.data |= one == "data";
  }
  std::string word;
  in >> e.where;
  while (in >> word)
    if (word == "ack") in >> e.ack;
  return e;
}

bool tcp_may_receive(State s) {
  return s == State::Established || s == State::FinWait1 || s == State::FinWait2;
}
bool synchronized_and_sending(State s) {
  return s >= State::Established && s != State::FinWait2 && s != State::TimeWait;
}

// From ESTABLISHED into another state, with what is unacknowledged or unsent left as it is.
bool close_to(Rig& r, State state, std::uint16_t window) {
  const auto close = [&] { r.user([&] { tcp::close(r.env(), r.tcb, r.now, r.outcome); }); };
  const auto peer_closes = [&] { r.arrives(r.tcb.rcv_nxt, flag::fin | flag::ack, r.tcb.snd_una, 0, window); };
  if (state == State::CloseWait || state == State::LastAck) peer_closes();
  if (state == State::FinWait1 || state == State::Closing || state == State::LastAck) close();
  if (state == State::Closing) peer_closes();
  return r.tcb.state == state;
}

tcp::Settings settings_for(const Happening& e) {
  tcp::Settings s = Rig::plain_settings();
  if (e.timer.starts_with("keepalive")) {
    s.keepalive_idle = Duration::seconds(10);
    s.keepalive_interval = Duration::seconds(1);
    s.keepalive_probes = 3;
  }
  if (e.timer == "CLOSE-WAIT, forgotten") s.close_wait = Duration::seconds(10);
  if (e.timer == "user timeout") s.user_timeout = Duration::seconds(5);
  return s;
}

// Some timers want more than the state's plain life. False if the state cannot have them.
bool enter_for(Rig& r, State state, const std::string& timer) {
  if (timer == "persist") { // 50 bytes that a shut window holds back
    if (!synchronized_and_sending(state)) return false;
    enter(r, State::Established);
    r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_nxt, 0, 0);
    say(r, 50);
    return close_to(r, state, 0);
  }
  if (timer == "tail loss probe" || timer == "RACK reordering") { // three segments in flight, SACK agreed on
    if (!synchronized_and_sending(state)) return false;
    enter(r, State::Established);
    r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_nxt);
    r.tcb.set(tcp::flag_sack);
    const std::uint32_t mss = r.tcb.mss;
    say(r, 3 * mss);
    if (!close_to(r, state, 5000)) return false;
    if (timer == "tail loss probe") return true;
    wire::Tcp h; // the third arrived, and may only have overtaken the others
    h.seq = r.tcb.rcv_nxt;
    h.ack = r.tcb.snd_una;
    h.flags = flag::ack;
    h.window = 5000;
    h.options.sack_count = 1;
    h.options.sack[0] = {r.tcb.snd_una + 2 * mss, r.tcb.snd_una + 3 * mss};
    r.pass(Duration::ms(10));
    r.arrives(h, 0);
    return true;
  }
  enter(r, state);
  if (!timer.starts_with("keepalive") && !timer.starts_with("CLOSE-WAIT")) return true;
  if (state < State::Established) return false;
  r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_nxt); // a connection that rests
  return r.tcb.state == state;
}

bool timer_happens(Rig& r, const std::string& timer) {
  const auto env = r.env();
  if (timer == "delayed ACK") {
    r.tcb.quick_acks = 0;
    r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_una, 10);
    return r.tcb.ack_at_ms != 0 && r.timer_fires();
  }
  if (timer == "FIN-WAIT-2, let go") {
    r.user([&] { tcp::orphan(env, r.tcb, tcp::Farewell::Reset, r.now, r.outcome); });
    return r.tcb.state == State::FinWait2 && r.timer_fires();
  }
  if (timer == "CLOSE-WAIT, forgotten") return r.tcb.state == State::CloseWait && r.timer_fires();
  if (timer == "persist") return r.tcb.rtx == tcp::RtxTimer::Persist && r.timer_fires();
  if (timer == "tail loss probe") return r.tcb.rtx == tcp::RtxTimer::Tlp && r.timer_fires();
  if (timer == "RACK reordering") return r.tcb.rtx == tcp::RtxTimer::Rack && r.timer_fires();
  if (timer == "keepalive") { // lazily: it may have to look twice
    for (int i = 0; i < 2 && r.sent.empty(); ++i)
      if (r.tcb.idle_at_ms == 0 || !r.timer_fires()) return false;
    return true;
  }
  if (timer == "keepalive, the last" || timer == "user timeout") {
    if (r.tcb.state == State::Closed) return false;
    for (int i = 0; i < 20 && r.tcb.state != State::Closed; ++i)
      if (!r.timer_fires()) return false;
    return r.tcb.state == State::Closed;
  }
  if (timer == "retransmission, the last") r.tcb.rtx_count = r.tcb.rtx_backoff = 100;
  return r.timer_fires();
}

// False if the event cannot happen in this state.
bool happen(Rig& r, const Happening& e) {
  static const std::vector<std::byte> bytes(50, std::byte{'y'});
  const auto env = r.env();
  if (!e.timer.empty()) return timer_happens(r, e.timer);
  if (e.user == "send")
    r.user([&] { (void)tcp::send_static(env, r.tcb, bytes, r.now); });
  else if (e.user == "close")
    r.user([&] { tcp::close(env, r.tcb, r.now, r.outcome); });
  else if (e.user == "abort")
    r.user([&] { tcp::abort(env, r.tcb, r.outcome); });
  else if (e.user == "release")
    r.user([&] { tcp::orphan(env, r.tcb, tcp::Farewell::Reset, r.now, r.outcome); });
  else if (e.user == "drain")
    r.user([&] { tcp::orphan(env, r.tcb, tcp::Farewell::Drain, r.now, r.outcome); });
  else if (e.user == "release, text unread") {
    if (!tcp_may_receive(r.tcb.state)) return false;
    r.user_reads = false;
    r.arrives(r.tcb.rcv_nxt, flag::ack, r.tcb.snd_una, piece);
    r.user([&] { tcp::orphan(env, r.tcb, tcp::Farewell::Reset, r.now, r.outcome); });
  } else {
    if (e.ack == "between" && r.tcb.outstanding() < 200) return false;
    const std::uint8_t flags = static_cast<std::uint8_t>(e.flags | (e.ack.empty() ? 0 : flag::ack));
    r.arrives(place(r, e.where), flags, e.ack.empty() ? Seq{} : acknowledgement(r, e.ack),
              e.data ? piece : 0);
  }
  return true;
}

const char* short_name(State s) {
  switch (s) {
    case State::Closed:
      return "CLOSED";
    case State::SynSent:
      return "SYN-SENT";
    case State::SynReceived:
      return "SYN-RCVD";
    case State::Established:
      return "ESTAB";
    case State::FinWait1:
      return "FIN-W-1";
    case State::FinWait2:
      return "FIN-W-2";
    case State::CloseWait:
      return "CLOSE-W";
    case State::Closing:
      return "CLOSING";
    case State::LastAck:
      return "LAST-ACK";
    case State::TimeWait:
      return "TIME-W";
    case State::Listen:
      return "LISTEN";
  }
  return "?";
}

// A segment in words; its numbers are part of the words when they are what they ought to be, and spelled out
// when not.
std::string describe(const Rig& r, const Sent& s, Seq nxt_before) {
  std::string text = sim::flags_of(static_cast<std::uint8_t>(s.h.flags & ~flag::psh));
  static const std::map<std::string, std::string> words{
      {"S", "syn"}, {"S.", "syn,ack"}, {".", "ack"}, {"F.", "fin"}, {"R.", "rst"}};
  std::string word = words.contains(text) ? words.at(text) : text;
  const tcp::Tcb& t = r.tcb;
  if (s.text != 0) word = (word == "fin" ? "text,fin" : "text");
  Seq expected = t.snd_nxt;
  const Seq end = s.h.seq + s.text + (s.h.has(flag::fin) ? 1U : 0U);
  if (s.h.seq == t.snd_una - 1 && s.text == 0)
    expected = t.snd_una - 1, word = "probe";
  else if (s.h.seq.after(t.snd_una) && s.h.seq.before(nxt_before) && end == nxt_before)
    expected = s.h.seq, word = "tail again";
  else if (s.h.has(flag::syn))
    expected = our_iss;
  else if (s.h.has(flag::rst))
    expected = t.snd_nxt;
  else if (s.h.seq == t.snd_una && s.h.seq.before(nxt_before))
    expected = t.snd_una, word = "again"; // a retransmission
  else if (s.text != 0 || s.h.has(flag::fin))
    expected = nxt_before;
  if (s.h.seq != expected)
    word += fmt::format(" seq=expected{:+}", static_cast<std::int32_t>(s.h.seq.since(expected)));
  if (s.h.has(flag::ack) && s.h.ack != t.rcv_nxt)
    word += fmt::format(" ack=rcv.nxt{:+}", static_cast<std::int32_t>(s.h.ack.since(t.rcv_nxt)));
  return word;
}

std::string cell(State state, const std::string& event) {
  const Happening e = parse_event(event);
  Rig r{settings_for(e)};
  if (!enter_for(r, state, e.timer)) return "n/a";
  if (::testing::Test::HasFatalFailure()) return "?";
  const Seq nxt_before = r.tcb.snd_nxt;
  const Seq end_before = r.tcb.snd_end;
  const Seq probe_ack = e.ack.empty() ? Seq{} : acknowledgement(r, e.ack);
  const Seq probe_end = e.where.empty() ? Seq{}
                                        : place(r, e.where) + (e.data ? piece : 0) +
                                              ((e.flags & flag::syn) != 0) + ((e.flags & flag::fin) != 0);
  if (!happen(r, e)) return "n/a";
  std::vector<std::string> parts;
  for (const Sent& s : r.sent) parts.push_back(describe(r, s, nxt_before));
  if (r.outcome.reply_reset) {
    // RFC 9293 §3.10.7.1: <SEQ=SEG.ACK><CTL=RST>, or <SEQ=0><ACK=SEG.SEQ+SEG.LEN><CTL=RST,ACK>.
    const bool right = r.outcome.reset_has_ack
                           ? r.outcome.reset_seq == Seq{} && r.outcome.reset_ack == probe_end
                           : r.outcome.reset_seq == probe_ack;
    parts.push_back(std::string{r.outcome.reset_has_ack ? "rst(0)" : "rst(seg.ack)"} +
                    (right ? "" : " WRONG"));
  }
  if (r.outcome.has(tcp::event_established)) parts.push_back("*open*");
  if (r.outcome.has(tcp::event_data)) parts.push_back("*data*");
  if (r.outcome.has(tcp::event_peer_closed)) parts.push_back("*eof*");
  if (r.outcome.has(tcp::event_closed)) parts.push_back(fmt::format("*{}*", name_of(r.outcome.reason)));
  if (e.user == "send" && r.tcb.snd_end != end_before && r.sent.empty()) parts.push_back("queued");
  if (e.user == "send" && r.tcb.snd_end == end_before) parts.push_back("refused");
  if (!r.stream_intact) parts.push_back("CORRUPT");
  std::string s;
  if (r.tcb.state != state) s = fmt::format("→ {}", short_name(r.tcb.state));
  for (const std::string& p : parts) s += (s.empty() ? "" : " ") + p;
  return s.empty() ? "–" : s;
}

std::string trim(std::string s) {
  const auto first = s.find_first_not_of(' ');
  return first == std::string::npos ? "" : s.substr(first, s.find_last_not_of(' ') - first + 1);
}

std::vector<std::string> columns_of(const std::string& line) {
  std::vector<std::string> all;
  std::istringstream in{line.substr(1)};
  for (std::string one; std::getline(in, one, '|');) all.push_back(trim(one));
  return all;
}

// The table between its two marks, as it stands in tests/README.md.
std::vector<std::vector<std::string>> table() {
  std::ifstream in{TERN_TESTS_README};
  std::vector<std::vector<std::string>> rows;
  bool inside = false;
  for (std::string line; std::getline(in, line);) {
    if (line == "<!-- state × event -->")
      inside = true;
    else if (line == "<!-- end of state × event -->")
      inside = false;
    else if (inside && line.starts_with('|') && !line.starts_with("|-"))
      rows.push_back(columns_of(line));
  }
  return rows;
}

TEST(StateTable, EveryCellOfTheReadmeIsWhatTheEngineDoes) {
  const auto rows = table();
  ASSERT_GT(rows.size(), 40u) << TERN_TESTS_README;
  std::map<std::string, State> states;
  for (int i = 0; i <= static_cast<int>(State::TimeWait); ++i)
    states[short_name(static_cast<State>(i))] = static_cast<State>(i);
  const std::vector<std::string>& head = rows.front();
  ASSERT_EQ(head.size(), 13u);
  static const std::map<std::string, Door> doors{
      {"LISTEN", Door::Listen}, {"SYN-R.(L)", Door::HalfOpen}, {"TIME-W", Door::TimeWait}};
  std::string actual;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    ASSERT_EQ(rows[i].size(), head.size()) << rows[i][0];
    std::string line = "| " + rows[i][0];
    for (std::size_t c = 1; c < head.size(); ++c) {
      const auto door = doors.find(head[c]);
      ASSERT_TRUE(door != doors.end() || states.contains(head[c])) << head[c];
      const std::string now = door != doors.end() ? door_cell(door->second, parse_event(rows[i][0]))
                                                  : cell(states[head[c]], rows[i][0]);
      EXPECT_EQ(now, rows[i][c]) << head[c] << " × " << rows[i][0];
      line += " | " + now;
    }
    actual += line + " |\n";
  }
  if (HasFailure()) std::fputs(actual.c_str(), stderr); // as it is, to be compared by a person
}

} // namespace table_test
} // namespace tern::rfc
