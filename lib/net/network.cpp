#include "net/network.hpp"

#include <algorithm>

namespace tern::net {
namespace {

constexpr std::size_t most_asks = Outbox::capacity / 2; // in one tick

} // namespace

std::uint16_t Outbox::take(rte_mbuf** out, std::uint16_t n) {
  const std::size_t k = std::min<std::size_t>(n, count_);
  for (std::size_t i = 0; i < k; ++i) out[i] = frames_[i].release();
  std::move(frames_.begin() + static_cast<std::ptrdiff_t>(k),
            frames_.begin() + static_cast<std::ptrdiff_t>(count_), frames_.begin());
  count_ -= k;
  return static_cast<std::uint16_t>(k);
}

Network::Network(const Interface& self, Routes routes, PacketPool pool, const NetworkSettings& settings)
    : self_(self),
      routes_(std::move(routes)),
      pool_(pool),
      settings_(settings),
      neighbours_(settings.neighbours, settings.key),
      reassembly_(settings.reassembly, settings.key),
      error_limit_(settings.icmp_errors, settings.icmp_errors),
      // A sixteenth of what the runtime reserves of the pool (packet_watch.hpp).
      most_waiting_(pool.raw() == nullptr ? 64 : std::clamp(pool.raw()->size / 128, 64U, 256U)) {}

void Network::control(Packet&& p, const Classified& c, Instant now) {
  switch (c.kind) {
    case Kind::arp:
      arp(p, c, now);
      break;
    case Kind::icmp:
      icmp(std::move(p), c);
      break;
    case Kind::icmp6:
      icmp6(std::move(p), c, now);
      break;
    case Kind::fragment:
      fragment(std::move(p), c, now);
      break;
    case Kind::other:
      counters_.add(NetCounter::drop_protocol);
      refuse(p, c, now);
      break;
    case Kind::tcp:
    case Kind::drop:
      break; // the caller's
  }
}

void Network::fragment(Packet&& p, const Classified& c, Instant now) {
  counters_.add(NetCounter::fragments_in);
  if (holding_ != Holding::usual) [[unlikely]]
    return counters_.add(NetCounter::drop_fragment_scarce);
  switch (reassembly_.add(p, c, now, pool_)) {
    case Reassembly::Outcome::kept:
      return;
    case Reassembly::Outcome::duplicate:
      return counters_.add(NetCounter::drop_fragment_again);
    case Reassembly::Outcome::refused:
      return counters_.add(NetCounter::drop_fragment);
    case Reassembly::Outcome::evicted:
      return counters_.add(NetCounter::datagrams_evicted);
    case Reassembly::Outcome::whole:
      break;
  }
  if (whole_count_ == whole_.size()) return counters_.add(NetCounter::drop_outbox_full);
  counters_.add(NetCounter::datagrams_whole);
  whole_[whole_count_++] = std::move(p);
}

std::uint16_t Network::take_whole(rte_mbuf** out, std::uint16_t n) {
  const std::size_t k = std::min<std::size_t>(n, whole_count_);
  for (std::size_t i = 0; i < k; ++i) out[i] = whole_[i].release();
  std::move(whole_.begin() + static_cast<std::ptrdiff_t>(k),
            whole_.begin() + static_cast<std::ptrdiff_t>(whole_count_), whole_.begin());
  whole_count_ -= k;
  return static_cast<std::uint16_t>(k);
}

L2Header Network::l2_to(const Mac& to, std::uint16_t type) const {
  return L2Header::make(to, self_.mac(), type, self_.tags());
}

bool Network::put(Packet&& p) {
  if (outbox_.put(std::move(p))) return true;
  counters_.add(NetCounter::drop_outbox_full);
  return false;
}

void Network::holding_becomes(Holding most) {
  holding_ = most;
  if (most == Holding::least) counters_.add(NetCounter::drop_fragment_scarce, reassembly_.forget_all());
}

Sending Network::no_room(Packet& segment) {
  counters_.add(NetCounter::drop_no_headroom);
  segment.reset();
  return Sending::dropped;
}

Sending Network::send_unresolved(Packet& segment, const Ip& src, const Ip& dst, std::uint8_t tos,
                                 Neighbour*& hop, Instant now) {
  const auto next = routes_.next_hop(self_, dst);
  if (!next) {
    counters_.add(NetCounter::drop_no_route);
    segment.reset();
    return Sending::dropped;
  }
  bool evicted = false;
  Neighbour& n = neighbours_.find_or_add(*next, evicted);
  if (evicted) counters_.add(NetCounter::neighbours_evicted);
  hop = &n;
  if (n.state == NeighbourState::absent) {
    n.state = NeighbourState::incomplete;
    n.deadline = now + Neighbours::retransmit_time;
    n.l2 = l2_to(Mac{}, next->is_v4() ? wire::ether_type::ipv4 : wire::ether_type::ipv6);
    if (!solicit(n)) { // as soon as there is room
      n.deadline = now;
      asks_wait_ = true;
    }
  }
  const bool gateway = *next != dst;
  const bool may_wait = gateway || (holding_ != Holding::least && neighbours_.waiting() < most_waiting_);
  if (n.state == NeighbourState::incomplete && !may_wait) {
    counters_.add(NetCounter::drop_resolve_scarce);
    segment.reset();
    return Sending::dropped;
  }
  if (!encapsulate(segment, n.l2, src, dst, tos)) return no_room(segment);
  if (n.state != NeighbourState::incomplete) {
    n.used = true;
    return Sending::ready;
  }
  if (neighbours_.keep(n, std::move(segment))) counters_.add(NetCounter::drop_resolve_queue);
  return Sending::waiting;
}

void Network::learn(Neighbour& n, const Mac& mac, bool asked, Instant now) {
  const bool changed =
      n.mac != mac || n.state == NeighbourState::incomplete || n.state == NeighbourState::absent;
  if (!changed && !asked) return;
  n.mac = mac;
  n.l2 = l2_to(mac, n.ip.is_v4() ? wire::ether_type::ipv4 : wire::ether_type::ipv6);
  n.state = asked ? NeighbourState::reachable : NeighbourState::stale;
  n.deadline = now + Neighbours::reachable_time;
  n.solicits = 0;
  n.used = false;
  neighbours_.take_waiting(n, [&](Packet&& p) {
    std::memcpy(p.data(), mac.data(), mac.size());
    put(std::move(p));
  });
}

// Who asks for us will be spoken to next (RFC 826; RFC 4861 §7.2.3): known, but not proven reachable.
void Network::learn_from_request(const Ip& ip, const Mac& mac, Instant now) {
  if (!self_.on_link(ip)) return; // nobody beyond the link may fill the table
  bool evicted = false;
  Neighbour& n = neighbours_.find_or_add(ip, evicted);
  if (evicted) counters_.add(NetCounter::neighbours_evicted);
  learn(n, mac, false, now);
}

void Network::tick(Instant now) {
  // RFC 1122 §3.3.2, RFC 8200 §4.5: whoever sent the first fragment hears that the others did not come.
  const unsigned lost = reassembly_.expire(now, [&](Packet first, bool v6) {
    send_error(first,
               {.type = v6 ? wire::icmpv6_type::time_exceeded : wire::icmp_type::time_exceeded,
                .code = wire::icmpv6_code::reassembly},
               now);
  });
  counters_.add(NetCounter::datagrams_timed_out, lost);
  if (asked_to_ == 0)
    asks_wait_ = false; // whoever comes upon a full outbox from here on waits for the next walk
  std::vector<Neighbour>& all = neighbours_.all();
  for (std::size_t asks = 0; asked_to_ != all.size(); ++asked_to_) {
    Neighbour& n = all[asked_to_];
    if (!to_be_asked(n, now)) continue;
    if (asks++ == most_asks || !solicit(n)) {
      asks_wait_ = true;
      return;
    }
    n.deadline = now + Neighbours::retransmit_time;
  }
  asked_to_ = 0;
}

bool Network::to_be_asked(Neighbour& n, Instant now) {
  switch (n.state) {
    case NeighbourState::absent:
      return false;
    case NeighbourState::reachable:
      if (now >= n.deadline) {
        n.state = NeighbourState::stale;
        n.used = false;
      }
      return false;
    case NeighbourState::stale:
      if (!n.used) return false;
      n.state = NeighbourState::probing;
      n.solicits = 0;
      n.deadline = now;
      return true;
    case NeighbourState::incomplete:
    case NeighbourState::probing:
      if (now < n.deadline) return false;
      break;
  }
  if (n.solicits < Neighbours::most_solicits) return true;
  counters_.add(NetCounter::drop_unresolved, n.waiting_count);
  neighbours_.remove(n);
  return false;
}

} // namespace tern::net
