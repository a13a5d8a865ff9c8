#include "fuzz.hpp"
#include "wire/checksum.hpp"
#include "wire/icmp.hpp"

using namespace tern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Exact in(data, size);
  wire::QuotedTcp quoted;
  (void)wire::parse_quoted_v4(in.span(), quoted);
  wire::IcmpMessage m;
  (void)wire::parse_icmp(in.span(), m);
  if (size < 4) return 0;
  store_be<std::uint16_t>(in.data() + 2,
                          0); // a fuzzer doesn't guess checksums: behind a right one lies the rest
  store_be(in.data() + 2, wire::finish(wire::sum_bytes(in.span())).host());
  if (wire::parse_icmp(in.span(), m) != wire::Verdict::ok) return 0;
  fuzz::Exact body(m.body);
  (void)wire::parse_quoted_v4(body.span(), quoted);
  fuzz::Exact out(wire::emitted_length(m));
  TERN_CHECK(wire::emit_icmp(m, out.data()) == size);
  wire::IcmpMessage back;
  TERN_CHECK(wire::parse_icmp(out.span(), back) == wire::Verdict::ok && back == m);
  return 0;
}
