#include "io/bell.hpp"

#include <linux/membarrier.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

#include "base/check.hpp"

namespace tern::io {
namespace {

bool membarrier(int command) {
  return syscall(SYS_membarrier, command, 0, 0) == 0;
}

} // namespace

Bell::Bell() : event_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  TERN_CHECK(event_ >= 0);
  (void)never_missed(); // registers the process
}
Bell::~Bell() {
  close(event_);
}

bool Bell::never_missed() {
  static const bool registered = membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
  return registered;
}

void Bell::all_threads_pass() {
  if (never_missed()) (void)membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED);
}

void Bell::wake() {
  if (asleep_.exchange(0, std::memory_order_relaxed) == 0) return; // somebody else has
  const std::uint64_t one = 1;
  (void)!write(event_, &one, sizeof one);
}

Bell::Woken Bell::wait(int port, Duration most) const {
  pollfd fds[2] = {{event_, POLLIN, 0}, {port, POLLIN, 0}}; // a negative one is passed over
  constexpr std::int64_t second = 1'000'000'000;
  const timespec t{most.as_ns() / second, most.as_ns() % second};
  if (ppoll(fds, 2, &t, nullptr) <= 0) return Woken::time;
  if (fds[0].revents != 0) {
    std::uint64_t rings = 0;
    (void)!read(event_, &rings, sizeof rings);
  }
  if ((fds[1].revents & POLLIN) != 0) return Woken::port;
  if (fds[1].revents != 0) {
    // A socket whose device went down says so until it was asked.
    int error = 0;
    socklen_t size = sizeof error;
    (void)getsockopt(port, SOL_SOCKET, SO_ERROR, &error, &size);
    return Woken::trouble;
  }
  return Woken::knock;
}

} // namespace tern::io
