// What `tern server` answers: one small handler a mode.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "app/server/answered.hpp"
#include "runtime/connection.hpp"

namespace tern::app {

struct Echo {
  void on_data(Connection c, Payload& p) {
    c.send(p);
  } // what isn't taken stays in p, unread, and comes again
  void on_writable(Connection c) { c.resume_reading(); }
  void on_peer_closed(Connection c) { c.close(); }
};

struct Discard {
  void on_data(Connection, Payload& p) { p.drop_all(); }
};

// RFC 864 in spirit: text for as long as the peer takes it.
struct Chargen {
  explicit Chargen(std::size_t size);
  void on_accept(Connection c) { fill(c); }
  void on_writable(Connection c) { fill(c); }
  void fill(Connection c) {
    while (c.send(StaticBytes{std::string_view{text}}) == text.size()) {
    }
  }
  std::string text;
};

[[nodiscard]] std::string http_body(std::size_t size); // what Http answers with

// The least of HTTP/1.1 that curl, wrk and browsers are content with: any request gets the same response, HEAD its head, and one that
// leaves in doubt where the next begins 400 and the end (http_request.hpp). The connection's user word is all that is known of it.
class Http {
 public:
  enum class Closes : std::uint8_t { WhenAsked, AfterEach };
  Http(std::size_t response_size, Closes closes);

  void on_data(Connection c, Payload& p);
  void on_writable(Connection c);
  void on_peer_closed(Connection c) { c.close(); }
  [[nodiscard]] const Answered& answered() const { return answered_; }

 private:
  // How much of it was taken: what follows a request whose response waits for room stays unread.
  [[nodiscard]] std::size_t scan(Connection c, std::uint64_t& state, std::string_view text);
  void answer(Connection c, std::uint64_t& state);
  [[nodiscard]] std::string_view response(std::uint64_t state) const;
  void go_on(Connection c, std::uint64_t& state);
  void send_owed(Connection c, std::uint64_t& state);

  std::string keep_;   // a whole response that keeps the connection
  std::string close_;  // and one that ends it
  std::string refuse_; // what is no request
  std::size_t body_;   // so many bytes of either of the first two
  Closes closes_;
  Answered answered_;
};

} // namespace tern::app
