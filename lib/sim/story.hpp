// Two hosts, one link, and a ladder of what passed between them, drawn as RFC 9293 draws its figures. `tern
// explain` tells its stories here, and the RFC's figures are tested here: with the real engine, in virtual
// time.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "sim/engine_host.hpp"
#include "sim/network.hpp"

namespace tern::sim {

// A user who does what the story says.
class Actor final : public App {
 public:
  void established(EngineHost& h, ConnId id) override;
  void data(EngineHost& h, ConnId id, Packet text) override;
  void peer_closed(EngineHost& h, ConnId id) override;
  void closed(EngineHost& h, ConnId id, tcp::CloseReason why) override;

  std::string received;
  ConnId id = 0; // the newest connection
  int opened = 0;
  int peers_closed = 0;
  int ended = 0;
  tcp::CloseReason reason = tcp::CloseReason::None;
  std::function<void(EngineHost&, ConnId)> on_established;
  std::function<void(EngineHost&, ConnId)> on_peer_closed;
};

struct StageSettings {
  EngineHostSettings a;
  EngineHostSettings b;
  Duration delay = Duration::ms(10);
  Seq iss_a{100}; // as in the RFC's figures
  Seq iss_b{300};
  static EngineHostSettings plain(); // no options: each segment shows what the story is about
  // Both so, with the figures' numbers or, where these are not the question, beside the wrap-around.
  static StageSettings both_plain(bool beside_the_wrap = false);
};

enum class Side : std::uint8_t { a, b };

class Stage {
 public:
  Stage(PacketPool packets, const StageSettings& s);
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  static constexpr Port port_a{4000};
  static constexpr Port port_b{80};

  void b_listens() { host_b.listen(port_b, actor_b); }
  void a_connects() { host_a.connect(port_a, address_b, port_b, actor_a); }
  void say(Side who, std::string_view text);
  void close(Side who);
  void run(Duration d) { net.run_for(d); }
  // The first packet of `from` that the picture describes so is lost, or late. "SYN", "ACK", "SYN,ACK": the
  // flags exactly.
  void lose(Side from, std::string flags, int how_many = 1);
  void hold(Side from, std::string flags, Duration by,
            bool and_pass = false); // and_pass: a copy goes its way at once
  // A segment that some earlier connection left in the network.
  void old_duplicate(Side from, Seq seq, std::uint8_t flags, Seq ack = Seq{}, std::string_view text = {});
  void note(std::string text);
  [[nodiscard]] tcp::State state(Side who) const;
  // Its first sequence number: 100 and 300 in the picture, whatever it is.
  [[nodiscard]] Seq iss(Side who) const { return who == Side::a ? settings_.iss_a : settings_.iss_b; }

  // Everything so far, as a picture.
  [[nodiscard]] std::string ladder() const;
  // The same without times and lines: one string a step, for tests.
  [[nodiscard]] std::vector<std::string> steps() const;

  Network net;
  EngineHost host_a;
  EngineHost host_b;
  Actor actor_a;
  Actor actor_b;
  Ip4 address_a{10, 0, 0, 1};
  Ip4 address_b{10, 0, 0, 2};

 private:
  struct Entry {
    enum class Kind : std::uint8_t { sent, arrived, dropped, state, timer, note } kind;
    Instant at;
    Side side; // sent, dropped: who sent; arrived: who got
    std::uint64_t packet = 0;
    std::string text; // the packet, the state, the timer
  };
  struct Rung { // one line of the picture
    Instant at;
    std::string left;
    std::string right;
    std::string middle;
    Side from = Side::a;
    enum class Kind : std::uint8_t { whole, leaves, arrives, lost, timer, note, states } kind = Kind::whole;
  };
  struct Rule {
    Side from;
    std::string flags;
    Fate fate;
    int left;
  };

  void watch_host(EngineHost& h, Side side);
  void sighting(const Sighting& s);
  [[nodiscard]] Fate fate(Side from, Bytes frame);
  [[nodiscard]] std::string words(Bytes frame) const;
  [[nodiscard]] std::vector<Rung> rungs() const;

  StageSettings settings_;
  NodeId node_a_ = 0;
  LinkId link_ = 0;
  std::vector<Rule> rules_;
  std::vector<Entry> entries_;
};

struct Story {
  std::string_view name;
  std::string_view title;
  void (*play)(Stage&);
  StageSettings (*settings)();
  std::string_view why; // two sentences
};
[[nodiscard]] std::vector<Story> stories();
[[nodiscard]] const Story* find_story(std::string_view name);
// The whole text of `tern explain NAME`. `at`: with these settings instead of its own.
[[nodiscard]] std::string tell(const Story&, PacketPool packets);
[[nodiscard]] std::string tell(const Story&, PacketPool packets, const StageSettings& at);

} // namespace tern::sim
