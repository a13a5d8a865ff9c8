#include "app/connect/pipe.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace tern::app {
namespace {

bool ready(int fd, short what) {
  pollfd p{fd, what, 0};
  return poll(&p, 1, 0) == 1;
}
bool is_file(int fd) {
  struct stat s {};
  return fstat(fd, &s) == 0 && S_ISREG(s.st_mode);
}
std::string_view why_closed(CloseReason r) {
  switch (r) {
    case CloseReason::Reset:
      return "the peer reset the connection";
    case CloseReason::Refused:
      return "refused";
    case CloseReason::Unreachable:
      return "unreachable: a router on the way, or the host, says so";
    case CloseReason::TimedOut:
      return "no answer";
    case CloseReason::Aborted:
      return "given up";
    case CloseReason::NoMemory:
      return "out of packets or records";
    default:
      return "ended";
  }
}

} // namespace

Pipe::Pipe(Talk& talk) : talk_(&talk), out_is_file_(is_file(talk.out)) {}

void Pipe::on_start(CoreHandle& core) {
  const Connecting c = core.connect(talk_->remote);
  if (c) {
    connection_ = c.connection;
    return;
  }
  fail(std::string{name_of(c.error)});
  talk_->over = true;
}

void Pipe::fail(std::string why) {
  if (talk_->trouble.empty()) talk_->trouble = std::move(why);
}

// A pipe that is ready takes so much without making us wait (pipe(7): PIPE_BUF is atomic); a file takes
// anything.
std::size_t Pipe::most_to_write() const {
  return out_is_file_ ? chunk : 4096;
}

void Pipe::on_data(Connection c, Payload& p) {
  while (!p.empty() && ready(talk_->out, POLLOUT)) {
    const auto front = p.front();
    const ssize_t n = write(talk_->out, front.data(), std::min(front.size(), most_to_write()));
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (n < 0) {
      fail(fmt::format("the output: {}", std::strerror(errno)));
      p.drop_all();
      c.abort();
      return;
    }
    talk_->received += static_cast<std::uint64_t>(n);
    p.drop(static_cast<std::uint32_t>(n));
  }
  // The connection's last moment: what is not taken now is lost. At most a receive buffer's worth.
  const tcp::State s = c.state();
  if (s != tcp::State::TimeWait && s != tcp::State::Closed) return;
  for (; !p.empty(); p.drop(static_cast<std::uint32_t>(p.front().size()))) {
    talk_->tail.append(reinterpret_cast<const char*>(p.front().data()), p.front().size());
    talk_->received += p.front().size();
  }
}

void Pipe::feed() {
  while (connection_ && connection_.state() != tcp::State::SynSent) {
    if (kept_from_ != kept_to_) {
      const std::uint32_t n = connection_.send(std::span{buffer_}.subspan(kept_from_, kept_to_ - kept_from_));
      talk_->sent += n;
      kept_from_ += n;
      if (kept_from_ != kept_to_) return; // its buffer is full
    }
    if (in_ended_ || !ready(talk_->in, POLLIN)) return;
    const ssize_t n = read(talk_->in, buffer_.data(), buffer_.size());
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n < 0) {
      fail(fmt::format("the input: {}", std::strerror(errno)));
      return connection_.abort();
    }
    if (n == 0) {
      in_ended_ = true;
      return connection_.close();
    }
    kept_from_ = 0;
    kept_to_ = static_cast<std::size_t>(n);
  }
}

// No faster than once a millisecond for what the kernel tells us only when asked; on_writable keeps bulk
// moving.
void Pipe::on_tick(Instant) {
  if (!connection_) return;
  if (connection_.unread() != 0 && ready(talk_->out, POLLOUT)) connection_.resume_reading();
  feed();
}

void Pipe::on_closed(Connection, CloseReason reason) {
  talk_->well = reason == CloseReason::Done && talk_->trouble.empty();
  if (!talk_->well) fail(std::string{why_closed(reason)});
  talk_->over = true;
}

} // namespace tern::app
