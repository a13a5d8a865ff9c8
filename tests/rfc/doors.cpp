// The columns of the state × event table that are no connections: LISTEN, a listener's SYN-RECEIVED,
// TIME-WAIT.
#include <map>

#include "happening.hpp"
#include "rig.hpp"
#include "tcp/listen.hpp"
#include "tcp/syn_received.hpp"
#include "tcp/time_wait.hpp"

namespace tern::rfc {
namespace {

struct Doors {
  explicit Doors(Door d) : door(d) {
    origin = d == Door::Listen ? their_iss : their_iss + 1;
    if (d == Door::TimeWait) una = nxt;
    const tcp::TimeWaitFacts facts{.snd_nxt = nxt, .rcv_nxt = origin, .rcv_wnd = 5000};
    waiting = tcp::make_time_wait(env, facts);
    wire::Tcp syn;
    syn.seq = their_iss;
    syn.flags = flag::syn;
    syn.window = 5000;
    half_open = tcp::make_syn_record(settings, syn, 536, {our_iss, 0}, now);
  }

  [[nodiscard]] Seq place(const std::string& where) const {
    const std::uint32_t window = door == Door::HalfOpen ? tcp::first_window(settings) : 5000;
    const std::map<std::string, Seq> places{{"below", origin - 3 * piece},
                                            {"across", origin - piece / 2},
                                            {"at", origin},
                                            {"inside", origin + piece},
                                            {"last", origin + window - 1},
                                            {"edge", origin + window},
                                            {"above", origin + window + piece},
                                            {"irs", their_iss}};
    return places.at(where);
  }
  [[nodiscard]] Seq acknowledgement(const std::string& which) const {
    const std::map<std::string, Seq> numbers{
        {"ancient", una - 65'536}, {"old", una - 1}, {"una", una}, {"nxt", nxt}, {"unsent", nxt + 1}};
    return numbers.at(which);
  }
  [[nodiscard]] std::string say(const wire::Tcp& reply, const tcp::Segment& s) const {
    if (reply.has(flag::rst) && reply.has(flag::ack))
      return reply.seq == Seq{} && reply.ack == s.end() ? "rst(0)" : "rst WRONG";
    if (reply.has(flag::rst)) return reply.seq == s.h.ack ? "rst(seg.ack)" : "rst WRONG";
    if (reply.has(flag::syn))
      return reply.ack == s.h.seq + 1 || door == Door::HalfOpen ? "syn,ack" : "syn,ack WRONG";
    return reply.seq == nxt && reply.ack == origin ? "ack" : "ack WRONG";
  }

  Door door;
  Seq origin; // the left edge of what the peer may send
  Seq una = our_iss;
  Seq nxt = our_iss + 1;
  tcp::Settings settings = Rig::plain_settings();
  tcp::TcpCounters counters;
  tcp::Env env{settings, counters, packets(), {}};
  Instant now = Instant{} + Duration::seconds(100);
  tcp::SynGate gate{tcp::derive_secrets({1, 2}), 0};
  tcp::SynRecord half_open;
  tcp::TimeWaitRecord waiting;
};

std::string at_listener(Doors& d, const tcp::Segment& s) {
  const std::array<unsigned char, 12> key{};
  tcp::ListenOutcome out;
  const tcp::ListenRoom room{.mtu_mss = interface_mss, .record = true, .accept = true};
  switch (tcp::listen_arrives(d.env, d.gate, tcp::CookieMode::Auto, room, tcp::Tuple4::from(key.data()), s,
                              d.now, out)) {
    case tcp::ListenVerdict::Drop:
      return "–";
    case tcp::ListenVerdict::Reply:
      return d.say(out.reply, s);
    case tcp::ListenVerdict::Record:
      return "→ SYN-RCVD " + d.say(tcp::syn_ack(d.env.settings, out.record, interface_mss, d.now), s);
    case tcp::ListenVerdict::Complete:
      break;
  }
  return "?";
}

std::string at_half_open(Doors& d, const tcp::Segment& s) {
  wire::Tcp reply;
  switch (tcp::syn_received_arrives(d.env, d.half_open, s, interface_mss, true, d.now, reply)) {
    case tcp::SynVerdict::Drop:
      return "–";
    case tcp::SynVerdict::Reply:
      return d.say(reply, s);
    case tcp::SynVerdict::Closed:
      return "→ LISTEN";
    case tcp::SynVerdict::Complete:
      return "→ ESTAB *open*";
  }
  return "?";
}

std::string at_time_wait(Doors& d, const tcp::Segment& s) {
  wire::Tcp reply;
  switch (tcp::time_wait_arrives(d.env, d.waiting, s, d.now, reply)) {
    case tcp::TimeWaitVerdict::Drop:
      return "–";
    case tcp::TimeWaitVerdict::Reply:
      return d.say(reply, s);
    case tcp::TimeWaitVerdict::Restart:
      return d.say(reply, s) + ", 2MSL";
    case tcp::TimeWaitVerdict::Reuse:
      return "→ SYN-RCVD";
  }
  return "?";
}

std::string timer(Doors& d, const std::string& which) {
  if (d.door != Door::HalfOpen || !which.starts_with("retransmission")) return "n/a";
  if (which.ends_with("the last")) d.half_open.retries = d.settings.synack_retries;
  return tcp::syn_ack_timer_fires(d.env, d.half_open) ? "syn,ack" : "→ LISTEN";
}

} // namespace

std::string door_cell(Door door, const Happening& e) {
  Doors d{door};
  if (!e.timer.empty()) return timer(d, e.timer);
  if (!e.user.empty() || e.ack == "between") return "n/a";
  wire::Tcp h;
  h.seq = d.place(e.where);
  h.flags = static_cast<std::uint8_t>(e.flags | (e.ack.empty() ? 0 : flag::ack));
  if (!e.ack.empty()) h.ack = d.acknowledgement(e.ack);
  h.window = 5000;
  const tcp::Segment s{.h = h, .payload = nullptr, .text = e.data ? piece : 0};
  switch (door) {
    case Door::Listen:
      return at_listener(d, s);
    case Door::HalfOpen:
      return at_half_open(d, s);
    case Door::TimeWait:
      return at_time_wait(d, s);
  }
  return "?";
}

} // namespace tern::rfc
