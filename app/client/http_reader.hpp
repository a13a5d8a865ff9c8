// The client's half of HTTP/1.1: heads, bodies by length, by chunks and to the connection's end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "app/client/visit.hpp"
#include "runtime/connection.hpp"

namespace tern::app {

struct HttpHead {
  std::uint32_t bytes = 0; // of the head itself, its empty line too
  std::uint32_t length = 0;
  std::uint16_t status = 0;
  bool chunked = false;
  bool has_length = false;
  bool closes = false;
};
enum class HttpParse : std::uint8_t { whole, more, nonsense };
// `text` begins where a response does. `more`: its head is not whole yet.
[[nodiscard]] HttpParse parse_head(std::string_view text, HttpHead& head);

// Reads responses out of payloads. What it cannot use yet it leaves in the payload: the rest of a head that
// was cut comes with the next text, so a connection needs no buffer.
class HttpReader {
 public:
  static constexpr std::size_t most_head = 8192;
  static constexpr std::size_t most_learned = 1 << 20;
  enum class Step : std::uint8_t { more, whole, broken };

  // `body`: what every body should be; empty, and with `learn`: what the first one was. Of that the first MiB is
  // kept, of what comes after it a CRC32C.
  HttpReader(std::string_view body, bool verify, bool learn);

  Step read(Visit& v, Payload& p);
  // The peer has closed: whether that is how this response ends.
  [[nodiscard]] static bool ends_here(const Visit& v) {
    return v.has(Visit::http_body) && v.has(Visit::http_to_end);
  }
  // The body is whole, by its length or by the connection's end.
  Step finish(Visit& v);
  // The connection is gone, whatever it had sent.
  void forget(const Visit& v);
  [[nodiscard]] std::uint16_t status() const { return status_; } // of the last head
  [[nodiscard]] std::size_t learned() const { return learned_.size(); }
  // What bodies should be is not known yet.
  [[nodiscard]] bool learns() const { return verify_ && !known_; }
  // So many responses began meanwhile, but for those that taught.
  [[nodiscard]] std::uint64_t not_compared() const { return not_compared_; }

 private:
  Step read_head(Visit& v, Payload& p);
  Step read_body(Visit& v, Payload& p);
  Step read_chunks(Visit& v, Payload& p);
  void take(Visit& v, Payload& p, std::uint32_t n);
  void compare(Visit& v, std::span<const std::byte> piece);
  [[nodiscard]] std::string_view look(Payload& p, std::size_t most);

  std::string_view body_;
  std::vector<char> learned_;
  const Visit* teacher_ = nullptr; // whose body is being learned
  std::uint32_t length_;           // of a body, once known
  std::uint32_t digest_ = 0;       // of what is not kept of it
  bool verify_;
  bool known_;
  std::uint16_t status_ = 0;
  std::uint64_t not_compared_ = 0;
  std::unique_ptr<char[]> scratch_;
};

} // namespace tern::app
