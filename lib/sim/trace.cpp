#include "sim/trace.hpp"

#include <fmt/format.h>

#include <array>
#include <stdexcept>

#include "base/endian.hpp"
#include "base/siphash.hpp"

namespace tern::sim {

void Fingerprint::word(std::uint64_t w) {
  // One round of a SplitMix-like mix a word: a fingerprint, not a signature.
  value_ = (value_ ^ w) * 0x9e37'79b9'7f4a'7c15;
  value_ ^= value_ >> 29;
}

void Fingerprint::add(const Sighting& s) {
  word(static_cast<std::uint64_t>(s.at.since_origin_ns()));
  word(static_cast<std::uint64_t>(s.what) << 40 | static_cast<std::uint64_t>(s.why) << 32 | s.node);
  word(s.frame.size());
  // Headers are enough: the TCP checksum stands for the text.
  const std::size_t n = std::min<std::size_t>(s.frame.size(), 64);
  word(siphash13({1, 2}, s.frame.first(n)));
}

Relative::Base* Relative::find(Ip4 src, Ip4 dst, Port sp, Port dp) {
  for (Base& b : bases_)
    if (b.src == src && b.dst == dst && b.src_port == sp && b.dst_port == dp) return &b;
  return nullptr;
}

std::uint32_t Relative::seq(const IpView& ip, const wire::Tcp& h) {
  Base* b = find(ip.src, ip.dst, h.src, h.dst);
  if (b == nullptr) {
    bases_.push_back({ip.src, ip.dst, h.src, h.dst, h.seq});
    b = &bases_.back();
  } else if (h.has(wire::tcp_flag::syn) && h.seq.since(b->seq) != 0 && b->seq.since(h.seq) > 1'000'000) {
    b->seq = h.seq; // the tuple's next connection
  }
  return h.seq.since(b->seq);
}

std::uint32_t Relative::of(const IpView& ip, const wire::Tcp& h, Seq ack) {
  const Base* b = find(ip.dst, ip.src, h.dst, h.src);
  return b == nullptr ? ack.raw() : ack.since(b->seq);
}

std::string flags_of(std::uint8_t f) {
  namespace flag = wire::tcp_flag;
  std::string s;
  if (f & flag::syn) s += 'S';
  if (f & flag::fin) s += 'F';
  if (f & flag::rst) s += 'R';
  if (f & flag::psh) s += 'P';
  if (f & flag::urg) s += 'U';
  if (f & flag::cwr) s += 'W';
  if (f & flag::ece) s += 'E';
  if (f & flag::ack) s += '.';
  return s.empty() ? "none" : s;
}

std::string options_of(const wire::TcpOptions& o) {
  using O = wire::TcpOptions;
  std::string s;
  const auto add = [&s](std::string word) { s += (s.empty() ? "" : ",") + std::move(word); };
  if (o.has & O::mss_bit) add(fmt::format("mss {}", o.mss));
  if (o.has & O::wscale_bit) add(fmt::format("wscale {}", o.wscale));
  if (o.has & O::sack_permitted_bit) add("sackOK");
  if (o.has_timestamps()) add(fmt::format("TS val {} ecr {}", o.ts_val, o.ts_ecr));
  if (o.has & O::user_timeout_bit) add(fmt::format("uto {}", o.user_timeout));
  return s;
}

std::string TextTrace::packet(const IpView& ip) {
  const auto end = [](Ip4 a, Port p) { return fmt::format("{}:{}", Ip{a}.to_string(), p.raw()); };
  if (const std::optional<IcmpView> icmp = view_icmp(ip))
    return fmt::format("{} > {} ICMP {}/{} mtu {} about {} > {}", Ip{ip.src}.to_string(),
                       Ip{ip.dst}.to_string(), icmp->type, icmp->code, icmp->mtu,
                       end(icmp->inner_src, icmp->inner_src_port),
                       end(icmp->inner_dst, icmp->inner_dst_port));
  const std::optional<TcpView> tcp = view_tcp(ip);
  if (!tcp) return fmt::format("{} > {} damaged", Ip{ip.src}.to_string(), Ip{ip.dst}.to_string());
  const wire::Tcp& h = tcp->h;
  const std::uint32_t seq = relative_.seq(ip, h);
  std::string s =
      fmt::format("{} > {} [{}] seq {}", end(ip.src, h.src), end(ip.dst, h.dst), flags_of(h.flags), seq);
  if (!tcp->text.empty()) s += fmt::format(":{}", seq + static_cast<std::uint32_t>(tcp->text.size()));
  if (h.has(wire::tcp_flag::ack)) s += fmt::format(" ack {}", relative_.of(ip, h, h.ack));
  s += fmt::format(" win {} len {}", h.window, tcp->text.size());
  std::string options = options_of(h.options);
  for (std::size_t i = 0; i < h.options.sack_count; ++i) {
    const wire::SackBlock& b = h.options.sack[i];
    options += fmt::format("{}sack {}:{}", options.empty() ? "" : ",", relative_.of(ip, h, b.left),
                           relative_.of(ip, h, b.right));
  }
  if (!options.empty()) s += fmt::format(" <{}>", options);
  if (ip.ecn != Ecn::not_ect) s += ip.ecn == Ecn::ce ? " CE" : " ECT";
  return s;
}

std::string TextTrace::line(const Sighting& s) {
  constexpr std::array what{"sent", "arrived", "DROPPED", "marked CE", "damaged"};
  const std::optional<IpView> ip = view_ip(s.frame);
  std::string line =
      fmt::format("{:.6f} {:<8} {:<9} {}", (s.at - Instant{}).as_seconds(), network_.name(s.node),
                  what[static_cast<std::size_t>(s.what)], ip ? packet(*ip) : "damaged");
  if (s.why != Drop::none) line += fmt::format(" ({})", name_of(s.why));
  return line;
}

PcapWriter::PcapWriter(const std::string& path) : file_(std::fopen(path.c_str(), "wb")) {
  if (file_ == nullptr) throw std::runtime_error(fmt::format("{}: can't be written", path));
  constexpr std::uint32_t magic_nanoseconds = 0xa1b23c4d;
  constexpr std::uint32_t linktype_raw = 101;
  const std::array<std::uint32_t, 6> header{magic_nanoseconds, 2U | 4U << 16, 0, 0, 65535, linktype_raw};
  std::fwrite(header.data(), sizeof header, 1, file_);
}

PcapWriter::~PcapWriter() {
  std::fclose(file_);
}

void PcapWriter::packet(Instant at, Bytes frame) {
  const auto ns = static_cast<std::uint64_t>(at.since_origin_ns());
  const auto length = static_cast<std::uint32_t>(frame.size());
  const std::array<std::uint32_t, 4> record{static_cast<std::uint32_t>(ns / 1'000'000'000),
                                            static_cast<std::uint32_t>(ns % 1'000'000'000), length, length};
  std::fwrite(record.data(), sizeof record, 1, file_);
  std::fwrite(frame.data(), 1, frame.size(), file_);
}

} // namespace tern::sim
