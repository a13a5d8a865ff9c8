// Reads the requests of an HTTP/1.1 connection: where each ends, and how it is to be answered. They may be cut anywhere and
// pipelined, and may have a body of a Content-Length or of chunks; all that is known of one is a word.
#pragma once

#include <cstdint>
#include <string_view>

namespace tern::app::http {

//   bits 0-4    Part: what of it comes next
//   bit 5       it asks for the head alone
//   bits 8-15   how much of the word that is looked for there has matched (past: it is another), or has come
//   bits 16-23  request line: how much of " http/1.0" has matched; a field's name: which one (past: a CR came); Transfer-Encoding:
//               whether an element is over; a chunk's extension: its length
//   bits 24-31  the flags below
//   bits 32-63  with has_body: what of the body, or of the chunk, is still to come, or of the trailer has come
//               else: whoever answers
enum class Part : std::uint8_t {
  request_line,
  name,
  other_line,
  connection,
  content_length,
  transfer_encoding,
  expect,
  proceed, // 100 Continue is to be said: bits 8-15 bytes of it
  body,
  chunk_size,
  chunk_extension,
  chunk_line_end,
  chunk,
  chunk_end,
  trailer,
};
constexpr std::uint64_t head_only = 1ULL << 5;    // HEAD: until the next request begins
constexpr std::uint64_t wants_close = 1ULL << 24; // the connection is to be closed after this request
constexpr std::uint64_t last = 1ULL << 25; // whoever answers: the response that is being sent is the last
constexpr std::uint64_t has_body = 1ULL << 26;
constexpr std::uint64_t bad = 1ULL << 27; // where the next begins cannot be known: 400, and the end
constexpr std::uint64_t has_coding = 1ULL << 28;
constexpr std::uint64_t chunked = 1ULL << 29; // of its codings the last so far
constexpr std::uint64_t expects = 1ULL << 30; // 100 Continue
constexpr std::uint64_t old = 1ULL << 31;     // HTTP/1.0

constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
constexpr std::uint64_t most_extension = 255;     // bytes, of a chunk's
constexpr std::uint64_t most_trailer = 16 * 1024; // bytes, of a request's

constexpr Part part_of(std::uint64_t state) {
  return static_cast<Part>(state & 0x1f);
}
constexpr std::uint64_t field(std::uint64_t state, unsigned at) {
  return state >> at & 0xff;
}
constexpr void set_field(std::uint64_t& state, unsigned at, std::uint64_t v) {
  state = (state & ~(0xffULL << at)) | v << at;
}

// Up to the end of a request, or to where 100 Continue is due: `state` says which.
enum class Found : std::uint8_t { nothing, request, proceed };
struct Read {
  std::size_t taken = 0;
  Found found = Found::nothing;
};
[[nodiscard]] Read read_request(std::uint64_t& state, std::string_view text);
// 100 Continue was said.
void proceed(std::uint64_t& state);

} // namespace tern::app::http
