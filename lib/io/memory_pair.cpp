#include "io/memory_pair.hpp"

#include "io/error.hpp"
#include "io/rss_hash.hpp"

namespace tern::io {
namespace {

// Microsoft's verification key, which many NICs start with.
constexpr std::uint8_t default_key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67,
                                          0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb,
                                          0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30,
                                          0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};
constexpr std::size_t reta_entries = 128;

PortCapabilities capabilities_of(const MemoryPairSettings& s) {
  PortCapabilities c;
  c.driver = "memory";
  c.max_rx_queues = c.max_tx_queues = s.queues;
  c.max_descriptors = UINT16_MAX;
  c.max_mtu = 9216;
  c.rx_ip_checksum = c.rx_tcp_checksum = c.tx_ip_checksum = c.tx_tcp_checksum = true;
  c.scatter = c.multi_segment_tx = true;
  c.tso = s.tso;
  c.rss_tcp4 = c.rss_tcp6 = true;
  c.rss_key_bytes = 40;
  c.reta_entries = reta_entries;
  return c;
}

} // namespace

MemoryPort::MemoryPort() = default;
MemoryPort::~MemoryPort() = default;

std::uint16_t MemoryPort::receive_from_all(Queue& queue, rte_mbuf** out, std::uint16_t n) {
  std::uint16_t got = 0;
  const std::size_t rings = queue.in.size();
  for (std::size_t i = 0; i < rings && got < n; ++i) {
    got = static_cast<std::uint16_t>(
        got + queue.in[queue.next_in]->pop(out + got, static_cast<std::uint16_t>(n - got)));
    if (++queue.next_in == rings) queue.next_in = 0;
  }
  return got;
}

// Packets for one queue keep their order: the first that is refused ends the burst.
std::uint16_t MemoryPort::spread(Queue& queue, QueueId q, rte_mbuf** m, std::uint16_t n) {
  for (std::uint16_t i = 0; i < n; ++i) {
    QueueId to = q;
    if (plan_.rss == Where::hardware) {
      std::uint32_t hash = 0;
      to = 0;
      if (hash_->of_frame(m[i], hash)) {
        to = rss_.reta[hash % reta_entries];
        m[i]->hash.rss = hash;
        m[i]->ol_flags |= RTE_MBUF_F_RX_RSS_HASH;
      }
    }
    if (queue.out[to]->push(m + i, 1) == 0) return i;
  }
  return n;
}

MemoryPair::MemoryPair(const MemoryPairSettings& s) {
  PortRequest want;
  want.name = "memory";
  want.queues = s.queues;
  want.mtu = s.mtu;
  want.buffer_room = UINT16_MAX; // what is sent is received as it is
  want.checksums = s.checksums;
  want.rss = s.rss;
  const PortPlan plan = negotiate(capabilities_of(s), want);
  if (!s.rss_key.empty() && s.rss_key.size() != sizeof default_key)
    throw Error("memory pair: an RSS key has 40 bytes");

  for (std::uint16_t i = 0; i < 2; ++i) {
    MemoryPort& end = ends_[i];
    end.id_ = i;
    end.mac_ = {0x02, 0x54, 0x65,
                0x72, 0x6e, static_cast<std::uint8_t>(i + 1)}; // locally administered: "Tern", 1 or 2
    end.plan_ = plan;
    end.queues_ = std::make_unique<MemoryPort::Queue[]>(s.queues);
    if (plan.rss != Where::hardware) continue;
    end.rss_.key = s.rss_key.empty()
                       ? std::vector<std::uint8_t>(std::begin(default_key), std::end(default_key))
                       : s.rss_key;
    for (std::size_t r = 0; r < reta_entries; ++r)
      end.rss_.reta.push_back(static_cast<QueueId>(r % s.queues));
    end.hash_ = std::make_unique<RssHash>(end.rss_.key);
  }
  for (std::size_t side = 0; side < 2; ++side)
    for (QueueId from = 0; from < s.queues; ++from)
      for (QueueId to = 0; to < s.queues; ++to) {
        rings_.push_back(std::make_unique<SpscRing>(s.ring_size));
        ends_[side].queues_[from].out.push_back(rings_.back().get());
        ends_[1 - side].queues_[to].in.push_back(rings_.back().get());
      }
}

} // namespace tern::io
