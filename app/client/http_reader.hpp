// The client's half of HTTP/1.1: heads, bodies by length, by chunks and to the connection's end.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "app/client/visit.hpp"
#include "flow/arena.hpp"
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
  static constexpr std::size_t most_learned = 1 << 20; // of a body
  static constexpr std::size_t most_kept = 64 << 20;   // of all targets' bodies
  enum class Step : std::uint8_t { more, whole, broken };

  // `body`: what every body should be; empty, and with `learn`: what the first one of its target was. Of that the first MiB
  // is kept, or less where there are many targets, in the arena as all that is reserved; of what comes after it a CRC32C.
  // Throws ArenaError.
  HttpReader(std::string_view body, bool verify, bool learn, std::size_t targets = 1);

  // `target`: the number of that which the connection leads to.
  Step read(Visit& v, Payload& p, std::size_t target = 0);
  // The peer has closed: whether that is how this response ends.
  [[nodiscard]] static bool ends_here(const Visit& v) {
    return v.has(Visit::http_body) && v.has(Visit::http_to_end);
  }
  // The body is whole, by its length or by the connection's end.
  Step finish(Visit& v, std::size_t target = 0);
  // The connection is gone, whatever it had sent.
  void forget(const Visit& v, std::size_t target = 0);
  [[nodiscard]] std::uint16_t status() const { return status_; } // of the last head
  // What bodies should be is not known yet of every target.
  [[nodiscard]] bool learns() const { return verify_ && unknown_ != 0; }
  // So many bodies were not what the first of this target was.
  [[nodiscard]] std::uint64_t differed(std::size_t target) const {
    return target < lessons_.size() ? lessons_[target].differed : 0;
  }
  // So many responses began meanwhile, but for those that taught.
  [[nodiscard]] std::uint64_t not_compared() const { return not_compared_; }

 private:
  // What the bodies of a target should be.
  struct Lesson {
    std::span<char> room;           // for what is kept of it
    std::string_view learned;       // the beginning of that
    const Visit* teacher = nullptr; // whose body is being learned
    std::uint64_t differed = 0;
    std::uint32_t length = 0; // once known
    std::uint32_t digest = 0; // of what is not kept
    bool known = false;
  };
  Step read_head(Visit& v, Payload& p, Lesson& l);
  Step read_body(Visit& v, Payload& p, Lesson& l);
  Step read_chunks(Visit& v, Payload& p, Lesson& l);
  void take(Visit& v, Payload& p, std::uint32_t n, Lesson& l);
  void compare(Visit& v, std::span<const std::byte> piece, Lesson& l);
  void differs(Visit& v, Lesson& l) const;
  Step finish(Visit& v, Lesson& l);
  [[nodiscard]] Lesson& lesson(std::size_t target) { return lessons_[lessons_.size() == 1 ? 0 : target]; }
  [[nodiscard]] std::string_view look(Payload& p, std::size_t most);

  std::string_view body_;
  std::vector<Lesson> lessons_; // one a target; one for all where the body is given
  std::size_t unknown_;         // of them
  std::size_t kept_;            // bytes of a learned body
  ArenaPiece bodies_;           // of each target, one behind the other
  bool verify_;
  std::uint16_t status_ = 0;
  std::uint64_t not_compared_ = 0;
  std::unique_ptr<char[]> scratch_;
};

} // namespace tern::app
