// Watching a run: a fingerprint of it, the packets in words, the packets in a pcap file.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "sim/network.hpp"

namespace tern::sim {

// The fingerprint of a run: two runs with the same one sent, lost and delivered the same packets at the same
// times.
class Fingerprint {
 public:
  void add(const Sighting&);
  [[nodiscard]] std::uint64_t value() const { return value_; }

 private:
  void word(std::uint64_t w);
  std::uint64_t value_ = 0x7465'726e;
};

// Sequence numbers as a person wants them: counted from each direction's first SYN (or first packet seen).
class Relative {
 public:
  struct Base {
    Ip4 src, dst;
    Port src_port, dst_port;
    Seq seq;
  };
  // Learns from the packet, then tells how its numbers read: text of "seq 1:101 ack 301", flags apart.
  [[nodiscard]] std::uint32_t seq(const IpView&, const wire::Tcp&);
  [[nodiscard]] std::uint32_t of(const IpView&, const wire::Tcp&, Seq ack); // a number of the other direction
  void forget() { bases_.clear(); }

 private:
  Base* find(Ip4 src, Ip4 dst, Port sp, Port dp);
  std::vector<Base> bases_;
};

[[nodiscard]] std::string flags_of(
    std::uint8_t tcp_flags); // "S", "S.", "P.", "F.", "R": as tcpdump writes them
[[nodiscard]] std::string options_of(const wire::TcpOptions&);

// `time src > dst flags seq ack win len <options>`, one line a sighting.
class TextTrace {
 public:
  explicit TextTrace(const Network& n) : network_(n) {}
  [[nodiscard]] std::string line(const Sighting&);

 private:
  [[nodiscard]] std::string packet(const IpView&);
  const Network& network_;
  Relative relative_;
};

// Nanosecond pcap of bare IP packets (LINKTYPE_RAW), opened by tcpdump and Wireshark.
class PcapWriter {
 public:
  explicit PcapWriter(const std::string& path); // throws std::runtime_error if it can't be written
  PcapWriter(const PcapWriter&) = delete;
  PcapWriter& operator=(const PcapWriter&) = delete;
  ~PcapWriter();
  void packet(Instant at, Bytes frame);

 private:
  std::FILE* file_;
};

} // namespace tern::sim
