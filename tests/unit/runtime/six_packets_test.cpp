// What a connection of one request and one response puts on the wire: six packets, and what each one is.
#include <string>
#include <vector>

#include "support/lone_core.hpp"

namespace tern {
namespace six_packets_test {

namespace flag = wire::tcp_flag;

// A wire from one core to the other that keeps a list of what passed.
class TappedPort {
 public:
  TappedPort(wire::Mac mac, std::vector<test::Sent>& log) : mac_(mac), log_(log) {}
  std::uint16_t rx_burst(io::QueueId, rte_mbuf** out, std::uint16_t n) {
    std::uint16_t got = 0;
    for (; got < n && !in.empty(); ++got) out[got] = in.front(), in.pop_front();
    return got;
  }
  std::uint16_t tx_burst(io::QueueId, rte_mbuf** m, std::uint16_t n) {
    for (std::uint16_t i = 0; i < n; ++i) {
      Packet p{m[i]};
      if (const auto s = test::read_frame(p)) log_.push_back(*s);
      peer->in.push_back(p.release());
    }
    return n;
  }
  void tx_flush(io::QueueId) {}
  [[nodiscard]] std::uint32_t tx_pending(io::QueueId) const { return 0; }
  [[nodiscard]] bool tx_full(io::QueueId) const { return false; }
  [[nodiscard]] const io::PortPlan& plan() const { return plan_; }
  [[nodiscard]] const io::RssView& rss() const { return rss_; }
  [[nodiscard]] io::MacBytes mac() const { return mac_; }
  [[nodiscard]] const io::PortCounters& counters(io::QueueId) const { return counters_; }

  std::deque<rte_mbuf*> in;
  TappedPort* peer = nullptr;

 private:
  wire::Mac mac_;
  std::vector<test::Sent>& log_;
  io::PortPlan plan_;
  io::RssView rss_;
  io::PortCounters counters_;
};
static_assert(io::PacketPort<TappedPort>);

constexpr Ip4 client_ip{10, 0, 0, 1};
constexpr Ip4 server_ip{10, 0, 0, 2};

struct Asks {
  void on_connected(Connection c) { c.send(StaticBytes{std::string_view{"request"}}); }
  void on_data(Connection, Payload& p) { p.drop_all(); }
  void on_peer_closed(Connection c) { c.close(); }
};
struct Answers {
  void on_data(Connection c, Payload& p) {
    p.drop_all();
    c.send(StaticBytes{std::string_view{"the response"}});
    c.close();
  }
};

template <class Handler>
struct Host {
  Host(wire::Mac mac, Ip4 ip, PacketPool pool, Instant now, std::vector<test::Sent>& log)
      : port(mac, log),
        self({.mac = mac, .addresses = {{Ip{ip}, 24}}}),
        network(self, net::Routes{}, pool, {.key = {1, 2}}),
        shard(process_arena(), ShardSettings{}, pool, now),
        core(shard, network, port, 0, handler) {}
  TappedPort port;
  net::Interface self;
  net::Network network;
  Shard shard;
  Handler handler;
  Core<TappedPort, Handler> core;
};

TEST(SixPackets, AreAConnectionOfOneRequestAndOneResponseAndThisIsEach) {
  std::vector<test::Sent> log;
  Instant now = Instant::at_ns(5'000'000'000);
  test::TestPool pool;
  Host<Asks> client({{2, 0, 0, 0, 0, 1}}, client_ip, pool.pool(), now, log);
  Host<Answers> server({{2, 0, 0, 0, 0, 2}}, server_ip, pool.pool(), now, log);
  client.port.peer = &server.port;
  server.port.peer = &client.port;
  ASSERT_TRUE(server.shard.listeners.add({.ip = Ip{}, .first = Port{80}, .last = Port{80}}));
  const auto whole_life = [&](std::uint16_t local) {
    log.clear();
    ASSERT_EQ(client.core.connect(FlowKey4{server_ip, client_ip, Be16{std::uint16_t{80}}, Be16{local}}).error,
              ConnectError::none);
    for (int idle = 0; idle < 3;) {
      now = now + Duration::us(10);
      const bool a = client.core.poll(now);
      const bool b = server.core.poll(now);
      idle = a || b ? 0 : idle + 1;
    }
  };
  whole_life(1000); // who is where is learned on the way
  whole_life(1001);

  struct Expected {
    const char* what;
    Ip4 to;
    std::uint8_t flags;
    std::uint32_t text;
  };
  const Expected expected[] = {
      {"SYN", server_ip, flag::syn, 0},
      {"SYN-ACK", client_ip, flag::syn | flag::ack, 0},
      {"ACK + request", server_ip, flag::ack | flag::psh, 7},
      {"response + FIN", client_ip, flag::fin | flag::ack | flag::psh, 12},
      {"ACK + FIN", server_ip, flag::fin | flag::ack | flag::psh, 0}, // the FIN implies the push anyway
      {"ACK", client_ip, flag::ack, 0},
  };
  ASSERT_EQ(log.size(), std::size(expected));
  for (std::size_t i = 0; i < log.size(); ++i) {
    EXPECT_EQ(log[i].key.local, expected[i].to) << expected[i].what;
    EXPECT_EQ(log[i].h.flags, expected[i].flags) << expected[i].what;
    EXPECT_EQ(log[i].text, expected[i].text) << expected[i].what;
    // Sequence numbers follow from what went before: nothing is sent twice, nothing acknowledged early.
    if (i == 0) continue;
    const test::Sent& before = log[i - 1]; // the other side's: each answers the last
    EXPECT_EQ(log[i].h.ack, before.h.seq + (before.text + (before.h.has(flag::syn) ? 1 : 0) +
                                            (before.h.has(flag::fin) ? 1 : 0)))
        << expected[i].what;
    if (i >= 2) {
      EXPECT_EQ(log[i].h.seq, before.h.ack) << expected[i].what;
    }
  }
  EXPECT_EQ(client.shard.connections.used() + server.shard.connections.used(), 0U);
}

} // namespace six_packets_test
} // namespace tern
