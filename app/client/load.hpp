// What a client is to do, what it counted, and how it is told from outside.
#pragma once

#include <array>
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
  unreachable,
  reset,
  response_timeout,
  short_response,
  bad_byte,
  unfinished,
  no_port, // opens that found no free port, or no record, and waited for one
  late,    // paced opens that came more than a millisecond after their time, but for want of a port or record
  never_asked,  // --rps: requests that were due when the run ended, and all connections busy
  never_opened, // opens that were due when the run ended
  withheld,     // opens that were put off while the way to the target was found
  bad_status, // HTTP responses that were no answer: counted as bad_byte too, or as completed without --verify
  not_http,   // responses that were not understood
  not_compared, // HTTP responses that began before the first was known, under --verify
  never_closed, // whole responses whose server did not close in time: counted as response_timeout too
  cut_short, // connections that the server ended, in order, before all their requests were asked: completed
  http_text, // responses that began as HTTP's do, and not as they should with --payload tcp
  count_
};

// What stands between this core and a target.
enum class Obstacle : std::uint8_t { none, no_neighbour, no_route };

// What became of connections to one of the targets. Read once its client stands still.
struct TargetFate {
  Endpoint target;
  bool stood = false; // one was established
  std::uint64_t unanswered = 0;
  std::uint64_t refused = 0;
  std::uint64_t unreachable = 0;
  Obstacle obstacle = Obstacle::none; // at the end, of one that never stood
  std::uint64_t differed = 0; // responses that were not what the first of this target was (--verify, HTTP)
};

// The bad clients of `tern bench --attack`: counted apart from the load.
enum class Bad : std::uint8_t {
  syn_flood, // packets sent
  forged_ack,
  rst_spray,
  unsent, // packets that found the link full, or no buffer
  mute_opened,
  mute_established,
  mute_ended, // by the server, or because it never answered
  slow_opened,
  slow_established,
  slow_ended,
  slow_bytes, // of responses, taken sip by sip
  count_
};
// Of them, those that hold connections; in the order of Bad's counters.
enum class Vice : std::uint8_t { mute, slow, count_ };
inline constexpr std::size_t vices = static_cast<std::size_t>(Vice::count_);

struct LoadStats {
  Counters<Load> load;
  Counters<Bad> bad;
  std::array<std::atomic<std::uint64_t>, vices> bad_open{};
  std::array<std::atomic<std::uint64_t>, vices> bad_open_peak{};
  observe::Histogram connect;
  observe::Histogram first_byte;
  observe::Histogram response;
  observe::Histogram close;
  std::atomic<std::uint64_t> live{0};
  std::atomic<std::uint64_t> live_peak{0};
  std::atomic<bool> starved{false}; // as a tick sees it: the next open waits for a port or a record
  std::vector<TargetFate> targets;
  double pairs = 0; // of endpoints that its connections can have
  // Of the way to the target (way.hpp).
  std::atomic<bool> finding{true};
  std::atomic<std::int64_t> found_ns{0}; // since the client began
  std::atomic<std::int64_t> withheld_ns{0};
  std::atomic<std::int64_t> stood_ns{0};
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
  bool settles = false; // before it is measured, in a ramp or a warm-up
  Duration
      offered{}; // from the first open on, nothing begins any more after so long; zero: until it is stopped
  Duration timeout = Duration::seconds(60);
  std::uint64_t seed = 1;
  double share = 1;   // of the whole rate that is this core's
  bool rests = false; // there are fewer connections than cores: this one opens none
  double rps = 0;     // requests a second on connections that are kept: open loop; 0: each asks when it may
  std::array<std::uint32_t, vices> bad{}; // so many bad clients hold connections beside the good ones

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
