// One core's network layer over one port: receives what classify found, answers what needs no TCP, and sends
// segments.
#pragma once

#include <array>
#include <cstdint>

#include "base/time.hpp"
#include "base/token_bucket.hpp"
#include "net/classify.hpp"
#include "net/counters.hpp"
#include "net/encapsulate.hpp"
#include "net/interface.hpp"
#include "net/neighbours.hpp"
#include "net/reassembly.hpp"
#include "net/routes.hpp"
#include "wire/icmp.hpp"

namespace tern::net {

// Frames that the layer itself wants sent: replies, solicitations, and what waited for an answer. Bounded;
// the owner drains it once a poll.
class Outbox {
 public:
  static constexpr std::size_t capacity = 64;
  [[nodiscard]] bool put(Packet&& p) {
    if (count_ == capacity) return false;
    frames_[count_++] = std::move(p);
    return true;
  }
  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] bool full() const { return count_ == capacity; }
  // Hands over up to n frames in order.
  std::uint16_t take(rte_mbuf** out, std::uint16_t n);

 private:
  std::array<Packet, capacity> frames_;
  std::size_t count_ = 0;
};

struct NetworkSettings {
  std::uint32_t neighbours = 1024;
  SipKey key; // from the system's randomness: where an address lands in the neighbour table
  TxOffloads offloads;
  ReassemblySettings reassembly;
  std::uint32_t icmp_errors = 100; // a second, that we send
};

// An ICMP error that speaks of a segment of ours. Whether it is to be believed is TCP's to say (RFC 5927).
struct TcpError {
  enum class What : std::uint8_t {
    unreachable,
    refused, // it got there, and nobody takes it: port or protocol unreachable
    too_big, // for a link on the way
  };
  What what = What::unreachable;
  std::uint32_t mtu = 0;  // of that link
  wire::QuotedTcp quoted; // as we sent it: src is us
};

// What may be held for another packet, or an answer, to come. All of it together must not take the packets that others
// need.
enum class Holding : std::uint8_t {
  usual,
  no_fragments, // none of those that come
  least, // nor those that came; of what waits for neighbours only what waits for a gateway, of which there are few
};

enum class Sending : std::uint8_t { ready, waiting, dropped };

class Network {
 public:
  Network(const Interface& self, Routes routes, PacketPool pool, const NetworkSettings& settings);

  // What nearly every packet is, decided on the spot; all else is for classify().
  [[nodiscard, gnu::always_inline]] bool lean_tcp(Packet& p, LeanTcp& out) const {
    return net::lean_tcp(p, self_, out);
  }
  // Drops are counted; the packet stays the caller's to free.
  [[nodiscard]] Classified classify(Packet& p) {
    const Classified c = net::classify(p, self_, pool_);
    if (c.kind == Kind::drop) [[unlikely]]
      counters_.add(c.why);
    return c;
  }
  // Everything that is not TCP: answers it, learns from it, or drops it with a reason. What turns out to be
  // TCP's after all rises: it is to be taken after each burst.
  void control(Packet&& p, const Classified& c, Instant now);
  [[nodiscard]] bool has_risen() const { return error_count_ + whole_count_ != 0; }
  // Errors, the oldest first; each once.
  template <class Take>
  void take_errors(Take&& take) {
    for (std::size_t i = 0; i < error_count_; ++i) take(std::as_const(errors_[i]));
    error_count_ = 0;
  }
  // Datagrams whose fragments have come together: frames for classify().
  std::uint16_t take_whole(rte_mbuf** out, std::uint16_t n);

  // Whether other cores on this port should hear of it too: an answer that we asked for, who asks for us, or
  // who has moved.
  [[nodiscard]] bool concerns_all(const Packet& p, const Classified& c) const;
  // What another core on this port received, answered and passed on: learns from it, and says nothing.
  void overhear(Packet&& p, Instant now);

  // Puts IP and Ethernet in front of a TCP segment. `ready`: it is whole, send it. `waiting`: it was taken,
  // and comes out of the outbox once the next hop is known. `dropped`: it was freed and counted. `hop` is the
  // connection's memory of its next hop; `front` what of the segment was summed while it was written.
  [[nodiscard]] Sending send_tcp(Packet& segment, const Ip& src, const Ip& dst, std::uint8_t tos,
                                 NeighbourRef& hop, Instant now, const wire::SummedFront& front = {}) {
    Neighbour* n = neighbours_.get(hop);
    const Sending sending = send_tcp(segment, src, dst, tos, n, now, front);
    if (n != nullptr) hop = neighbours_.ref(*n);
    return sending;
  }
  // The same for who keeps it in another way. `hop` null: not known; it is whom the segment goes to, then.
  [[nodiscard]] Sending send_tcp(Packet& segment, const Ip& src, const Ip& dst, std::uint8_t tos,
                                 Neighbour*& hop, Instant now, const wire::SummedFront& front) {
    if (hop == nullptr || hop->state == NeighbourState::incomplete) [[unlikely]]
      return send_unresolved(segment, src, dst, tos, hop, now);
    hop->used = true;
    return encapsulate(segment, hop->l2, src, dst, tos, front) ? Sending::ready : no_room(segment);
  }
  [[nodiscard, gnu::always_inline]] Sending send_tcp(Packet& segment, Ip4 src, Ip4 dst, std::uint8_t tos,
                                                     Neighbour*& hop, Instant now,
                                                     const wire::SummedFront& front) {
    if (hop == nullptr || hop->state == NeighbourState::incomplete) [[unlikely]]
      return send_unresolved(segment, Ip{src}, Ip{dst}, tos, hop, now);
    hop->used = true;
    return encapsulate4(segment, hop->l2, src, dst, next_id_++, tos, settings_.offloads, front)
               ? Sending::ready
               : no_room(segment);
  }

  // The same for what is of the commonest kind, at one go (encapsulate.hpp): no packet yet, one that `frame` is, with
  // front4 bytes in front of its segment.
  [[nodiscard]] bool takes_frame4(const Neighbour* hop) const {
    return hop != nullptr && hop->state != NeighbourState::incomplete &&
           net::takes_frame4(hop->l2, settings_.offloads);
  }
  template <class Header>
  [[gnu::always_inline]] void write_frame4(Packet& frame, Neighbour& hop, const Ends4& ends, const Header& h,
                                           std::span<const std::byte> text) {
    hop.used = true;
    net::write_frame4(frame, hop.l2, ends, next_id_++, h, text, settings_.offloads);
  }

  // Tells the link of our addresses (gratuitous ARP, unsolicited advertisements).
  void announce();
  // Ages neighbours, asks again, gives up. A few times a second; the next millisecond while asks_wait(): not more are
  // asked at once than the outbox has room for beside what else must leave.
  void tick(Instant now);
  [[nodiscard]] bool asks_wait() const { return asks_wait_; }
  // From now on.
  void hold(Holding most) {
    if (most != holding_) [[unlikely]]
      holding_becomes(most);
  }

  [[nodiscard]] bool has_route(const Ip& to) const { return routes_.next_hop(self_, to).has_value(); }
  void set_routes(Routes routes) {
    routes_ = std::move(routes);
    ++route_changes_;
  }
  [[nodiscard]] const Routes& routes() const { return routes_; }
  [[nodiscard]] std::uint32_t route_changes() const { return route_changes_; }
  [[nodiscard]] Outbox& outbox() { return outbox_; }
  [[nodiscard]] Neighbours& neighbours() { return neighbours_; }
  [[nodiscard]] const Interface& self() const { return self_; }
  [[nodiscard]] const NetCounters& counters() const { return counters_; }

 private:
  [[nodiscard]] bool encapsulate(Packet& segment, const L2Header& l2, const Ip& src, const Ip& dst,
                                 std::uint8_t tos, const wire::SummedFront& front = {}) {
    return src.is_v4()
               ? encapsulate4(segment, l2, src.v4(), dst.v4(), next_id_++, tos, settings_.offloads, front)
               : encapsulate6(segment, l2, src, dst, tos, settings_.offloads, front);
  }
  Sending no_room(Packet& segment);
  void holding_becomes(Holding most);
  // Whether a neighbour is to be asked now; who did not answer is given up.
  [[nodiscard]] bool to_be_asked(Neighbour& n, Instant now);
  Sending send_unresolved(Packet& segment, const Ip& src, const Ip& dst, std::uint8_t tos, Neighbour*& hop,
                          Instant now);

  void arp(const Packet& p, const Classified& c, Instant now);
  void icmp(Packet&& p, const Classified& c);
  void icmp6(Packet&& p, const Classified& c, Instant now);
  void echo_reply(Packet&& p, const Classified& c);
  // A packet larger than the link carries, in fragments: only echo is answered at such length.
  void put_in_pieces(const Packet& p, std::size_t l2, bool v6);
  void error_in(const wire::IcmpMessage& m, const Classified& c, const Ip& to);
  void refuse(const Packet& p, const Classified& c, Instant now);
  // An ICMP error about `p`, whose IP header is sound; unless it must not be sent, or too many were.
  void send_error(const Packet& p, wire::IcmpMessage m, Instant now);
  void fragment(Packet&& p, const Classified& c, Instant now);
  void solicited(const wire::Neighbour& m, const Packet& p, const Classified& c, Instant now);
  void advertised(wire::Neighbour m, const Packet& p, const Classified& c, Instant now);

  // A neighbour told us its MAC: `asked` if it may have been an answer to us.
  void learn(Neighbour& n, const Mac& mac, bool asked, Instant now);
  void learn_from_request(const Ip& ip, const Mac& mac, Instant now);
  // False: no room for the question, or no packet. It was not asked.
  [[nodiscard]] bool solicit(Neighbour& n);
  bool solicit_nd(const Neighbour& n, const Ip& from, bool unicast);
  bool send_arp(wire::Arp::Operation operation, Ip4 sender, Ip4 target, const Mac& target_mac, const Mac& to);
  bool send_nd(const wire::Neighbour& m, const Ip& src, const Ip& dst, const Mac& to);
  void advertise(const Ip& target, bool solicited, const Ip& dst, const Mac& to);
  // A fresh frame with the Ethernet header on it and room for `n` bytes more, which `at` points to.
  [[nodiscard]] Packet frame(const Mac& to, std::uint16_t type, std::size_t n, std::byte*& at);
  [[nodiscard]] L2Header l2_to(const Mac& to, std::uint16_t type) const;
  bool put(Packet&& p);
  void heard(NetCounter c) {
    if (!overhearing_) counters_.add(c);
  }

  const Interface& self_;
  Routes routes_;
  std::uint32_t route_changes_ = 0;
  PacketPool pool_;
  NetworkSettings settings_;
  Neighbours neighbours_;
  NetCounters counters_;
  Outbox outbox_;
  Reassembly reassembly_;
  TokenBucket error_limit_;
  std::array<TcpError, 32> errors_;
  std::array<Packet, 32> whole_;
  std::size_t error_count_ = 0;
  std::size_t whole_count_ = 0;
  std::uint16_t next_id_ = 1;
  const std::uint32_t most_waiting_; // frames, for all neighbours but gateways
  Holding holding_ = Holding::usual;
  bool asks_wait_ = false;
  std::size_t asked_to_ = 0; // how far tick() came among the neighbours
  bool overhearing_ = false; // somebody else answers and counts
};

} // namespace tern::net
