// What `tern server` cannot be made to do from outside, for the kernel as the peer: closes in plain segments,
// sequence numbers and timestamps that wrap within a transfer, both sides opening at once. Keys, clocks and
// times are what the library is given anyway; nothing in it knows of this test.
//   kernel_edges close|wrap|open <vdev> <address/prefix> <peer's address> ; ends on SIGTERM or SIGINT
//
//   close  the first byte says who closes first: 'T' for us, anything for the peer. Each FIN leaves 300 ms
//   after the
//          reason for it, so that nothing is merged
//   wrap   echoes; prints the port to come from, so that our first number lies just below 2^32, with a
//   timestamp clock
//          that wraps four seconds after the start
//   open   each SIGUSR1 opens a connection: from 7001 to the peer's 9001, from 7002 to 9002, …
#include <csignal>
#include <string>
#include <vector>

#include "io/error.hpp"
#include "runtime/node.hpp"
#include "runtime/settings/cli.hpp"
#include "tcp/isn.hpp"

namespace {

using namespace tern;

volatile std::sig_atomic_t opens_asked = 0;

struct Edges {
  static constexpr Duration pause = Duration::ms(300);

  void on_connected(Connection c) { c.send(std::string_view{"hello"}); }
  void on_data(Connection c, Payload& p) {
    if (!closes) {
      c.send(p);
      return;
    }
    const bool we_first = p.front()[0] == std::byte{'T'};
    p.drop_all();
    c.send(StaticBytes{std::string_view{"answer"}});
    if (we_first) due.push_back({c, {}});
  }
  void on_writable(Connection c) { c.resume_reading(); }
  void on_peer_closed(Connection c) {
    if (closes)
      due.push_back({c, {}});
    else
      c.close();
  }
  void on_tick(Instant now) {
    for (std::size_t i = 0; i < due.size();) {
      // From a tick on: who was stalled has the time of long ago.
      if (due[i].at == Instant{}) due[i].at = now + pause;
      if (due[i].at > now) {
        ++i;
        continue;
      }
      due[i].connection.close();
      due.erase(due.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }

  struct Due {
    Connection connection;
    Instant at;
  };
  bool closes = false;
  std::vector<Due> due;
};

FlowKey4 key_of(Ip4 ours, Ip4 theirs, std::uint16_t our_port, std::uint16_t their_port) {
  return {theirs, ours, Be16{their_port}, Be16{our_port}};
}

// How long until our timestamps towards the peer wrap.
std::uint32_t wraps_in_ms(const SipKey& secret, Ip4 ours, Ip4 theirs, Instant now) {
  const FlowKey4 key = key_of(ours, theirs, 80, 0);
  const tcp::IsnSource source{tcp::derive_secrets(secret).isn};
  return 0U - (now.ms32() + source.ts_offset(tcp::Tuple4::from(&key)));
}

// A secret under which they do within a test's patience; one in half a million serves.
SipKey secret_that_wraps(Ip4 ours, Ip4 theirs, const TscClock& clock) {
  Instant now = clock.now();
  for (std::uint64_t i = 1;; ++i) {
    if (i % 4096 == 0) now = clock.now();
    const SipKey secret{i, 0x7772'6170};
    if (const std::uint32_t left = wraps_in_ms(secret, ours, theirs, now); left > 6'000 && left < 14'000)
      return secret;
  }
}

// The peer's port from which a connection to our port 80 gets a number of ours within a few megabytes of
// 2^32.
std::uint16_t port_that_wraps(const SipKey& secret, Ip4 ours, Ip4 theirs, Instant now) {
  const tcp::IsnSource source{tcp::derive_secrets(secret).isn};
  for (std::uint32_t port = 20'000; port < 60'000; ++port) {
    const FlowKey4 key = key_of(ours, theirs, 80, static_cast<std::uint16_t>(port));
    const std::uint32_t left = 0U - source.iss(tcp::Tuple4::from(&key), now).raw();
    if (left > 1'200'000 && left < 2'200'000) return static_cast<std::uint16_t>(port);
  }
  throw io::Error("no port leads to the wrap-around");
}

int run(const std::string& mode, NodeSettings n, Ip4 theirs) {
  settings::Schema schema;
  declare_port_options(schema, n);
  declare_tcp_options(schema, n);
  n.cookies = tcp::CookieMode::Never; // a cookie is its own number
  n.tcp.nagle = false;
  NodePort node(schema, n);
  {
    const Ip4 ours = node.self().addresses().front().ip.v4();
    const TscClock clock;
    const Instant start = clock.now();
    using TheWorker = Worker<io::SharedPort<io::EthPort>, Edges>;
    TheWorker::Settings ws;
    ws.shard = shard_settings(n, node.self());
    ws.network = network_settings(node.port());
    if (mode == "wrap") {
      ws.shard.secret = secret_that_wraps(ours, theirs, clock);
      const Instant now = clock.now();
      fmt::print("from port {}\nwraps in {} ms\n", port_that_wraps(ws.shard.secret, ours, theirs, now),
                 wraps_in_ms(ws.shard.secret, ours, theirs, now));
    }
    Edges edges;
    edges.closes = mode == "close";
    const DialPlan dial(node.self(), node.steering(), {.seed = 1});
    ws.dial = &dial;
    TheWorker worker(node.shared(), 0, node.self(), routes_of(n), node.packets(), ws, edges);
    if (mode != "open" && !worker.shard().listeners.add(
                              {.ip = Ip{}, .first = Port{80}, .last = Port{80}, .cookies = n.cookies}))
      throw io::Error("cannot listen");
    print_ready(node);
    int opened = 0;
    while (stop_signals() == 0 && worker.turn() < start + Duration::seconds(60)) {
      if (opens_asked == opened) continue;
      ++opened;
      const auto step = static_cast<std::uint16_t>(opened);
      (void)worker.core().connect(key_of(ours, theirs, static_cast<std::uint16_t>(7000 + step),
                                         static_cast<std::uint16_t>(9000 + step)));
    }
    print_counters({{"core 0", &worker.shard(), &worker.network(), &node.shared().steered(0)}});
  }
  const unsigned leaked = node.close();
  fmt::print("packets not given back: {}\n", leaked);
  return leaked == 0 ? 0 : 1;
}

} // namespace

int main(int argc, char** argv) {
  return tern::settings::run_guarded([&] {
    if (argc != 5)
      throw tern::io::Error("usage: kernel_edges close|wrap|open <vdev> <address/prefix> <peer>");
    tern::catch_stop_signals();
    std::signal(SIGUSR1, [](int) { opens_asked = opens_asked + 1; });
    tern::NodeSettings n;
    n.port = argv[2];
    const auto prefix = tern::Prefix::parse(argv[3]);
    const auto peer = tern::Ip::parse(argv[4]);
    if (!prefix || !peer) throw tern::io::Error("not an address");
    n.ip = {*prefix};
    n.connections = 1024;
    n.time_wait_records = 1024;
    return run(argv[1], n, peer->v4());
  });
}
