// Control segments of what has no Tcb: RST from CLOSED and LISTEN, SYN-ACK from a record or a cookie, ACK
// from SYN-RECEIVED and TIME-WAIT. Ports and checksum are zero, as in all that the engine sends: the caller
// puts addresses, ports and checksum around them.
#pragma once

#include <cstdint>

#include "packet/packet.hpp"
#include "tcp/counters.hpp"
#include "tcp/segment.hpp"
#include "tcp/settings.hpp"
#include "tcp/syn_options.hpp"

namespace tern::tcp {

// RFC 9293 §3.10.7.1. Never for a segment that is itself a RST.
[[nodiscard]] wire::Tcp reset_for(const Segment&);

struct Timestamps {
  std::uint32_t val = 0;
  std::uint32_t ecr = 0;
};
[[nodiscard]] wire::Tcp ack_segment(Seq seq, Seq ack, std::uint16_t window, const Timestamps* ts);
// `mtu_mss`: what our side can take in a segment without options, told to the peer.
[[nodiscard]] wire::Tcp syn_ack_segment(const Settings&, std::uint16_t mtu_mss, Seq iss, Seq irs,
                                        const SynOptions& agreed, Timestamps ts);

// Beginning at the TCP header, whose sum `front` is. Empty, and counted, when the pool is.
[[nodiscard]] Packet build(const wire::Tcp&, const PacketPool&, TcpCounters&, wire::SummedFront& front);
[[nodiscard]] inline Packet build(const wire::Tcp& h, const PacketPool& pool, TcpCounters& counters) {
  wire::SummedFront unused;
  return build(h, pool, counters, unused);
}

} // namespace tern::tcp
