#include <algorithm>

#include "fuzz.hpp"
#include "wire/ethernet.hpp"

using namespace tern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Exact in(data, size);
  wire::Ethernet e;
  if (wire::parse_ethernet(in.span(), e) != wire::Verdict::ok) return 0;
  fuzz::Exact out(e.header_length());
  TERN_CHECK(wire::emit_ethernet(e, out.data()) == out.span().size());
  TERN_CHECK(std::ranges::equal(out.span(), in.span().first(out.span().size())));

  fuzz::Exact payload(in.span().subspan(e.header_length()));
  wire::Arp a;
  if (wire::parse_arp(payload.span(), a) != wire::Verdict::ok) return 0;
  fuzz::Exact arp(wire::arp_length);
  TERN_CHECK(wire::emit_arp(a, arp.data()) == wire::arp_length);
  TERN_CHECK(std::ranges::equal(arp.span(), payload.span().first(wire::arp_length)));
  return 0;
}
