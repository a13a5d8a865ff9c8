#include "io/hearing.hpp"

#include <rte_log.h>

#include <cstdio>
#include <mutex>
#include <string_view>
#include <utility>

namespace tern::io {
namespace {

struct Ear {
  std::mutex mutex;
  bool listens = false;
  std::string text;
  std::FILE* meant = nullptr; // where DPDK's words went before
};

// At once: EAL's own stream is fully buffered, and its words may be the last before a crash.
void pass_on(const Ear& ear, std::string_view words) {
  std::fwrite(words.data(), 1, words.size(), ear.meant);
  std::fflush(ear.meant);
}

ssize_t take(void* cookie, const char* words, std::size_t n) {
  Ear& ear = *static_cast<Ear*>(cookie);
  const std::lock_guard lock(ear.mutex);
  if (ear.listens)
    ear.text.append(words, n);
  else
    pass_on(ear, {words, n});
  return static_cast<ssize_t>(n);
}

// Lives as long as the process.
Ear& ear() {
  static Ear& one = *[] {
    auto* e = new Ear{.meant = rte_log_get_stream()};
    if (std::FILE* stream =
            fopencookie(e, "w", {.read = nullptr, .write = take, .seek = nullptr, .close = nullptr})) {
      std::setvbuf(stream, nullptr, _IOLBF, 0);
      rte_openlog_stream(stream);
    }
    return e;
  }();
  return one;
}

} // namespace

Hearing::Hearing() {
  Ear& e = ear();
  const std::lock_guard lock(e.mutex);
  e.listens = true;
}

Hearing::~Hearing() {
  const std::string rest = heard();
  if (!rest.empty()) pass_on(ear(), rest);
}

std::string Hearing::heard() {
  Ear& e = ear();
  const std::lock_guard lock(e.mutex);
  e.listens = false;
  return std::exchange(e.text, {});
}

} // namespace tern::io
