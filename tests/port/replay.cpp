// net_pcap: a client is recorded while it talks to a server over the in-memory pair, with secrets and a clock
// that stand still. Then the recording is played to a second server through net_pcap, whose answers are
// recorded: they must be the first server's, byte for byte.
//   replay <folder>    leaves client.pcap, first.pcap and second.pcap there
#include <fmt/format.h>

#include <cstring>
#include <fstream>
#include <vector>

#include "caller.hpp"
#include "io/eal.hpp"
#include "io/error.hpp"
#include "io/eth_port.hpp"
#include "io/memory_pair.hpp"
#include "io/packet_memory.hpp"
#include "runtime/core.hpp"

namespace {

using namespace tern;

struct Echo {
  void on_data(Connection c, Payload& p) { c.send(p); }
  void on_writable(Connection c) { c.resume_reading(); }
  void on_peer_closed(Connection c) { c.close(); }
};

const Ip server4{Ip4{10, 0, 0, 2}};
const Ip client4{Ip4{10, 0, 0, 1}};
const Ip server6 = *Ip::parse("fd00::2");
const Ip client6 = *Ip::parse("fd00::1");
const Instant clock_at = Instant::at_ns(5'000'000'000);

using Frame = std::vector<char>;
Frame frame_of(const rte_mbuf* m) {
  Frame f(m->pkt_len);
  const void* at = rte_pktmbuf_read(m, 0, m->pkt_len, f.data());
  if (at != f.data()) std::memcpy(f.data(), at, f.size());
  return f;
}

void write_pcap(const std::string& path, const std::vector<Frame>& frames) {
  std::ofstream out(path, std::ios::binary);
  const auto put = [&](std::uint32_t v) { out.write(reinterpret_cast<const char*>(&v), 4); };
  for (const std::uint32_t v : {0xa1b2c3d4U, 0x00040002U, 0U, 0U, 65535U, 1U}) put(v);
  for (std::uint32_t i = 0; i < frames.size(); ++i) {
    const auto n = static_cast<std::uint32_t>(frames[i].size());
    for (const std::uint32_t v : {i / 1000, i % 1000 * 1000, n, n}) put(v);
    out.write(frames[i].data(), n);
  }
  if (!out.flush()) throw io::Error("cannot write " + path);
}
std::vector<Frame> read_pcap(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  in.ignore(24);
  std::vector<Frame> frames;
  std::uint32_t head[4];
  while (in.read(reinterpret_cast<char*>(head), sizeof head)) {
    frames.emplace_back(head[2]);
    in.read(frames.back().data(), head[2]);
  }
  return frames;
}

// A port that hands over one packet at a time, so that a turn is a packet however they come, and notes what
// passes.
template <class P>
struct OneByOne {
  P& port;
  std::vector<Frame> received{};
  std::vector<Frame> sent{};

  std::uint16_t rx_burst(io::QueueId q, rte_mbuf** m, std::uint16_t) {
    const std::uint16_t n = port.rx_burst(q, m, 1);
    if (n != 0) received.push_back(frame_of(m[0]));
    return n;
  }
  std::uint16_t tx_burst(io::QueueId q, rte_mbuf** m, std::uint16_t n) {
    for (std::uint16_t i = 0; i < n; ++i) sent.push_back(frame_of(m[i]));
    return port.tx_burst(q, m, n);
  }
  void tx_flush(io::QueueId q) { port.tx_flush(q); }
  [[nodiscard]] std::uint32_t tx_pending(io::QueueId q) const { return port.tx_pending(q); }
  [[nodiscard]] bool tx_full(io::QueueId q) const { return port.tx_full(q); }
  [[nodiscard]] const io::PortPlan& plan() const { return port.plan(); }
  [[nodiscard]] const io::RssView& rss() const { return port.rss(); }
  [[nodiscard]] io::MacBytes mac() const { return port.mac(); }
  [[nodiscard]] const io::PortCounters& counters(io::QueueId q) const { return port.counters(q); }
};

template <class P, class Handler>
struct Host {
  Host(P& p, bool server, rte_mempool* pool, Handler& h)
      : self({.mac = {{2, 0, 0, 0, 0, static_cast<std::uint8_t>(server ? 2 : 1)}},
              .addresses = {{server ? server4 : client4, 24}, {server ? server6 : client6, 64}},
              .link_local = false}),
        network(self, net::Routes{}, PacketPool{pool}, {.key = {1, 2}}),
        shard(process_arena(), settings(server), PacketPool{pool}, clock_at, server ? "server" : "client"),
        dial(self, one, {}),
        dialer(dial, 0),
        core(shard, network, p, 0, h) {
    core.handle().set_dialer(&dialer);
  }
  static ShardSettings settings(bool server) {
    ShardSettings s;
    s.connections = 1024;
    s.secret = {server ? 7U : 8U, 9}; // fixed: so are ISNs and timestamps
    s.addresses6 = {server ? server6 : client6};
    return s;
  }
  io::Steering one;
  net::Interface self;
  net::Network network;
  Shard shard;
  DialPlan dial;
  Dialer dialer;
  Core<P, Handler> core;
};

struct Recording {
  std::vector<Frame> client;
  std::vector<Frame> server;
  std::uint64_t accepted = 0;
};

Recording record(rte_mempool* pool) {
  io::MemoryPair pair({.checksums = io::Offload::never});
  Echo echo;
  OneByOne<io::MemoryPort> watched{pair.b()};
  Host<OneByOne<io::MemoryPort>, Echo> server(watched, true, pool, echo);
  TERN_CHECK(server.shard.listeners.add({.ip = Ip{}, .first = Port{7}, .last = Port{7}}));
  for (const Ip& to : {server4, server6}) {
    const test::CallPlan plan{.to = {to, Port{7}}, .count = 20, .at_once = 4, .bytes = 20'000};
    test::CallTotals totals;
    test::Caller caller(plan, totals, 1024);
    Host<io::MemoryPort, test::Caller> client(pair.a(), false, pool, caller);
    client.core.poll(clock_at);
    for (int quiet = 0; quiet < 5;) {
      caller.on_tick(clock_at);
      const bool a = client.core.poll(clock_at);
      const bool b = server.core.poll(clock_at);
      quiet = a || b ? 0 : quiet + 1;
    }
    if (totals.good != plan.count) throw io::Error("the recorded client was not served");
  }
  return {watched.received, watched.sent, server.shard.counters.get(CoreCounter::accepted)};
}

Recording play(rte_mempool* pool, const std::string& folder, std::size_t frames) {
  rte_mempool* const pools[] = {pool};
  io::EthPort port({.name = fmt::format("net_pcap0,rx_pcap={0}/client.pcap,tx_pcap={0}/second.pcap", folder)},
                   pools);
  fmt::print("{}\n", port.describe());
  Echo echo;
  OneByOne<io::EthPort> watched{port};
  Host<OneByOne<io::EthPort>, Echo> server(watched, true, pool, echo);
  TERN_CHECK(server.shard.listeners.add({.ip = Ip{}, .first = Port{7}, .last = Port{7}}));
  for (std::size_t quiet = 0; watched.received.size() < frames && quiet < 10'000;)
    quiet = server.core.poll(clock_at) ? 0 : quiet + 1;
  server.core.poll(clock_at);
  return {watched.received, watched.sent, server.shard.counters.get(CoreCounter::accepted)};
}

int run(const std::string& folder) {
  const io::Eal eal({.memory_mb = io::eal_megabytes_for(64)});
  rte_mempool* pool = io::make_packet_pool("replay", 64, 0);
  const Recording first = record(pool);
  write_pcap(folder + "/client.pcap", first.client);
  write_pcap(folder + "/first.pcap", first.server);
  const Recording second = play(pool, folder, first.client.size());
  bool good = true;
  const auto check = [&](bool ok, const std::string& what) {
    fmt::print("{} - {}\n", ok ? "ok" : "not ok", what);
    good = good && ok;
  };
  check(second.client == first.client, fmt::format("{} frames of the client played", first.client.size()));
  check(second.accepted == 40 && first.accepted == 40, fmt::format("{} connections", second.accepted));
  const std::vector<Frame> written = read_pcap(folder + "/second.pcap");
  check(written == first.server,
        fmt::format("{} answers recorded, the first server's {}", written.size(), first.server.size()));
  const unsigned leaked = rte_mempool_in_use_count(pool);
  check(leaked == 0, fmt::format("packets not given back: {}", leaked));
  return good ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  try {
    if (argc != 2) throw io::Error("usage: replay <folder>");
    return run(argv[1]);
  } catch (const io::Error& e) {
    fmt::print(stderr, "{}\n", e.what());
    return 2;
  }
}
