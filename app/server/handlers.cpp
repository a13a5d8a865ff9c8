#include "app/server/handlers.hpp"

#include "app/server/http_request.hpp"
#include "app/server/responder.hpp"

namespace tern::app {
namespace {

// Of the response, or of 100 Continue: what the send buffer had no room for. Bits 32-63 tell of either, or of a body.
std::uint64_t owed(std::uint64_t state) {
  if ((state & http::has_body) == 0) [[likely]]
    return state >> 32;
  return http::part_of(state) == http::Part::proceed ? http::field(state, 8) : 0;
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

Http::Http(std::size_t response_size, Closes closes) : body_(response_size), closes_(closes) {
  const std::string body = http_body(response_size);
  const std::string server = "Server: tern\r\n";
  const std::string head = "HTTP/1.1 200 OK\r\n" + server +
                           "Content-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
                           "\r\n";
  const std::string end = "Connection: close\r\n\r\n";
  keep_ = head + "\r\n" + body;
  close_ = head + end + body;
  refuse_ = "HTTP/1.1 400 Bad Request\r\n" + server + "Content-Length: 0\r\n" + end;
}

void Http::on_data(Connection c, Payload& p) {
  std::uint64_t state = c.user();
  while (!p.empty() && owed(state) == 0) { // a response that waits for room holds the next request back
    const auto piece = p.front();
    if ((state & http::last) != 0) {
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
    const http::Read read = http::read_request(state, text.substr(i));
    i += read.taken;
    if (read.found == http::Found::nothing) break;
    if (read.found == http::Found::proceed) [[unlikely]] {
      go_on(c, state);
    } else {
      state &= http::wants_close | http::bad | http::head_only;
      answer(c, state);
      if ((state & http::last) != 0) break; // whatever is still asked stays unanswered
    }
    if (owed(state) != 0) return i;
  }
  return text.size();
}

void Http::answer(Connection c, std::uint64_t& state) {
  if ((state & http::bad) == 0) answered_.add();
  if (closes_ == Closes::AfterEach || (state & (http::wants_close | http::bad)) != 0) state |= http::last;
  state &= ~http::wants_close;
  // Nothing was owed, or nothing would be scanned.
  state |= static_cast<std::uint64_t>(response(state).size()) << 32;
  send_owed(c, state);
}

std::string_view Http::response(std::uint64_t state) const {
  if ((state & http::bad) != 0) return refuse_;
  const std::string_view whole = (state & http::last) == 0 ? keep_ : close_;
  return whole.substr(0, whole.size() - ((state & http::head_only) == 0 ? 0 : body_)); // RFC 9110 §9.3.2
}

void Http::send_owed(Connection c, std::uint64_t& state) {
  const std::string_view text = response(state);
  if (const std::size_t left = owed(state); left != 0)
    state -= static_cast<std::uint64_t>(c.send(StaticBytes{text.substr(text.size() - left)})) << 32;
  if (owed(state) == 0 && (state & http::last) != 0) c.drain();
}

void Http::go_on(Connection c, std::uint64_t& state) {
  const std::size_t left =
      owed(state) - c.send(StaticBytes{http::go_on.substr(http::go_on.size() - owed(state))});
  if (left == 0)
    http::proceed(state);
  else
    http::set_field(state, 8, left);
}

void Http::on_writable(Connection c) {
  std::uint64_t state = c.user();
  if (http::part_of(state) == http::Part::proceed)
    go_on(c, state);
  else
    send_owed(c, state);
  c.set_user(state);
  if (owed(state) == 0) c.resume_reading();
}

} // namespace tern::app
