// Proportional Rate Reduction: how much may leave for each ACK while cwnd comes down to ssthresh (RFC 6937,
// with the choice between its two bounds as its successor makes it: the slow-start bound only while ACKs move
// snd.una and bring no further loss).
#pragma once

#include <algorithm>
#include <cstdint>

namespace tern::tcp {

struct Prr {
  std::uint32_t delivered = 0;
  std::uint32_t out = 0;
  std::uint32_t flight = 0; // RecoverFS: in flight when the reduction began

  void begin(std::uint32_t recover_flight) { *this = {0, 0, std::max(recover_flight, 1U)}; }
  void sent(std::uint32_t bytes) { out += bytes; }

  // How many bytes may leave now. `safe`: snd.una moved and nothing more was found lost.
  [[nodiscard]] std::uint32_t on_ack(std::uint32_t newly, std::uint32_t pipe, std::uint32_t ssthresh,
                                     std::uint32_t mss, bool safe) {
    delivered += newly;
    std::uint32_t n = 0;
    if (pipe > ssthresh) {
      const std::uint64_t share = (std::uint64_t{delivered} * ssthresh + flight - 1) / flight;
      if (share > out) n = static_cast<std::uint32_t>(share - out);
    } else {
      n = std::max(delivered > out ? delivered - out : 0, newly); // CRB
      if (safe) n += mss;                                         // SSRB
      n = std::min(n, ssthresh - pipe);
    }
    // The first retransmission is not held back: it is what makes the ACKs come.
    return out == 0 ? std::max(n, mss) : n;
  }
};

} // namespace tern::tcp
