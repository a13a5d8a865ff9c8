#include "app/lb/control/console.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <utility>

#include "base/file.hpp"

namespace tern::app::lb {

namespace {

// A description of our own, which does not wait: a terminal that has room for a byte says that it may be written to, and
// then keeps who writes more. Others who have this output go on waiting as they like. A file is written to where it is.
int that_does_not_wait(int fd) {
  struct stat about {};
  if (fstat(fd, &about) == 0 && (S_ISCHR(about.st_mode) || S_ISFIFO(about.st_mode))) {
    const int own =
        open(fmt::format("/proc/self/fd/{}", fd).c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (own >= 0) return own;
  }
  return fcntl(fd, F_DUPFD_CLOEXEC, 0);
}

} // namespace

Console::Console(int fd) : fd_(that_does_not_wait(fd)) {}

Console::~Console() {
  if (fd_ >= 0) close(fd_);
}

void Console::say(std::string text) {
  {
    const std::scoped_lock lock(lock_);
    if (bytes_ + text.size() > most) {
      ++lost_;
      ++untold_;
    } else {
      if (const auto n = std::exchange(untold_, 0); n != 0)
        text = fmt::format("{} line{} of the log lost: nobody read them\n", n, n == 1 ? "" : "s") + text;
      bytes_ += text.size();
      waiting_.push_back(std::move(text));
    }
  }
  flush();
}

void Console::flush() {
  const std::scoped_lock lock(lock_);
  while (write_some(0)) {
  }
}

void Console::finish(int patience_ms) {
  const std::scoped_lock lock(lock_);
  while (write_some(patience_ms)) {
  }
}

std::uint64_t Console::lost() const {
  const std::scoped_lock lock(lock_);
  return lost_;
}

// A pipe that poll() says may be written to takes PIPE_BUF bytes without waiting.
bool Console::write_some(int wait_ms) {
  if (waiting_.empty()) return false;
  pollfd p{fd_, POLLOUT, 0};
  if (poll(&p, 1, wait_ms) != 1) return false;
  const std::string& first = waiting_.front();
  const ssize_t n =
      write(fd_, first.data() + written_, std::min<std::size_t>(first.size() - written_, PIPE_BUF));
  if (n < 0 && errno == EINTR) return true;
  const bool gone = n < 0 && errno != EAGAIN; // whoever read it is: what is said from now on is for nobody
  if (n < 0 && !gone) return false;
  if (gone) ++lost_;
  written_ += gone ? 0 : static_cast<std::size_t>(n);
  if (!gone && written_ != first.size()) return true;
  bytes_ -= first.size();
  written_ = 0;
  waiting_.pop_front();
  return true;
}

std::string printed_by(const std::function<void()>& f) {
  const int real = dup(STDOUT_FILENO);
  const int file = memfd_create("said", MFD_CLOEXEC);
  if (real < 0 || file < 0 || dup2(file, STDOUT_FILENO) < 0) {
    if (real >= 0) close(real);
    if (file >= 0) close(file);
    f(); // as ever
    return {};
  }
  const auto held = [&] {
    std::fflush(stdout);
    dup2(real, STDOUT_FILENO);
    close(real);
    std::string text;
    char piece[4096];
    off_t at = 0;
    for (ssize_t n = 0; (n = pread(file, piece, sizeof piece, at)) > 0; at += n)
      text.append(piece, static_cast<std::size_t>(n));
    close(file);
    return text;
  };
  try {
    f();
  } catch (...) {
    tern::say(held());
    throw;
  }
  return held();
}

} // namespace tern::app::lb
