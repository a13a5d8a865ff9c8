// What a client is to do, what it counted, and how it is told from outside.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/counters.hpp"
#include "base/ip.hpp"
#include "base/time.hpp"
#include "flow/port_pool.hpp"
#include "observe/histogram.hpp"

namespace tern::app {

enum class Load : std::uint8_t {
  attempted,
  established,
  completed,
  requests,
  response_bytes,
  connect_timeout,
  refused,
  reset,
  response_timeout,
  short_response,
  bad_byte,
  unfinished,
  no_port,    // opens that found no free port, or no record: tried again later
  late,       // paced opens that came more than a millisecond after their time
  bad_status, // HTTP responses that were no answer: counted as bad_byte too, or as completed without --verify
  not_http,   // responses that were not understood
  never_closed, // whole responses whose server did not close in time: counted as response_timeout too
  count_
};

struct LoadStats {
  Counters<Load> load;
  observe::Histogram connect;
  observe::Histogram first_byte;
  observe::Histogram response;
  observe::Histogram close;
  std::atomic<std::uint64_t> live{0};
  std::atomic<std::uint64_t> live_peak{0}; // as a tick sees it
};

enum class PayloadKind : std::uint8_t { tcp, http };
enum class Closer : std::uint8_t { client, server, reset };

// One core's share of the load. Immutable while it runs.
struct LoadPlan {
  std::vector<Endpoint> targets;
  Sources sources;
  PortRange ports;
  PayloadKind payload = PayloadKind::tcp;
  Closer closer = Closer::server;
  std::string_view request;
  std::string_view last_request; // of a connection, where that is another (HTTP: "Connection: close")
  std::string_view response;     // what is expected, byte for byte; HTTP: of the body, empty: the first one's
  bool verify = false;
  std::uint32_t in_progress = 256; // closed loop: so many are opening, asking or closing at once
  std::uint32_t concurrency = 0;   // connections held open
  std::uint64_t connections = 0;   // 0: until stopped
  std::uint32_t requests = 1;      // a connection; 0: until stopped
  Duration think{};
  Duration ramp{};
  Duration timeout = Duration::seconds(60);
  std::uint64_t seed = 1;
  double share = 1; // of the whole rate that is this core's

  // Connections that stay and ask again, rather than one request each.
  [[nodiscard]] bool keeps() const { return requests != 1; }
};

// Told by the thread that watches, read by the client once a turn.
struct LoadControl {
  static constexpr double closed_loop = 0; // as many as are answered
  static constexpr double paused = -1;
  std::atomic<double> cps{closed_loop};
  std::atomic<bool> stop{false};
};

} // namespace tern::app
