// A bare host on the engine, without the runtime: what stands between the engine and a wire is here in its
// least form, so that a test or a story sees the engine and nothing else. Small standard containers: this is
// no packet path.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ip.hpp"
#include "base/siphash.hpp"
#include "sim/frame.hpp"
#include "sim/network.hpp"
#include "tcp/engine.hpp"
#include "tcp/listen.hpp"
#include "tcp/side_memory.hpp"
#include "tcp/syn_received.hpp"
#include "tcp/time_wait.hpp"

namespace tern::sim {

class EngineHost;

// Names a connection of one host; never used twice.
using ConnId = std::uint32_t;

// A host's user. Every call may call back into the host.
class App {
 public:
  virtual ~App() = default;
  virtual void established(EngineHost&, ConnId) {}
  virtual void data(EngineHost&, ConnId, Packet text) = 0; // to be released by EngineHost::release_received
  virtual void peer_closed(EngineHost&, ConnId) {}
  virtual void writable(EngineHost&, ConnId) {}
  virtual void closed(EngineHost&, ConnId, tcp::CloseReason) {}
};

// Side records of a host that has enough of them.
inline constexpr tcp::SideCounts usual_records{
    .recovery = 64, .tx_log = 4096, .reassembly = 64, .ranges = 2048, .send_queues = 64, .pieces = 4096};

struct EngineHostSettings {
  tcp::Settings tcp;
  std::uint16_t mtu = 1500;
  tcp::SideCounts records = usual_records; // 0 of a kind plays a core that has run out
  SipKey key{0x5eed, 0x7465'726e};         // ISNs, timestamp offsets, cookies
  tcp::CookieMode cookies = tcp::CookieMode::Auto;
  std::uint32_t backlog = 128; // SYN-RECEIVED records a host may have
  // A protocol that believes any SYN: what TCP would be with two segments. For the test that asks why there
  // are three.
  bool two_way_handshake = false;
  // One in which a FIN and its ACK end both directions: for the test that asks why closing takes four.
  bool two_way_close = false;
};

// What a test or a story wants to see of a host.
struct Watcher {
  // Of a connection or of a record that stands for one.
  std::function<void(const EngineHost&, tcp::State from, tcp::State to)> state;
  std::function<void(const EngineHost&, const std::string& what)> timer;
};

class EngineHost {
 public:
  EngineHost(std::string name, Ip4 address, PacketPool packets, const EngineHostSettings&);
  EngineHost(const EngineHost&) = delete;
  EngineHost& operator=(const EngineHost&) = delete;
  ~EngineHost();

  // ---- The Host concept.
  void attached(const Attachment& a) { wire_ = a; }
  void receive(Bytes ip_packet);
  void wake();

  // ---- The user's side.
  ConnId connect(Port from, Ip4 to, Port port, App&);
  // Who serves a connection that came in; asked once, when it is established.
  using Acceptor = std::function<App&(Ip4 remote, Port remote_port)>;
  void listen(Port port, Acceptor);
  void listen(Port port, App& app) {
    listen(port, [&app](Ip4, Port) -> App& { return app; });
  }
  std::uint32_t send(ConnId, std::span<const std::byte>);
  std::uint32_t send_static(ConnId, std::span<const std::byte>);
  std::uint32_t send_packet(ConnId, Packet&);
  [[nodiscard]] std::uint32_t send_space(ConnId) const;
  void close(ConnId);
  void abort(ConnId);
  void orphan(ConnId, tcp::Farewell = tcp::Farewell::Reset);
  void release_received(ConnId, std::uint32_t bytes);
  void pause_reading(ConnId);
  void resume_reading(ConnId);
  // The machine loses power: every connection and record is gone without a word (RFC 9293 §3.5.1).
  void crash();

  // ---- What tests look at.
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] Ip4 address() const { return address_; }
  [[nodiscard]] const tcp::Tcb* find(ConnId) const; // null once it is gone
  [[nodiscard]] std::optional<ConnId> connection(Port local, Ip4 remote, Port remote_port) const;
  [[nodiscard]] std::size_t open_connections() const { return connections_.size(); }
  [[nodiscard]] std::size_t half_open() const { return syns_.size(); }
  [[nodiscard]] std::size_t time_waits() const { return time_waits_.size(); }
  // What stands at the tuple: a connection's state, a record's, LISTEN, or CLOSED.
  [[nodiscard]] tcp::State state_of(Port local, Ip4 remote, Port remote_port) const;
  [[nodiscard]] const tcp::TimeWaitRecord* time_wait(Port local, Ip4 remote, Port remote_port) const;
  [[nodiscard]] const tcp::TcpCounters& counters() const { return counters_; }
  [[nodiscard]] std::uint64_t count(tcp::Counter c) const { return counters_.get(c); }
  [[nodiscard]] const tcp::SideMemory& records() const { return records_; }
  [[nodiscard]] const tcp::Settings& settings() const { return settings_.tcp; }
  [[nodiscard]] std::uint64_t damaged() const { return damaged_; } // packets that failed a checksum
  [[nodiscard]] Instant now() const { return wire_.now(); }
  // The first invariant that did not hold after a call into the engine, if `check_invariants`.
  [[nodiscard]] const std::optional<std::string>& broken() const { return broken_; }

  Watcher watcher;
  bool check_invariants = true;
  std::function<Seq(Port local, Ip4 remote, Port remote_port)> choose_isn; // instead of RFC 6528's

 private:
  struct Tuple {
    std::uint32_t remote = 0;
    std::uint16_t remote_port = 0;
    std::uint16_t local_port = 0;
    auto operator<=>(const Tuple&) const = default;
  };
  struct Connection {
    ConnId id = 0;
    Tuple tuple;
    App* app = nullptr;
    tcp::Tcb tcb;
    std::deque<tcp::Outcome> outcomes; // to be told
    bool busy = false;                 // inside settle()
    bool starved = false;              // output wants packets that were not to be had
    bool over = false;
    bool ended_by_user = false; // in a callback: what the same event had yet to tell is nobody's any more
  };

  struct HalfOpen {
    tcp::SynRecord record;
    Instant at; // when the SYN-ACK is sent again
  };
  struct Waiting {
    tcp::TimeWaitRecord record;
    Instant expires;
  };

  [[nodiscard]] tcp::Env env() { return {settings_.tcp, counters_, packets_, records_.pools()}; }
  [[nodiscard]] std::uint16_t mtu_mss() const { return static_cast<std::uint16_t>(settings_.mtu - 40); }
  [[nodiscard]] tcp::Tuple4 words(const Tuple&) const;
  [[nodiscard]] tcp::Origins origins(const Tuple&) const;
  [[nodiscard]] Connection* lookup(ConnId);
  Connection& add(const Tuple&, App&);

  void receive_tcp(const IpView&, const TcpView&);
  void receive_icmp(const IpView&);
  void arrive(Connection&, const TcpView&, bool ce);
  // ---- What has no Tcb (engine_host_doors.cpp).
  void knock(const Tuple&, const TcpView&, bool ce); // LISTEN or CLOSED
  void take_verdict(const Tuple&, const TcpView&, bool ce, tcp::ListenVerdict, tcp::ListenOutcome&);
  void believe(const Tuple&, const tcp::SynRecord&);
  void half_open_arrives(const Tuple&, HalfOpen&, const TcpView&, bool ce);
  void time_wait_arrives(const Tuple&, Waiting&, const TcpView&, bool ce);
  void accept(const Tuple&, const tcp::Handshake&, const TcpView&, bool ce);
  void begin_time_wait(const Connection&);
  void half_opens_wake();
  void time_waits_wake();
  void say_state(tcp::State from, tcp::State to) const {
    if (watcher.state && from != to) watcher.state(*this, from, to);
  }
  void deliver(Connection&, tcp::Outcome&);
  // Tells what is to be told, sends what is to be sent, arms the alarm, ends what is over.
  void settle(Connection&);
  void act(Connection&, tcp::Outcome);
  void user_acts(Connection&, tcp::State before, tcp::Outcome);
  void flush(Connection&);
  void check(const Connection&);
  void note_state(const Connection& c, tcp::State before) const { say_state(before, c.tcb.state); }
  void arm(const tcp::Tcb&);
  void end(Connection&);
  void forget(const Connection&);
  [[nodiscard]] Instant on_wall(std::uint32_t ms32) const;

  void emit(const Tuple&, const Packet& segment, Ecn);
  void emit(const Tuple&, wire::Tcp h);
  void reset(const Tuple&, const tcp::Outcome&);

  std::string name_;
  Ip4 address_;
  PacketPool packets_;
  EngineHostSettings settings_;
  tcp::TcpCounters counters_;
  tcp::SideMemory records_;
  Attachment wire_;
  std::map<ConnId, std::unique_ptr<Connection>> connections_;
  std::map<Tuple, ConnId> by_tuple_;
  std::map<std::uint16_t, Acceptor> listeners_;
  std::map<Tuple, HalfOpen> syns_;
  std::map<Tuple, Waiting> time_waits_;
  tcp::SynGate gate_;
  ConnId next_id_ = 1;
  Frame scratch_;
  std::uint64_t damaged_ = 0;
  std::optional<std::string> broken_;
};
static_assert(Host<EngineHost>);

} // namespace tern::sim
