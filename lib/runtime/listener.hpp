// Who listens where. A core's own copy: few, looked at only by segments that belong to no connection.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ip.hpp"
#include "tcp/listen.hpp"

namespace tern {

struct ListenerSettings {
  Ip ip;      // :: listens on every address of both families
  Port first; // a range, both ends included
  Port last;
  tcp::CookieMode cookies = tcp::CookieMode::Auto;
  std::uint32_t backlog = 4096;            // SYN-RECEIVED records
  std::uint32_t connections = 0xffff'ffff; // accepted at once
};

struct Listener {
  ListenerSettings settings;
  std::uint32_t opening = 0; // SYN-RECEIVED records
  std::uint32_t open = 0;    // connections
  bool any_address = false;  // settings.ip is ::
  bool closed = false; // takes nothing new, nor what has only begun: as a socket of Linux that is closed
  bool full = false;   // takes nothing for now, as if it had its `connections`: its handler says when

  template <class Address>
  [[nodiscard]] bool takes(const Address& ip, Port port) const {
    return !closed && port >= settings.first && port <= settings.last &&
           (any_address || settings.ip == Ip{ip});
  }
};

class Listeners {
 public:
  static constexpr std::size_t most = 254;
  static constexpr std::uint8_t none = 0xff;

  // False: there are too many.
  [[nodiscard]] bool add(const ListenerSettings& s) {
    if (all_.size() == most) return false;
    all_.push_back({.settings = s, .any_address = s.ip == Ip{}, .closed = !open_});
    return true;
  }
  // What a reload makes of one, or the next new one: what it has goes on, opened under the settings of
  // before.
  void put(std::uint8_t i, const ListenerSettings& s, bool closed) {
    if (i >= all_.size()) all_.resize(i + std::size_t{1});
    all_[i].settings = s;
    all_[i].any_address = s.ip == Ip{};
    all_[i].closed = closed || !open_;
  }
  // A drain: what is open goes on, nothing new is taken, by none that comes later either.
  void close_all() {
    open_ = false;
    for (Listener& l : all_) l.closed = true;
  }

  // An address's own listener goes before the wildcard's, whatever their order.
  template <class Address>
  [[nodiscard]] std::uint8_t find(const Address& ip, Port port) const {
    std::uint8_t wild = none;
    for (std::size_t i = 0; i < all_.size(); ++i) {
      if (!all_[i].takes(ip, port)) continue;
      if (!all_[i].any_address) return static_cast<std::uint8_t>(i);
      if (wild == none) wild = static_cast<std::uint8_t>(i);
    }
    return wild;
  }
  [[nodiscard]] Listener& operator[](std::uint8_t i) { return all_[i]; }
  [[nodiscard]] const Listener& operator[](std::uint8_t i) const { return all_[i]; }
  [[nodiscard]] std::size_t size() const { return all_.size(); }

 private:
  std::vector<Listener> all_;
  bool open_ = true;
};

} // namespace tern
