#include <algorithm>

#include "fuzz.hpp"
#include "wire/checksum.hpp"
#include "wire/tcp_inl.hpp"

using namespace tern;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Exact in(data, size);
  (void)wire::tcp_checksum_ok(Ip4{10, 0, 0, 1}, Ip4{10, 0, 0, 2}, in.span());
  wire::Tcp t;
  if (wire::parse_tcp(in.span(), t) != wire::Verdict::ok) return 0;
  TERN_CHECK(t.header_length >= 20 && t.header_length <= 60 && t.header_length <= size &&
             t.options.sack_count <= 4);

  fuzz::Exact out(wire::emitted_length(t));
  TERN_CHECK(wire::emit_tcp(t, out.data()) == out.span().size());
  wire::Tcp back;
  TERN_CHECK(wire::parse_tcp(out.span(), back) == wire::Verdict::ok);
  t.header_length = back.header_length; // the canonical layout may be shorter or longer
  t.checksum = 0;
  t.options.sack_count = std::min(t.options.sack_count, back.options.sack_count); // what no longer fits
  TERN_CHECK(back == t);
  wire::set_tcp_checksum(Ip4{1, 2, 3, 4}, Ip4{5, 6, 7, 8}, out.span());
  TERN_CHECK(wire::tcp_checksum_ok(Ip4{1, 2, 3, 4}, Ip4{5, 6, 7, 8}, out.span()));
  return 0;
}
