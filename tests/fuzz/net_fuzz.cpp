// Whatever a link may carry, into one network layer: ARP, neighbour discovery, ICMP, fragments, tags, in one
// piece or in many. What it sends back is sound; what it takes it gives back. Head and tail room of every
// packet are poisoned, so a byte read too far is seen.
//
// The input is a list of frames: a byte says how the next is made (Make), another what goes before it, two
// its length.
#include <algorithm>
#include <array>

#include "fuzz.hpp"
#include "net/network.hpp"
#include "support/eal.hpp"

namespace tern::net {
namespace {

constexpr Mac our_mac{{2, 0, 0, 0, 0, 1}};
constexpr Mac peer_mac{{2, 0, 0, 0, 0, 9}};
constexpr Ip4 our4{10, 0, 0, 1};
constexpr Ip4 peer4{10, 0, 0, 9};
constexpr Ip our6{Ip::Bytes{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}};
constexpr Ip peer6{Ip::Bytes{0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}};

class Input {
 public:
  Input(const std::uint8_t* p, std::size_t n) : at_(std::as_bytes(std::span{p, n})) {}
  [[nodiscard]] bool empty() const { return at_.empty(); }
  std::uint8_t byte() { return at_.empty() ? std::uint8_t{0} : std::to_integer<std::uint8_t>(take(1)[0]); }
  std::uint16_t word() { return static_cast<std::uint16_t>(byte() << 8 | byte()); }
  std::span<const std::byte> take(std::size_t n) {
    const auto s = at_.first(std::min(n, at_.size()));
    at_ = at_.subspan(s.size());
    return s;
  }

 private:
  std::span<const std::byte> at_;
};

using Bytes = std::vector<std::byte>;
void put(Bytes& b, std::span<const std::byte> s) {
  b.insert(b.end(), s.begin(), s.end());
}

enum Make : std::uint8_t {
  raw,
  in_ethernet,
  ip4_body,
  ip6_body,
  fragment4,
  fragment6,
  icmp4_body,
  icmp6_body
};

Bytes ethernet(std::uint16_t type, std::uint8_t how) {
  wire::Ethernet e{.dst = (how & 1) != 0 ? broadcast_mac : our_mac, .src = peer_mac, .type = type};
  if ((how & 2) != 0) e.tags[e.tag_count++] = {wire::ether_type::vlan, 0};
  Bytes b(e.header_length());
  wire::emit_ethernet(e, b.data());
  return b;
}
void ip4(Bytes& b, std::uint8_t proto, std::span<const std::byte> body, std::uint16_t id = 0,
         std::uint16_t offset = 0, bool more = false) {
  wire::Ipv4 h{.src = peer4, .dst = our4, .protocol = proto};
  h.total_length = static_cast<std::uint16_t>(20 + body.size());
  h.identification = id;
  h.fragment_offset = offset;
  h.more_fragments = more;
  std::array<std::byte, 20> header;
  wire::emit_ipv4(h, header.data());
  put(b, header);
  put(b, body);
}
void ip6(Bytes& b, std::uint8_t next, std::span<const std::byte> body) {
  wire::Ipv6 h{.src = peer6, .dst = our6, .next_header = next, .hop_limit = 255};
  h.payload_length = static_cast<std::uint16_t>(body.size());
  std::array<std::byte, 40> header;
  wire::emit_plain_ipv6(h, header.data());
  put(b, header);
  put(b, body);
}
void seal(Bytes& message, std::uint64_t pseudo) {
  if (message.size() < 4) return;
  message[2] = message[3] = std::byte{0};
  const Be16 sum = wire::finish(pseudo + wire::sum_bytes(message));
  std::memcpy(message.data() + 2, &sum, 2);
}

Bytes make(Input& in) {
  const auto what = static_cast<Make>(in.byte() & 7);
  const std::uint8_t how = in.byte();
  const std::size_t n = in.word() % 2048;
  Bytes b;
  switch (what) {
    case raw:
      put(b, in.take(n));
      break;
    case in_ethernet:
      b = ethernet((how & 4) != 0   ? wire::ether_type::arp
                   : (how & 8) != 0 ? wire::ether_type::ipv4
                                    : wire::ether_type::ipv6,
                   how);
      put(b, in.take(n));
      break;
    case ip4_body:
      b = ethernet(wire::ether_type::ipv4, how);
      ip4(b, in.byte(), in.take(n));
      break;
    case ip6_body:
      b = ethernet(wire::ether_type::ipv6, how);
      ip6(b, in.byte(), in.take(n));
      break;
    case fragment4: {
      b = ethernet(wire::ether_type::ipv4, how);
      const auto offset = static_cast<std::uint16_t>(in.word() & 0xfff8);
      ip4(b, (how & 16) != 0 ? 1 : 6, in.take((how & 4) != 0 ? n & ~std::size_t{7} : n), how >> 5, offset,
          (how & 4) != 0);
      break;
    }
    case fragment6: {
      b = ethernet(wire::ether_type::ipv6, how);
      Bytes body(8);
      body[0] = static_cast<std::byte>((how & 16) != 0 ? 58 : 6);
      store_be(body.data() + 2, static_cast<std::uint16_t>((in.word() & 0xfff8) | ((how & 4) != 0 ? 1 : 0)));
      body[7] = static_cast<std::byte>(how >> 5);
      put(body, in.take((how & 4) != 0 ? n & ~std::size_t{7} : n));
      ip6(b, wire::ip_protocol::fragment, body);
      break;
    }
    case icmp4_body: {
      const auto s = in.take(n);
      Bytes message(s.begin(), s.end());
      seal(message, 0);
      b = ethernet(wire::ether_type::ipv4, how);
      ip4(b, wire::ip_protocol::icmp, message);
      break;
    }
    case icmp6_body: {
      const auto s = in.take(n);
      Bytes message(s.begin(), s.end());
      seal(message, wire::pseudo_sum_v6(peer6, our6, wire::ip_protocol::icmpv6,
                                        static_cast<std::uint32_t>(message.size())));
      b = ethernet(wire::ether_type::ipv6, how);
      ip6(b, wire::ip_protocol::icmpv6, message);
      break;
    }
  }
  return b;
}

PacketPool packets() {
  static test::TestPool& pool = *new test::TestPool(1023);
  return pool.pool();
}

// In segments of `piece` bytes, each ending where its bytes end.
Packet packet(const Bytes& frame, std::size_t piece) {
  Packet head = packets().alloc();
  for (std::size_t i = 0; i < frame.size(); i += piece) {
    const std::size_t n = std::min(piece, frame.size() - i);
    Packet p = packets().alloc();
    if (!p || !p.append_copy({frame.data() + i, n}, packets())) return {};
    if (i == 0)
      head = std::move(p);
    else if (!head.chain(std::move(p)))
      return {};
  }
  return head;
}

// A frame of ours: every length and checksum right.
void check_sent(const Packet& p, const Interface& self) {
  Bytes b(p.length());
  p.copy_out(0, b);
  wire::Ethernet e;
  TERN_CHECK(wire::parse_ethernet(b, e) == wire::Verdict::ok && e.src == self.mac());
  const auto l3 = std::span<const std::byte>(b).subspan(e.header_length());
  if (e.type == wire::ether_type::arp) {
    wire::Arp a;
    TERN_CHECK(wire::parse_arp(l3, a) == wire::Verdict::ok && a.sender_mac == self.mac());
  } else if (e.type == wire::ether_type::ipv4) {
    wire::Ipv4 h;
    wire::IcmpMessage m;
    TERN_CHECK(wire::parse_ipv4(l3, h) == wire::Verdict::ok && wire::ipv4_checksum_ok(l3, h));
    TERN_CHECK(h.total_length == l3.size() && self.owns(h.src));
    TERN_CHECK(l3.size() <= self.mtu());
    if (h.is_fragment()) return;                // of an echo larger than a frame
    if (h.protocol == wire::ip_protocol::tcp) { // one that had waited for its neighbour
      TERN_CHECK(wire::tcp_checksum_ok(h.src, h.dst, l3.subspan(h.header_length)));
      return;
    }
    TERN_CHECK(wire::parse_icmp(l3.subspan(h.header_length), m) == wire::Verdict::ok);
  } else {
    wire::Ipv6 h;
    wire::Icmpv6 m;
    TERN_CHECK(wire::parse_ipv6(l3, h) == wire::Verdict::ok && self.owns(h.src));
    TERN_CHECK(wire::ipv6_length + h.payload_length == l3.size() && l3.size() <= self.mtu());
    if (h.is_fragment()) return;
    if (h.protocol == wire::ip_protocol::tcp) {
      TERN_CHECK(wire::tcp_checksum_ok(h.src, h.dst, l3.subspan(h.header_length)));
      return;
    }
    TERN_CHECK(wire::parse_icmpv6(l3.subspan(h.header_length), h.src, h.dst, h.hop_limit, m) ==
               wire::Verdict::ok);
  }
}

class World {
 public:
  explicit World(std::uint8_t how)
      : self_([&] {
          InterfaceSettings s;
          s.mac = our_mac;
          s.addresses = {{Ip{our4}, 24}, {our6, 64}};
          if ((how & 1) != 0) s.vlan = 0x7;
          if ((how & 2) != 0) s.service_vlan = 0x64;
          return s;
        }()),
        net_(self_, {}, packets(), settings()) {}

  void receive(Packet p) {
    Classified c = net_.classify(p);
    if (c.kind == Kind::drop) return;
    TERN_CHECK(c.l3_offset >= 14 && c.l3_offset <= 22);
    if (c.kind == Kind::tcp) return check_tcp(p, c);
    net_.control(std::move(p), c, now_);
  }
  void finish_burst() {
    net_.take_errors([&](const TcpError& e) { TERN_CHECK(self_.owns(e.quoted.src) && e.mtu >= 68); });
    std::array<rte_mbuf*, 32> m;
    for (std::uint16_t n = net_.take_whole(m.data(), 32), i = 0; i < n; ++i) receive(Packet{m[i]});
    while (const std::uint16_t n = net_.outbox().take(m.data(), 32))
      for (std::uint16_t i = 0; i < n; ++i) check_sent(Packet{m[i]}, self_);
  }
  // A segment of ours to somebody, so that there is a neighbour to resolve.
  void send(std::uint8_t to) {
    Packet p = packets().alloc();
    if (!p || p.append(20) == nullptr) return;
    std::memset(p.data(), 0, 20);
    NeighbourRef hop;
    Packet q = std::move(p);
    if ((to & 1) != 0)
      (void)net_.send_tcp(q, Ip{our4}, Ip{Ip4{10, 0, 0, to}}, 0, hop, now_);
    else
      (void)net_.send_tcp(q, our6, peer6, 0, hop, now_);
  }
  void pass(int ms) {
    now_ = now_ + Duration::ms(ms);
    net_.tick(now_);
  }

 private:
  static NetworkSettings settings() {
    NetworkSettings s;
    s.neighbours = 8;
    s.reassembly = {.datagrams = 4, .memory = 64 * 1024};
    return s;
  }
  void check_tcp(const Packet& p, const Classified& c) {
    TERN_CHECK(c.l4_length >= 20 && p.length() == c.l4_offset + c.l4_length);
    TERN_CHECK(p.data_length() >= c.l4_offset + 20);
    TERN_CHECK(self_.owns(c.destination(p)));
  }

  Interface self_;
  Network net_;
  Instant now_ = Instant{} + Duration::seconds(1000);
};

} // namespace
} // namespace tern::net

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tern::net;
  Input in{data, size};
  {
    World w(in.byte());
    while (!in.empty()) {
      const std::uint8_t step = in.byte();
      if ((step & 7) == 7) w.pass((step >> 3) * 1000);
      if ((step & 7) == 6) w.send(step);
      const Bytes frame = make(in);
      constexpr std::array<std::size_t, 4> pieces = {2048, 2048, 64, 7};
      if (frame.empty()) continue;
      if (tern::Packet p = packet(frame, std::max(pieces[step >> 6], frame.size() / 200 + 1)))
        w.receive(std::move(p));
      if ((step & 8) == 0) w.finish_burst();
    }
    w.finish_burst();
  }
  TERN_CHECK(packets().used() == 0);
  return 0;
}
