#include "tcp/reply.hpp"

#include "wire/tcp_inl.hpp"

namespace tern::tcp {

namespace flag = wire::tcp_flag;

wire::Tcp reset_for(const Segment& s) {
  wire::Tcp r;
  if (s.h.has(flag::ack)) {
    r.seq = s.h.ack;
    r.flags = flag::rst;
  } else {
    r.ack = s.end();
    r.flags = flag::rst | flag::ack;
  }
  return r;
}

wire::Tcp ack_segment(Seq seq, Seq ack, std::uint16_t window, const Timestamps* ts) {
  wire::Tcp r;
  r.seq = seq;
  r.ack = ack;
  r.flags = flag::ack;
  r.window = window;
  if (ts != nullptr) {
    r.options.has = wire::TcpOptions::timestamps_bit;
    r.options.ts_val = ts->val;
    r.options.ts_ecr = ts->ecr;
  }
  return r;
}

wire::Tcp syn_ack_segment(const Settings& settings, std::uint16_t mtu_mss, Seq iss, Seq irs,
                          const SynOptions& agreed, Timestamps ts) {
  wire::Tcp r;
  r.seq = iss;
  r.ack = irs + 1;
  r.flags =
      static_cast<std::uint8_t>(flag::syn | flag::ack | (agreed.ecn ? flag::ece : 0)); // RFC 3168 §6.1.1
  r.window = first_window(settings);
  r.options.has = wire::TcpOptions::mss_bit;
  r.options.mss = mtu_mss;
  if (agreed.sack) r.options.has |= wire::TcpOptions::sack_permitted_bit;
  if (agreed.scaled) {
    r.options.has |= wire::TcpOptions::wscale_bit;
    r.options.wscale = own_scale(settings);
  }
  if (agreed.timestamps) {
    r.options.has |= wire::TcpOptions::timestamps_bit;
    r.options.ts_val = ts.val;
    r.options.ts_ecr = ts.ecr;
  }
  return r;
}

Packet build(const wire::Tcp& h, const PacketPool& pool, TcpCounters& counters, wire::SummedFront& front) {
  Packet p = pool.alloc(static_cast<std::uint32_t>(wire::emitted_length(h)));
  if (p)
    wire::emit_tcp(h, p.data(), front);
  else
    counters.add(Counter::no_packet);
  return p;
}

} // namespace tern::tcp
