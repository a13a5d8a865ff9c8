#include "app/socket/socket.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <utility>

#include "app/socket/answer.hpp"
#include "base/file.hpp"
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

ControlSocket::ControlSocket(const std::string& path, std::chrono::milliseconds patience) : path_(path) {
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
  callers_.emplace(std::move(fd), Callers::Manners{.patience = patience, .longest = longest_request});
}

ControlSocket::~ControlSocket() {
  if (!path_.empty()) unlink(path_.c_str());
}

void ControlSocket::wait(int milliseconds, const Answers& answer) {
  callers_->wait(milliseconds, [&](const Callers::Question& q) -> std::optional<std::string> {
    const std::size_t end = q.text.find('\n');
    if (end == q.text.npos && !q.over) return std::nullopt;
    const std::string_view line = q.text.substr(0, end); // an end without a newline ends the line too
    const auto refusal = [&](const std::string& why) {
      return line.starts_with("json ") ? as_json(mistake(why)) : as_text(mistake(why));
    };
    if (line.size() > longest_request)
      return refusal(fmt::format("a request is one line of {} bytes at most", longest_request));
    if (q.busy) return refusal("others are still reading long answers; ask again in a moment");
    return answer(line);
  });
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
  if (failed && !json)
    std::fputs(answer.c_str(), stderr);
  else
    say(answer);
  return failed ? 1 : 0;
}

} // namespace tern::app
