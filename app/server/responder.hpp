// A server that knows how long a request is: so many bytes in, so many out, and after a number of them FIN.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "app/server/answered.hpp"
#include "runtime/connection.hpp"

namespace tern::app {

// What it sends, byte for byte: what --verify compares with.
[[nodiscard]] std::string response_text(std::size_t size);

class Responder {
 public:
  static constexpr std::uint32_t most_request = 1U << 20;
  static constexpr std::uint32_t most_response = 64U << 20;
  static constexpr std::uint32_t most_counted = 0xffff; // requests that it can count before it closes

  // `requests`: after so many it closes; 0: never.
  Responder(std::uint32_t request_size, std::string_view response, std::uint32_t requests)
      : request_size_(request_size), requests_(requests), response_(response) {}

  void on_data(Connection c, Payload& p) {
    // A connection a request, which came in one piece: nothing to remember of it.
    if (requests_ == 1 && p.size() == request_size_) [[likely]] {
      p.drop_all();
      answered_.add();
      const std::uint32_t owed =
          static_cast<std::uint32_t>(response_.size()) - c.send(StaticBytes{response_});
      if (owed != 0) return c.set_user(Seen{.owed = owed, .answered = 1}.word());
      return c.close();
    }
    Seen seen = Seen::of(c.user());
    // A response that waits for room holds the next request back.
    while (!p.empty() && seen.owed == 0 && !over(seen)) {
      const std::uint32_t n = std::min(p.size(), request_size_ - seen.got);
      p.drop(n);
      seen.got += n;
      if (seen.got < request_size_) break;
      seen.got = 0;
      answered_.add();
      if (requests_ != 0) ++seen.answered;
      seen.owed = static_cast<std::uint32_t>(response_.size()) - c.send(StaticBytes{response_});
    }
    if (over(seen)) p.drop_all();
    c.set_user(seen.word());
    if (over(seen) && seen.owed == 0) c.close();
  }
  void on_writable(Connection c) {
    Seen seen = Seen::of(c.user());
    if (seen.owed == 0) return;
    seen.owed -= c.send(StaticBytes{response_.substr(response_.size() - seen.owed)});
    c.set_user(seen.word());
    if (seen.owed != 0) return;
    if (over(seen)) return c.close();
    c.resume_reading();
  }
  void on_peer_closed(Connection c) { c.close(); }
  [[nodiscard]] const Answered& answered() const { return answered_; }

 private:
  struct Seen {                 // of a connection: its user word
    std::uint32_t got = 0;      // 21 bits
    std::uint32_t owed = 0;     // 27 bits
    std::uint32_t answered = 0; // 16 bits
    static Seen of(std::uint64_t w) {
      return {static_cast<std::uint32_t>(w & 0x1f'ffff), static_cast<std::uint32_t>(w >> 21 & 0x7ff'ffff),
              static_cast<std::uint32_t>(w >> 48)};
    }
    [[nodiscard]] std::uint64_t word() const {
      return got | std::uint64_t{owed} << 21 | std::uint64_t{answered} << 48;
    }
  };
  [[nodiscard]] bool over(const Seen& s) const { return requests_ != 0 && s.answered >= requests_; }

  std::uint32_t request_size_;
  std::uint32_t requests_;
  std::string_view response_;
  Answered answered_;
};

} // namespace tern::app
