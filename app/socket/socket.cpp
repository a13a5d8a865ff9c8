#include "app/socket/socket.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>
#include <utility>

#include "app/socket/answer.hpp"
#include "runtime/settings/error.hpp"

namespace tern::app {
namespace {

using settings::ConfigError;

sockaddr_un address_of(const std::string& path) {
  sockaddr_un a{};
  a.sun_family = AF_UNIX;
  if (path.size() >= sizeof a.sun_path)
    throw ConfigError(path, fmt::format("is too long for a socket's path; use at most {} characters",
                                        sizeof a.sun_path - 1));
  std::memcpy(a.sun_path, path.c_str(), path.size() + 1);
  return a;
}

bool connect_to(int fd, const sockaddr_un& a) {
  return connect(fd, reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0;
}

} // namespace

ControlSocket::ControlSocket(const std::string& path, std::chrono::milliseconds patience)
    : path_(path), patience_(patience) {
  const sockaddr_un a = address_of(path);
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto refuse = [&](const std::string& why) {
    throw ConfigError("control",
                      fmt::format("cannot listen on {}: {}; choose another path with --control", path, why));
  };
  if (fd.get() < 0) refuse(std::strerror(errno));
  struct stat there {};
  if (lstat(path.c_str(), &there) == 0) {
    if (!S_ISSOCK(there.st_mode)) refuse("it is there, and no socket");
    const Fd probe(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (connect_to(probe.get(), a)) refuse("another process answers there");
    unlink(path.c_str());
  }
  // Whoever may write to it may do everything: the owner alone.
  const mode_t before = umask(0177);
  const bool bound = bind(fd.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a) == 0;
  const int error = errno;
  umask(before);
  if (!bound) refuse(std::strerror(error));
  if (listen(fd.get(), 128) != 0) refuse(std::strerror(errno));
  listener_ = std::move(fd);
}

ControlSocket::~ControlSocket() {
  unlink(path_.c_str());
}

void ControlSocket::wait(int milliseconds, const Answers& answer) {
  look(Clock::now() + std::chrono::milliseconds(milliseconds), answer);
  // A reader that keeps up gets a long answer in one call, and not a buffer of it each time.
  const Clock::time_point end = Clock::now() + std::chrono::milliseconds(20);
  while (std::ranges::any_of(clients_, &Client::unsent) && Clock::now() < end) look(end, answer);
}

// At those who have something to say, or take something; waits for the first of them until `until`.
void ControlSocket::look(Clock::time_point until, const Answers& answer) {
  polled_.assign(1, {listener_.get(), POLLIN, 0});
  for (const Client& c : clients_) {
    polled_.push_back({c.fd.get(), static_cast<short>(c.answered ? POLLOUT : POLLIN), 0});
    until = std::min(until, c.deadline);
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  if (poll(polled_.data(), polled_.size(), static_cast<int>(std::max<std::int64_t>(left, 0))) < 0) return;
  std::size_t i = 0;
  std::erase_if(clients_, [&](Client& c) {
    return polled_[++i].revents != 0 ? !serve(c, answer) : Clock::now() >= c.deadline;
  });
  if (polled_[0].revents != 0) take_new(answer);
}

// Those who came. The one that has kept us waiting longest gives way where there are too many: a hundred who say nothing do
// not keep out one who has a question.
void ControlSocket::take_new(const Answers& answer) {
  for (std::size_t n = 0; n < most_clients; ++n) {
    Fd fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    const bool no_room = fd.get() < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOMEM);
    if (fd.get() < 0 && !no_room) return;
    if ((no_room || clients_.size() >= most_clients) && !clients_.empty())
      clients_.erase(std::ranges::min_element(clients_, {}, &Client::deadline));
    if (no_room) return std::this_thread::sleep_for(std::chrono::milliseconds(10));
    clients_.push_back({.fd = std::move(fd), .deadline = Clock::now() + patience_});
    if (!serve(clients_.back(), answer)) clients_.pop_back();
  }
}

// What can be done for it without waiting. False: it is done with.
bool ControlSocket::serve(Client& c, const Answers& answer) {
  if (!c.answered && !read_line(c, answer)) return false;
  while (c.unsent()) {
    const ssize_t n =
        send(c.fd.get(), c.text.data() + c.sent, c.text.size() - c.sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK) && Clock::now() < c.deadline;
    c.sent += static_cast<std::size_t>(n);
    c.deadline = Clock::now() + patience_; // who still reads may have it all
  }
  return !c.answered;
}

// False: it left, or there will be no line of it.
bool ControlSocket::read_line(Client& c, const Answers& answer) {
  while (true) {
    char piece[512];
    const ssize_t n = recv(c.fd.get(), piece, sizeof piece, MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return (errno == EAGAIN || errno == EWOULDBLOCK) && Clock::now() < c.deadline;
    c.text.append(piece, static_cast<std::size_t>(n));
    const std::size_t end = c.text.find('\n');
    if (end == c.text.npos && n != 0 && c.text.size() <= longest_request) continue;
    c.answered = true;
    c.deadline = Clock::now() + patience_;
    const std::string line = c.text.substr(0, end); // an end without a newline ends the line too
    const auto refusal = [&](const std::string& why) {
      return line.starts_with("json ") ? as_json(mistake(why)) : as_text(mistake(why));
    };
    std::size_t unsent = 0;
    for (const Client& other : clients_)
      if (other.unsent()) unsent += other.text.size();
    if (line.size() > longest_request)
      c.text = refusal(fmt::format("a request is one line of {} bytes at most", longest_request));
    else if (unsent > most_unsent)
      c.text = refusal("others are still reading long answers; ask again in a moment");
    else
      c.text = answer(line);
    return true;
  }
}

std::string ask(const std::string& path, const std::string& line, std::chrono::milliseconds most) {
  const sockaddr_un a = address_of(path);
  const Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0 || !connect_to(fd.get(), a))
    throw ConfigError(
        path, fmt::format("nobody answers ({}); is a tern server or tern lb running that was given this "
                          "path as control? name another with --socket",
                          std::strerror(errno)));
  if (line.size() > ControlSocket::longest_request)
    throw ConfigError("command", fmt::format("is {} bytes long; {} are the most", line.size(),
                                             ControlSocket::longest_request));
  const timeval wait{most.count() / 1000, most.count() % 1000 * 1000};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  const std::string request = line + "\n";
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    throw ConfigError(path, fmt::format("does not take the request ({})", std::strerror(errno)));
  std::string answer;
  char piece[65536];
  while (true) {
    const ssize_t n = recv(fd.get(), piece, sizeof piece, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN)
      throw ConfigError(
          path, fmt::format("took the request, and says nothing for {} s: the program is stuck or stopped",
                            static_cast<double>(most.count()) / 1000));
    if (n <= 0) break;
    answer.append(piece, static_cast<std::size_t>(n));
  }
  if (answer.empty())
    throw ConfigError(path, "hung up without an answer; see what the program that listens there says");
  return answer;
}

int print_answer(const std::string& answer, bool json) {
  const bool failed = answer.starts_with(json ? "{\"ok\":false" : "error: ");
  std::fwrite(answer.data(), 1, answer.size(), failed && !json ? stderr : stdout);
  return failed ? 1 : 0;
}

} // namespace tern::app
