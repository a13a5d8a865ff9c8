// One connection between two file descriptors: what `tern connect` is.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>

#include "runtime/core_handle.hpp"

namespace tern::app {

// What the control thread learns. The core writes it, and `over` last.
struct Talk {
  Endpoint remote;
  int in = 0;  // what is read here is sent
  int out = 1; // what arrives is written here
  std::atomic<bool> over{false};
  bool well = false;
  std::string trouble; // what went wrong, for a person
  std::string tail;    // arrived, and not yet written
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};

// Runs on the core's thread and never waits there: descriptors are asked before they are used. Text that the
// output does not take stays unread, so the peer's window says what the reader of our output can bear. The
// input's end is our FIN; the peer's FIN ends the output alone: the other direction goes on until the input
// ends, as in nc.
class Pipe {
 public:
  explicit Pipe(Talk& talk);

  void on_start(CoreHandle& core);
  void on_connected(Connection c) { connection_ = c, feed(); }
  void on_data(Connection c, Payload& p);
  void on_writable(Connection) { feed(); }
  void on_peer_closed(Connection) {}
  void on_closed(Connection c, CloseReason reason);
  void on_tick(Instant);

 private:
  void feed();
  [[nodiscard]] std::size_t most_to_write() const;
  void fail(std::string why);

  static constexpr std::size_t chunk = 64 * 1024;
  Talk* talk_;
  Connection connection_;
  bool out_is_file_ = false;
  bool in_ended_ = false;
  std::size_t kept_from_ = 0; // of buffer_: read, and not yet taken by the connection
  std::size_t kept_to_ = 0;
  std::array<std::byte, chunk> buffer_;
};

} // namespace tern::app
