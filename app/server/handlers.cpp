#include "app/server/handlers.hpp"

#include <algorithm>

#include "app/server/responder.hpp"

namespace tern::app {
namespace {

// The user word: what the scan of a request has seen so far, and what is owed.
//
//   bits 0-2    how much of CR LF CR LF has matched
//   bits 8-15   how much of "\nconnection: close" has matched
//   bits 16-23  how much of "http/1.0" has matched
//   bit 24      this request asks for the connection to be closed after it
//   bit 25      the response that is being sent is the last
//   bits 32-63  bytes of the present response that the send buffer had no room for
constexpr std::uint64_t wants_close = 1ULL << 24;
constexpr std::uint64_t last = 1ULL << 25;
constexpr std::string_view close_header = "\nconnection: close";
constexpr std::string_view old_version = "http/1.0";

std::uint64_t field(std::uint64_t state, unsigned at) {
  return state >> at & 0xff;
}
void set_field(std::uint64_t& state, unsigned at, std::uint64_t v) {
  state = (state & ~(0xffULL << at)) | v << at;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

// One more character of a search for `word`; true when it is complete. Both words begin with a character that
// stands nowhere else in them, so a mismatch needs no table to go back by.
bool advance(std::uint64_t& state, unsigned at, std::string_view word, char c) {
  std::uint64_t n = field(state, at);
  n = lower(c) == word[n] ? n + 1 : (lower(c) == word[0] ? 1 : 0);
  const bool whole = n == word.size();
  set_field(state, at, whole ? 0 : n);
  return whole;
}

} // namespace

std::string response_text(std::size_t size) {
  std::string text(size, ' ');
  for (std::size_t i = 0; i < size; ++i) text[i] = static_cast<char>('!' + i % 90);
  return text;
}

std::string http_body(std::size_t size) {
  std::string body(size, 'x');
  if (!body.empty()) body.back() = '\n';
  return body;
}

Chargen::Chargen(std::size_t size) {
  text.reserve(size);
  for (std::size_t i = 0; text.size() < size; ++i) text += static_cast<char>(' ' + i % 95);
}

Http::Http(std::size_t response_size, Closes closes) : closes_(closes) {
  const std::string body = http_body(response_size);
  const std::string head = "HTTP/1.1 200 OK\r\nServer: tern\r\nContent-Type: text/plain\r\nContent-Length: " +
                           std::to_string(body.size()) + "\r\n";
  keep_ = head + "\r\n" + body;
  close_ = head + "Connection: close\r\n\r\n" + body;
}

void Http::on_data(Connection c, Payload& p) {
  std::uint64_t state = c.user();
  while (!p.empty() && state >> 32 == 0) { // a response that waits for room holds the next request back
    const auto piece = p.front();
    if ((state & last) != 0) {
      p.drop_all();
      break;
    }
    const std::string_view text(reinterpret_cast<const char*>(piece.data()), piece.size());
    p.drop(static_cast<std::uint32_t>(scan(c, state, text)));
  }
  c.set_user(state);
}

std::size_t Http::scan(Connection c, std::uint64_t& state, std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char ch = text[i];
    if (advance(state, 8, close_header, ch) || advance(state, 16, old_version, ch)) state |= wants_close;
    const std::uint64_t seen = state & 7;
    const bool wanted = ch == (seen % 2 == 0 ? '\r' : '\n');
    state = (state & ~7ULL) | (wanted ? seen + 1 : (ch == '\r' ? 1 : 0));
    if ((state & 7) != 4) continue;
    state &= ~7ULL;
    answer(c, state);
    if ((state & last) != 0) break; // whatever is still asked stays unanswered
    if (state >> 32 != 0) return i + 1;
  }
  return text.size();
}

void Http::answer(Connection c, std::uint64_t& state) {
  answered_.add();
  if (closes_ == Closes::AfterEach || (state & wants_close) != 0) state |= last;
  state &= ~wants_close;
  const std::string& response = (state & last) != 0 ? close_ : keep_;
  state |= static_cast<std::uint64_t>(response.size()) << 32; // nothing was owed, or nothing would be scanned
  send_owed(c, state);
}

void Http::send_owed(Connection c, std::uint64_t& state) {
  const std::string_view response = (state & last) != 0 ? close_ : keep_;
  if (const std::size_t owed = state >> 32; owed != 0)
    state -= static_cast<std::uint64_t>(c.send(StaticBytes{response.substr(response.size() - owed)})) << 32;
  if (state >> 32 == 0 && (state & last) != 0) c.drain();
}

void Http::on_writable(Connection c) {
  std::uint64_t state = c.user();
  send_owed(c, state);
  c.set_user(state);
  if (state >> 32 == 0) c.resume_reading();
}

} // namespace tern::app
