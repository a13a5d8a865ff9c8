#include "app/socket/metrics.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "app/socket/http.hpp"
#include "runtime/settings/error.hpp"

namespace tern::app {
namespace {

// A socket that is bound there, or why there is none (errno).
std::pair<Fd, int> bound(const Endpoint& at) {
  const bool v4 = at.ip.is_v4();
  Fd fd(socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() < 0) return {Fd(), errno};
  constexpr int on = 1;
  setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on); // scrapes in TIME-WAIT are in nobody's way
  int done = 0;
  if (v4) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(at.port.raw());
    std::memcpy(&a.sin_addr, at.ip.bytes().data() + 12, 4);
    done = bind(fd.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a);
  } else {
    sockaddr_in6 a{};
    a.sin6_family = AF_INET6;
    a.sin6_port = htons(at.port.raw());
    std::memcpy(&a.sin6_addr, at.ip.bytes().data(), 16);
    done = bind(fd.get(), reinterpret_cast<const sockaddr*>(&a), sizeof a);
  }
  if (done != 0) return {Fd(), errno};
  return {std::move(fd), 0};
}

Fd listening(const Endpoint& at) {
  auto [fd, error] = bound(at);
  if (error == 0 && listen(fd.get(), 128) != 0) error = errno;
  if (error == 0) return std::move(fd);
  throw settings::ConfigError(
      "metrics",
      fmt::format("cannot listen on {}: {}; {} with --metrics", at.to_string(), std::strerror(error),
                  error == EADDRNOTAVAIL ? "give an address that `ip address` lists, such as 127.0.0.1,"
                                         : "give another port"));
}

std::optional<std::string> answer_to(const HttpRequest& r, bool busy, const MetricsSocket::Page& page) {
  const bool body = r.method != "HEAD";
  if (r.refused != 0) return http_answer(r.refused, "this is HTTP/1.1, for GET /metrics\n", body);
  if (r.path != "/metrics") return http_answer(404, "the figures are at /metrics\n", body);
  if (body && r.method != "GET")
    return http_answer(405, "only GET and HEAD\n", true, "text/plain; charset=utf-8", "Allow: GET, HEAD\r\n");
  if (busy) return http_answer(503, "others are still reading; ask again in a moment\n", body);
  const auto text = page();
  if (!text) return std::nullopt;
  return http_answer(200, *text, body, "text/plain; version=0.0.4; charset=utf-8");
}

} // namespace

MetricsSocket::MetricsSocket(const Endpoint& at, std::chrono::milliseconds patience)
    : callers_(listening(at), {.patience = patience, .longest = longest_http_request, .hears_out = true}) {}

std::string MetricsSocket::obstacle(const Endpoint& at) {
  const int error = bound(at).second;
  return error == 0 || error == EADDRINUSE ? std::string() : std::strerror(error);
}

void MetricsSocket::wait(int milliseconds, const Page& page) {
  bool asked = false;
  std::optional<std::string> made;
  const Page once = [&] {
    if (!std::exchange(asked, true)) made = page();
    return made;
  };
  callers_.wait(milliseconds, [&](const Callers::Question& q) -> std::optional<std::string> {
    if (q.text.empty() && q.over) return std::string(); // came and went
    const auto r = read_request(q.text, q.over);
    if (!r) return std::nullopt;
    return answer_to(*r, q.busy, once);
  });
}

} // namespace tern::app

namespace tern::settings {

using app::MetricsAddress;

std::optional<MetricsAddress> Value<MetricsAddress>::parse(std::string_view text) {
  if (text.empty()) return MetricsAddress{};
  const auto end = Endpoint::parse(text);
  if (!end || end->port == Port{}) return std::nullopt; // port 0: nobody would know which
  return MetricsAddress{end};
}

std::string Value<MetricsAddress>::print(const MetricsAddress& v) {
  return v.end ? v.end->to_string() : std::string();
}

} // namespace tern::settings
