// Who is connected, from outside: what `tern ss` asks a running program, answered by its control thread. The
// list is read without the cores' help, by lock-free readers (runtime/readers.hpp); what only a core may look
// at is asked of it for the rows that are shown, a few at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/socket/answer.hpp"
#include "base/ip.hpp"
#include "runtime/core_handle.hpp"
#include "runtime/readers.hpp"

namespace tern::app {

// An end of a connection: "10.0.0.1", "10.0.0.0/8", ":80", "10.0.0.1:80", "[fd00::/8]:80".
struct EndFilter {
  std::optional<Prefix> ip;
  std::optional<Port> port;
  [[nodiscard]] bool takes(const Ip& i, Port p) const {
    return (!ip || ip->contains(i)) && (!port || *port == p);
  }
  [[nodiscard]] static std::optional<EndFilter> parse(std::string_view text);
};

struct SocketQuery {
  enum class What : std::uint8_t { list, listeners, summary };
  What what = What::list;
  bool info = false;
  std::uint32_t limit = 100;
  std::vector<tcp::State> states; // empty: all
  EndFilter local;
  EndFilter peer;

  // Of words as "state=established,time-wait limit=10 info"; else what is wrong with them.
  [[nodiscard]] static SocketQuery parse(std::span<const std::string_view> words, std::string& mistake);
  [[nodiscard]] bool takes(const FlowSeen& f) const;
};

// What a core says of some of its flows.
struct FlowFacts {
  std::optional<std::uint32_t> recv_q, send_q, rtt_us, cwnd, mss; // of a connection
  std::optional<std::uint32_t> quiet_ms;                          // since the peer was last heard
  std::optional<std::uint32_t> left_ms;                           // of TIME-WAIT, or to the next SYN-ACK
};
struct CoreFacts {
  std::vector<FlowFacts> flows; // as asked for
  Json listeners = Json::array();
};
// Runs a call on a core's thread and gives back what it gave; none when the core does not answer.
using AskCore =
    std::function<std::optional<CoreFacts>(std::size_t core, std::function<CoreFacts(CoreHandle&)> call)>;

[[nodiscard]] Answer answer_sockets(std::span<CoreHandle* const> cores, const AskCore& ask,
                                    const SocketQuery& query);
// The whole of it: the words that follow "show sockets".
[[nodiscard]] Answer answer_sockets(std::span<CoreHandle* const> cores, const AskCore& ask,
                                    std::span<const std::string_view> words);

} // namespace tern::app
