#include "sim/story.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <span>

#include "wire/tcp_inl.hpp"

namespace tern::sim {

namespace flag = wire::tcp_flag;
using tcp::State;

// ---- Actor

void Actor::established(EngineHost& h, ConnId which) {
  id = which;
  ++opened;
  if (on_established) on_established(h, which);
}

void Actor::data(EngineHost& h, ConnId which, Packet text) {
  const std::size_t at = received.size();
  received.resize(at + text.length());
  text.copy_out(0, std::as_writable_bytes(std::span{received}).subspan(at));
  h.release_received(which, text.length());
}

void Actor::peer_closed(EngineHost& h, ConnId which) {
  ++peers_closed;
  if (on_peer_closed) on_peer_closed(h, which);
}

void Actor::closed(EngineHost&, ConnId, tcp::CloseReason why) {
  ++ended;
  reason = why;
}

// ---- Stage

EngineHostSettings StageSettings::plain() {
  EngineHostSettings s;
  s.tcp.timestamps = false;
  s.tcp.sack = false;
  s.tcp.window_scale = false;
  return s;
}

StageSettings StageSettings::both_plain(bool beside_the_wrap) {
  StageSettings s;
  s.a = s.b = plain();
  if (beside_the_wrap) {
    s.iss_a = Seq{0xffff'ffff};
    s.iss_b = Seq{0xffff'fffe};
  }
  return s;
}

Stage::Stage(PacketPool packets, const StageSettings& s)
    : net(1),
      host_a("A", Ip4{10, 0, 0, 1}, packets, s.a),
      host_b("B", Ip4{10, 0, 0, 2}, packets, s.b),
      settings_(s) {
  node_a_ = net.add_host("A", address_a, host_a);
  const NodeId node_b = net.add_host("B", address_b, host_b);
  LinkSettings link;
  link.delay = s.delay;
  link_ = net.add_link(node_a_, node_b, link);
  host_a.choose_isn = [this](Port, Ip4, Port) { return settings_.iss_a; };
  host_b.choose_isn = [this](Port, Ip4, Port) { return settings_.iss_b; };
  watch_host(host_a, Side::a);
  watch_host(host_b, Side::b);
  net.watch = [this](const Sighting& x) { sighting(x); };
  net.link(link_).script = [this](Bytes f, Instant) { return fate(Side::a, f); };
  net.link(link_ + 1).script = [this](Bytes f, Instant) { return fate(Side::b, f); };
}

void Stage::watch_host(EngineHost& h, Side side) {
  h.watcher.state = [this, side](const EngineHost&, State, State to) {
    entries_.push_back({Entry::Kind::state, net.now(), side, 0, name_of(to)});
  };
  h.watcher.timer = [this, side](const EngineHost&, const std::string& what) {
    entries_.push_back({Entry::Kind::timer, net.now(), side, 0, what});
  };
}

void Stage::say(Side who, std::string_view text) {
  EngineHost& h = who == Side::a ? host_a : host_b;
  Actor& actor = who == Side::a ? actor_a : actor_b;
  (void)h.send(actor.id, std::as_bytes(std::span{text}));
}

void Stage::close(Side who) {
  EngineHost& h = who == Side::a ? host_a : host_b;
  h.close((who == Side::a ? actor_a : actor_b).id);
}

void Stage::note(std::string text) {
  entries_.push_back({Entry::Kind::note, net.now(), Side::a, 0, std::move(text)});
}

State Stage::state(Side who) const {
  return who == Side::a ? host_a.state_of(port_a, address_b, port_b)
                        : host_b.state_of(port_b, address_a, port_a);
}

void Stage::lose(Side from, std::string flags, int how_many) {
  rules_.push_back({from, std::move(flags), {Fate::Kind::drop, {}}, how_many});
}

void Stage::hold(Side from, std::string flags, Duration by, bool and_pass) {
  rules_.push_back({from, std::move(flags), {and_pass ? Fate::Kind::twice : Fate::Kind::hold, by}, 1});
}

namespace {

std::string control(std::uint8_t f) {
  std::string s;
  const auto add = [&](std::uint8_t bit, const char* name) {
    if ((f & bit) != 0) s += (s.empty() ? "" : ",") + std::string{name};
  };
  add(flag::syn, "SYN");
  add(flag::fin, "FIN");
  add(flag::rst, "RST");
  add(flag::ack, "ACK");
  return s;
}

} // namespace

Fate Stage::fate(Side from, Bytes frame) {
  const auto ip = view_ip(frame);
  const auto tcp = ip ? view_tcp(*ip) : std::nullopt;
  if (!tcp) return {Fate::Kind::pass, {}};
  for (Rule& r : rules_) {
    if (r.left == 0 || r.from != from || r.flags != control(tcp->h.flags)) continue;
    --r.left;
    return r.fate;
  }
  return {Fate::Kind::pass, {}};
}

void Stage::old_duplicate(Side from, Seq seq, std::uint8_t flags, Seq ack, std::string_view text) {
  wire::Tcp h;
  h.src = from == Side::a ? port_a : port_b;
  h.dst = from == Side::a ? port_b : port_a;
  h.seq = seq;
  h.ack = ack;
  h.flags = flags;
  h.window = 65535;
  Frame f;
  const std::span<std::byte> room = start_ip(f, wire::emitted_length(h) + text.size());
  wire::emit_tcp(h, room.data());
  std::ranges::copy(std::as_bytes(std::span{text}), room.data() + wire::emitted_length(h));
  seal_tcp(f, from == Side::a ? address_a : address_b, from == Side::a ? address_b : address_a, Ecn::not_ect);
  net.inject(std::move(f), Duration{});
  net.run_for(Duration{});
}

// <SEQ=100><ACK=301><DATA=5><CTL=SYN,ACK>, with the figures' numbers whatever the real ones are.
std::string Stage::words(Bytes frame) const {
  const auto ip = view_ip(frame);
  const auto tcp = ip ? view_tcp(*ip) : std::nullopt;
  if (!tcp) return "<damaged>";
  const bool from_a = ip->src == address_a;
  const auto number = [](Seq s, Seq iss, std::uint32_t as) { return s.since(iss) + as; };
  const Seq own = from_a ? settings_.iss_a : settings_.iss_b;
  const Seq other = from_a ? settings_.iss_b : settings_.iss_a;
  std::string s = fmt::format("<SEQ={}>", number(tcp->h.seq, own, from_a ? 100 : 300));
  if (tcp->h.has(flag::rst) && tcp->h.has(flag::ack) && tcp->h.seq == Seq{}) s = "<SEQ=0>"; // §3.10.7.1
  if (tcp->h.has(flag::ack)) s += fmt::format("<ACK={}>", number(tcp->h.ack, other, from_a ? 300 : 100));
  if (!tcp->text.empty()) s += fmt::format("<DATA={}>", tcp->text.size());
  return s + fmt::format("<CTL={}>", control(tcp->h.flags));
}

void Stage::sighting(const Sighting& s) {
  using What = Sighting::What;
  const Side side = s.node == node_a_ ? Side::a : Side::b;
  // A packet is told by its bytes: a copy of it is the same packet on its way twice.
  std::uint64_t id = siphash24({3, 4}, s.frame);
  std::string text = words(s.frame);
  switch (s.what) {
    case What::sent:
      entries_.push_back({Entry::Kind::sent, s.at, side, id, std::move(text)});
      break;
    case What::arrived:
      entries_.push_back({Entry::Kind::arrived, s.at, side, id, std::move(text)});
      break;
    case What::dropped:
      entries_.push_back({Entry::Kind::dropped, s.at, side, id, std::move(text)});
      break;
    case What::marked:
    case What::damaged:
      break;
  }
}

// ---- The picture

std::vector<Stage::Rung> Stage::rungs() const {
  using Kind = Entry::Kind;
  std::vector<Rung> all;
  std::string state[2] = {"CLOSED", "CLOSED"};
  const auto of = [](Side s) { return static_cast<std::size_t>(s); };
  if (!entries_.empty() && entries_.front().kind == Kind::note) state[1] = "LISTEN";
  bool drawn[2] = {false, false}; // the state stands on a rung already
  const auto push = [&](Rung r) {
    r.left = state[0];
    r.right = state[1];
    drawn[0] = drawn[1] = true;
    all.push_back(std::move(r));
  };
  // States that the same event brought stand on its rung.
  const auto take_states = [&](std::size_t& i, Side side) {
    while (i + 1 < entries_.size() && entries_[i + 1].kind == Kind::state && entries_[i + 1].side == side &&
           entries_[i + 1].at == entries_[i].at)
      state[of(side)] = entries_[++i].text;
  };
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    const Side other = e.side == Side::a ? Side::b : Side::a;
    switch (e.kind) {
      case Kind::note:
        push({e.at, {}, {}, e.text, e.side, Rung::Kind::note});
        break;
      case Kind::timer:
        push({e.at, {}, {}, e.text, e.side, Rung::Kind::timer});
        break;
      case Kind::state: {
        state[of(e.side)] = e.text;
        drawn[of(e.side)] = false;
        // A change that no segment carries gets a rung of its own.
        const bool carried = i + 1 < entries_.size() && entries_[i + 1].at == e.at &&
                             entries_[i + 1].kind == Kind::sent && entries_[i + 1].side == e.side;
        if (!carried) push({e.at, {}, {}, {}, e.side, Rung::Kind::states});
        break;
      }
      case Kind::sent: {
        if (i + 1 < entries_.size() && entries_[i + 1].kind == Kind::dropped &&
            entries_[i + 1].packet == e.packet) {
          push({e.at, {}, {}, e.text, e.side, Rung::Kind::lost});
          ++i;
          break;
        }
        const bool next = i + 1 < entries_.size() && entries_[i + 1].kind == Kind::arrived &&
                          entries_[i + 1].packet == e.packet;
        if (!next) {
          push({e.at, {}, {}, e.text, e.side, Rung::Kind::leaves});
          break;
        }
        ++i;
        take_states(i, other);
        push({e.at, {}, {}, e.text, e.side, Rung::Kind::whole});
        break;
      }
      case Kind::arrived: {
        const Entry arrived = e;
        take_states(i, arrived.side);
        push({arrived.at, {}, {}, arrived.text, other, Rung::Kind::arrives});
        break;
      }
      case Kind::dropped:
        break;
    }
  }
  return all;
}

std::string Stage::ladder() const {
  constexpr std::size_t wide = 50;
  std::string picture = fmt::format("{:>10}  {:<13} {:^{}} {:>13}\n", "time", "A", "", wide, "B");
  for (const Rung& r : rungs()) {
    const bool right = r.from == Side::a;
    const std::size_t dashes = wide - std::min(wide, r.middle.size() + 2);
    const std::string near(dashes / 2, '-');
    const std::string far(dashes - dashes / 2, '-');
    const auto with = [&](std::string_view start, std::string_view end, char line) {
      std::string shaft = near + r.middle + far;
      if (line != '-')
        std::replace_if(
            shaft.begin(), shaft.end(), [](char c) { return c == '-'; }, line);
      std::string s = std::string{start} + shaft + std::string{end};
      return s;
    };
    std::string middle;
    switch (r.kind) {
      case Rung::Kind::whole:
        middle = right ? with("-", ">", '-') : with("<", "-", '-');
        break;
      case Rung::Kind::leaves:
        middle = right ? "-" + near + r.middle + "-> ..." : "... <-" + r.middle + near + "-";
        break;
      case Rung::Kind::arrives:
        middle = right ? "... -" + r.middle + near + "->" : "<-" + near + r.middle + "- ...";
        break;
      case Rung::Kind::lost:
        middle = right ? "-" + near + r.middle + "--X lost" : "lost X--" + r.middle + near + "-";
        break;
      case Rung::Kind::timer:
        middle = "* " + r.middle + (right ? " fires at A" : " fires at B");
        break;
      case Rung::Kind::note:
        middle = "(" + r.middle + ")";
        break;
      case Rung::Kind::states:
        break;
    }
    const bool to_right = (r.kind == Rung::Kind::arrives && right) ||
                          (r.kind == Rung::Kind::leaves && !right) || (r.kind == Rung::Kind::lost && !right);
    const bool centred = r.kind == Rung::Kind::timer || r.kind == Rung::Kind::note;
    std::string line = fmt::format("{:>10.3f}  {:<13} ", (r.at - Instant{}).as_seconds(), r.left);
    line += centred    ? fmt::format("{:^{}}", middle, wide)
            : to_right ? fmt::format("{:>{}}", middle, wide)
                       : fmt::format("{:<{}}", middle, wide);
    line += fmt::format(" {:>13}", r.right);
    picture += line + "\n";
  }
  return picture;
}

std::vector<std::string> Stage::steps() const {
  std::vector<std::string> all;
  for (const Rung& r : rungs()) {
    const bool right = r.from == Side::a;
    std::string arrow;
    switch (r.kind) {
      case Rung::Kind::whole:
        arrow = (right ? "--> " : "<-- ") + r.middle;
        break;
      case Rung::Kind::leaves:
        arrow = (right ? "--> ... " : "... <-- ") + r.middle;
        break;
      case Rung::Kind::arrives:
        arrow = (right ? "... --> " : "<-- ... ") + r.middle;
        break;
      case Rung::Kind::lost:
        arrow = (right ? "--X " : "X-- ") + r.middle;
        break;
      case Rung::Kind::timer:
        arrow = (right ? "A: " : "B: ") + r.middle;
        break;
      case Rung::Kind::note:
        arrow = r.middle;
        break;
      case Rung::Kind::states:
        break;
    }
    all.push_back(fmt::format("{} | {} | {}", r.left, arrow, r.right));
  }
  return all;
}

} // namespace tern::sim
