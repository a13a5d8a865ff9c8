#include "app/server/handlers.hpp"

#include <algorithm>

#include "app/server/responder.hpp"

namespace tern::app {
namespace {

// The user word: where the scan of a request is, and what is owed.
//
//   bits 0-2    Part: what of it comes next
//   bits 8-15   how much of the word that is looked for there has matched; past: it is another
//   bits 16-23  request line: how much of "http/1.0" has matched; a field's name: 1 for Content-Length, else Connection
//   bit 24      this request asks for the connection to be closed after it
//   bit 25      the response that is being sent is the last
//   bit 26      bits 32-63 tell of the request's body: its length, or what of it is still to come
//   bits 32-63  else bytes of the present response that the send buffer had no room for
constexpr std::uint64_t wants_close = 1ULL << 24;
constexpr std::uint64_t last = 1ULL << 25;
constexpr std::uint64_t has_body = 1ULL << 26;
enum class Part : std::uint8_t { request_line, name, other_line, connection, content_length, body };
constexpr std::uint64_t past = 0xff;
constexpr std::string_view connection_name = "connection:";
constexpr std::string_view length_name = "content-length:";
constexpr std::string_view close_option = "close";
constexpr std::string_view old_version = "http/1.0";

// Of the response.
std::uint64_t owed(std::uint64_t state) {
  return (state & has_body) != 0 ? 0 : state >> 32;
}
std::uint64_t field(std::uint64_t state, unsigned at) {
  return state >> at & 0xff;
}
void set_field(std::uint64_t& state, unsigned at, std::uint64_t v) {
  state = (state & ~(0xffULL << at)) | v << at;
}

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

void go_to(std::uint64_t& state, Part part) {
  state = (state & ~0xffff07ULL) | static_cast<std::uint64_t>(part);
}

// The functions below take one more character of what they are called after.
void take_request_line(std::uint64_t& state, char c) {
  if (c == '\n' && field(state, 8) != 0) return go_to(state, Part::name);
  if (c == '\r' || c == '\n') return; // empty lines before it are passed over: RFC 9112 §2.2
  set_field(state, 8, 1);
  // It begins with a character that stands nowhere else in it, so a mismatch needs no table to go back by.
  std::uint64_t n = field(state, 16);
  n = lower(c) == old_version[n] ? n + 1 : (lower(c) == old_version[0] ? 1 : 0);
  if (n == old_version.size()) state |= wants_close;
  set_field(state, 16, n % old_version.size());
}

// The length of a body is told once. Where that is not so, or it is no number that we can count, where the next request
// begins cannot be known: this one is answered, and the last.
void mistrust_length(std::uint64_t& state) {
  state = (state & 0xffff'ffff & ~has_body) | wants_close;
  set_field(state, 8, past);
}

void begin_value(std::uint64_t& state, bool length) {
  go_to(state, length ? Part::content_length : Part::connection);
  if (length && (state & has_body) != 0) mistrust_length(state);
}

// True: that was the empty line.
bool take_name(std::uint64_t& state, char c) {
  const std::uint64_t n = field(state, 8);
  if (c == '\n') {
    go_to(state, Part::name);
    return n == 0;
  }
  if (c == '\r' && n == 0) return false;
  if (n == 3 && lower(c) == length_name[3]) set_field(state, 16, 1); // "con" is of both
  const bool length = field(state, 16) != 0;
  const std::string_view word = length ? length_name : connection_name;
  if (lower(c) != word[n])
    go_to(state, Part::other_line);
  else if (n + 1 == word.size())
    begin_value(state, length);
  else
    set_field(state, 8, n + 1);
  return false;
}

// A list: RFC 9110 §7.6.1.
void take_connection(std::uint64_t& state, char c) {
  const std::uint64_t n = field(state, 8);
  if (c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n') {
    if (n == close_option.size()) state |= wants_close;
    set_field(state, 8, 0);
    if (c == '\n') go_to(state, Part::name);
  } else {
    set_field(state, 8, n < close_option.size() && lower(c) == close_option[n] ? n + 1 : past);
  }
}

void take_content_length(std::uint64_t& state, char c) {
  if (c == '\n') {
    if ((state & has_body) == 0) state |= wants_close;
    return go_to(state, Part::name);
  }
  if (c == ' ' || c == '\t' || c == '\r') {
    if ((state & has_body) != 0) set_field(state, 8, past); // one number is all
    return;
  }
  constexpr std::uint64_t most = 0xffff'ffff;
  const std::uint64_t n = (state >> 32) * 10 + static_cast<std::uint64_t>(c - '0');
  if (field(state, 8) == past || c < '0' || c > '9' || n > most) return mistrust_length(state);
  state = (state & most) | has_body | n << 32;
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
  while (!p.empty() && owed(state) == 0) { // a response that waits for room holds the next request back
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
  for (std::size_t i = 0; i < text.size();) {
    bool whole = false;
    switch (static_cast<Part>(state & 7)) {
      case Part::request_line:
        take_request_line(state, text[i++]);
        break;
      case Part::name:
        whole = take_name(state, text[i++]);
        if (whole && (state & has_body) != 0 && state >> 32 != 0) {
          go_to(state, Part::body);
          whole = false;
        }
        break;
      case Part::other_line: {
        const std::size_t end = text.find('\n', i);
        if (end == text.npos) return text.size();
        i = end + 1;
        go_to(state, Part::name);
        break;
      }
      case Part::connection:
        take_connection(state, text[i++]);
        break;
      case Part::content_length:
        take_content_length(state, text[i++]);
        break;
      case Part::body: {
        const std::uint64_t n = std::min<std::uint64_t>(text.size() - i, state >> 32);
        i += n;
        state -= n << 32;
        whole = state >> 32 == 0;
        break;
      }
    }
    if (!whole) continue;
    state &= wants_close;
    answer(c, state);
    if ((state & last) != 0) break; // whatever is still asked stays unanswered
    if (owed(state) != 0) return i;
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
  if (const std::size_t left = owed(state); left != 0)
    state -= static_cast<std::uint64_t>(c.send(StaticBytes{response.substr(response.size() - left)})) << 32;
  if (owed(state) == 0 && (state & last) != 0) c.drain();
}

void Http::on_writable(Connection c) {
  std::uint64_t state = c.user();
  send_owed(c, state);
  c.set_user(state);
  if (owed(state) == 0) c.resume_reading();
}

} // namespace tern::app
