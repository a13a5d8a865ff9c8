// One Core with nobody but the test on its wire: frames by hand go in, what it sends is read and freed. Its
// pool is a NIC's: what arrives takes packets from the same one that it sends from.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <span>
#include <string_view>
#include <vector>

#include "io/port.hpp"
#include "runtime/core.hpp"
#include "support/eal.hpp"
#include "support/forge.hpp"

namespace tern::test {

class WirePort {
 public:
  static constexpr wire::Mac our_mac{{2, 0, 0, 0, 0, 1}};
  static constexpr wire::Mac router_mac{{2, 0, 0, 0, 0, 2}};
  std::uint16_t rx_burst(io::QueueId, rte_mbuf** out, std::uint16_t n) {
    std::uint16_t got = 0;
    for (; got < n && !in.empty(); ++got) out[got] = in.front(), in.pop_front();
    return got;
  }
  std::uint16_t tx_burst(io::QueueId, rte_mbuf** m, std::uint16_t n) {
    for (std::uint16_t i = 0; i < n; ++i) {
      const Packet p{m[i]};
      if (down) {
        ++lost;
        continue;
      }
      counted(1);
      if (auto s = read_frame(p))
        sent.push_back(*s);
      else
        answer(p);
      if (keeps) kept.push_back(p.same());
    }
    return n;
  }
  void tx_flush(io::QueueId) {}
  [[nodiscard]] std::uint32_t tx_pending(io::QueueId) const { return 0; }
  [[nodiscard]] bool tx_full(io::QueueId) const { return full; }
  [[nodiscard]] const io::PortPlan& plan() const { return plan_; }
  [[nodiscard]] const io::RssView& rss() const { return rss_; }
  [[nodiscard]] io::MacBytes mac() const { return our_mac; }
  [[nodiscard]] const io::PortCounters& counters(io::QueueId) const { return counters_; }
  ~WirePort() {
    for (rte_mbuf* m : in) rte_pktmbuf_free(m);
  }

  explicit WirePort(PacketPool pool) : pool_(pool) {}
  std::deque<rte_mbuf*> in;
  std::vector<Sent> sent;
  // As a port whose ring takes nothing just now, and as one that never will.
  bool full = false;
  bool down = false;
  unsigned lost = 0;
  bool deserted = false; // nobody answers for his address
  // As one that is slow to send what it took.
  bool keeps = false;
  std::vector<Packet> kept;
  void counted(unsigned n) { counters_.add(io::PortCounter::tx_packets, n); }

 private:
  // The router is there whenever it is asked for.
  void answer(const Packet& p) {
    wire::Arp ask;
    if (p.length() < wire::ethernet_length + wire::arp_length ||
        wire::parse_arp(p.bytes().subspan(wire::ethernet_length), ask) != wire::Verdict::ok ||
        ask.operation != wire::Arp::request || deserted)
      return;
    wire::Arp m;
    m.operation = wire::Arp::reply;
    m.sender_mac = router_mac;
    m.sender_ip = ask.target_ip;
    m.target_mac = our_mac;
    m.target_ip = ask.sender_ip;
    if (Packet reply = forge_arp(pool_, our_mac, m)) in.push_back(reply.release());
  }
  PacketPool pool_;
  io::PortPlan plan_;
  io::RssView rss_;
  io::PortCounters counters_;
};

template <class Handler>
class LoneCore {
 public:
  static constexpr Ip4 ip{192, 0, 2, 1};
  static constexpr Ip4 router{192, 0, 2, 254};
  static constexpr wire::Mac router_mac = WirePort::router_mac;

  explicit LoneCore(const ShardSettings& s = {}, unsigned packets = 8191)
      : pool(packets),
        port(pool.pool()),
        self({.mac = WirePort::our_mac, .addresses = {{Ip{ip}, 16}}}),
        network(self, net::Routes{{{Prefix{Ip{Ip4{}}, 0}, Ip{router}}}}, pool.pool(), {.key = {1, 2}}),
        shard(process_arena(), s, pool.pool(), now),
        core(shard, network, port, 0, handler) {
    // The router asks for us, so its address is known; everybody beyond it is who he says he is.
    wire::Arp ask;
    ask.operation = wire::Arp::request;
    ask.sender_mac = router_mac;
    ask.sender_ip = router;
    ask.target_ip = ip;
    port.in.push_back(forge_arp(pool.pool(), wire::broadcast_mac, ask).release());
    turn();
  }

  [[nodiscard]] static FlowKey4 from(Ip4 peer, std::uint16_t port, std::uint16_t to = 80) {
    return {peer, ip, Be16{port}, Be16{to}};
  }
  // False: no packet was left to receive it in.
  bool arrives(const FlowKey4& key, const wire::Tcp& h, std::string_view text = {}) {
    Packet p = forge(pool.pool(), WirePort::our_mac, router_mac, key, h, std::as_bytes(std::span{text}));
    if (!p) return false;
    port.in.push_back(p.release());
    return true;
  }
  // From now on a TIME-WAIT record has this name.
  void rests(const FlowKey4& key) {
    auto& streams = shard.time_wait4.streams;
    const std::uint32_t at = streams.append(now.ms32());
    ASSERT_NE(at, streams.none);
    name_slot(streams.at(at), key);
    ASSERT_TRUE(shard.flows.insert(shard.hasher(key), {FlowKind::time_wait, at}));
  }
  // Turns until nothing is to do.
  void turn() {
    constexpr unsigned many = 20'000;
    unsigned turns = 0;
    while (core.poll(now) && !restless)
      if (++turns == many) {
        restless = true; // from now on one turn at a time
        ADD_FAILURE() << "the core comes to no rest";
      }
  }
  void turns(unsigned n) {
    while (n-- != 0) (void)core.poll(now);
  }
  void run(Duration d, Duration step = Duration::ms(1)) {
    for (const Instant end = now + d; now < end;) {
      now = now + step;
      turn();
    }
  }
  [[nodiscard]] std::vector<Sent> take_sent() { return std::exchange(port.sent, {}); }
  [[nodiscard]] std::uint64_t count(tcp::Counter c) const { return shard.tcp_counters.get(c); }
  [[nodiscard]] std::uint64_t count(CoreCounter c) const { return shard.counters.get(c); }
  void listen(ListenerSettings l = {}) {
    if (l.first == Port{}) l.first = l.last = Port{80};
    ASSERT_TRUE(shard.listeners.add(l));
  }

  Instant now = Instant::at_ns(5'000'000'000);
  TestPool pool;
  WirePort port;
  net::Interface self;
  net::Network network;
  Shard shard;
  Handler handler;
  Core<WirePort, Handler> core;
  bool restless = false;
};

// An honest peer, by hand: knows where it stands, answers nothing of its own accord.
struct Peer {
  FlowKey4 key;
  Seq snd_nxt{0};
  Seq rcv_nxt{0};
  bool open = false;

  template <class H>
  bool connect(LoneCore<H>& c) {
    wire::Tcp syn = linux_syn(snd_nxt, 1);
    syn.options.has &= static_cast<std::uint8_t>(~wire::TcpOptions::timestamps_bit);
    (void)c.take_sent();
    if (!c.arrives(key, syn)) return false;
    c.turn();
    for (const Sent& s : c.take_sent()) {
      if (s.key.local_port != key.remote_port || s.key.local != key.remote) continue;
      if (s.h.flags != (wire::tcp_flag::syn | wire::tcp_flag::ack)) continue;
      snd_nxt = s.h.ack;
      rcv_nxt = s.h.seq + 1;
      open = true;
    }
    if (!open || !say(c, {})) return open = false;
    c.turn();
    return true;
  }
  template <class H>
  bool say(LoneCore<H>& c, std::string_view text, std::uint8_t flags = wire::tcp_flag::ack) {
    wire::Tcp h;
    h.flags = flags;
    h.seq = snd_nxt;
    h.ack = rcv_nxt;
    h.window = 500;
    if (!c.arrives(key, h, text)) return false;
    snd_nxt += static_cast<std::uint32_t>(text.size());
    return true;
  }
  // Takes in what was sent to it: how much text, and whether it answered.
  std::uint32_t hear(const std::vector<Sent>& all) {
    std::uint32_t text = 0;
    for (const Sent& s : all) {
      if (s.key.local_port != key.remote_port || s.key.local != key.remote || s.h.seq != rcv_nxt) continue;
      text += s.text;
      rcv_nxt += s.text;
    }
    return text;
  }
};

// Says a word, counts the echo, and acknowledges it.
template <class H>
bool answers(LoneCore<H>& c, Peer& peer, std::string_view text = "ping") {
  (void)c.take_sent();
  if (!peer.say(c, text)) return false;
  c.turn();
  const bool heard = peer.hear(c.take_sent()) == text.size();
  (void)peer.say(c, {});
  c.turn();
  return heard;
}

} // namespace tern::test
