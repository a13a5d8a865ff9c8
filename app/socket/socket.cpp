#include "app/socket/socket.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>

#include "runtime/settings/error.hpp"

namespace tern::app {
namespace {

using settings::ConfigError;
using Clock = std::chrono::steady_clock;
constexpr std::chrono::seconds patience{1};

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] int take() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

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

// Until the deadline, for `events`; false when it passed.
bool ready(int fd, short events, Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd p{fd, events, 0};
  return left > 0 && poll(&p, 1, static_cast<int>(left)) == 1;
}

void converse(int fd, const std::function<std::string(std::string_view)>& answer) {
  std::string line;
  auto deadline = Clock::now() + patience;
  while (line.find('\n') == std::string::npos) {
    char piece[512];
    if (line.size() > ControlSocket::longest_request || !ready(fd, POLLIN, deadline)) return;
    const ssize_t n = recv(fd, piece, sizeof piece, MSG_DONTWAIT);
    if (n == 0) break; // an end without a newline ends the line too
    if (n < 0) return;
    line.append(piece, static_cast<std::size_t>(n));
  }
  const std::string text = answer(std::string_view(line).substr(0, line.find('\n')));
  deadline = Clock::now() + patience;
  for (std::size_t sent = 0; sent < text.size();) {
    if (!ready(fd, POLLOUT, deadline)) return;
    const ssize_t n = send(fd, text.data() + sent, text.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return;
    if (n > 0) {
      sent += static_cast<std::size_t>(n);
      deadline = Clock::now() + patience; // who still reads may have it all
    }
  }
}

} // namespace

ControlSocket::ControlSocket(const std::string& path) : path_(path) {
  const sockaddr_un a = address_of(path);
  Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
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
  if (listen(fd.get(), 16) != 0) refuse(std::strerror(errno));
  fd_ = fd.take();
}

ControlSocket::~ControlSocket() {
  close(fd_);
  unlink(path_.c_str());
}

void ControlSocket::wait(int milliseconds, const std::function<std::string(std::string_view)>& answer) {
  pollfd p{fd_, POLLIN, 0};
  if (poll(&p, 1, milliseconds) != 1) return;
  const Fd client(accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC));
  if (client.get() >= 0) converse(client.get(), answer);
}

std::string ask(const std::string& path, const std::string& line) {
  const sockaddr_un a = address_of(path);
  const Fd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0 || !connect_to(fd.get(), a))
    throw ConfigError(
        path, fmt::format("nobody answers ({}); is a tern server or tern lb running that was given this "
                          "path as control? name another with --socket",
                          std::strerror(errno)));
  const std::string request = line + "\n";
  if (send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request.size()))
    throw ConfigError(path, fmt::format("does not take the request ({})", std::strerror(errno)));
  std::string answer;
  char piece[65536];
  while (true) {
    const ssize_t n = recv(fd.get(), piece, sizeof piece, 0);
    if (n < 0 && errno == EINTR) continue;
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
