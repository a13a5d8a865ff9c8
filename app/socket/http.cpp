#include "app/socket/http.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace tern::app {
namespace {

constexpr unsigned bad_request = 400;
constexpr unsigned too_large = 431;
constexpr unsigned version_not_supported = 505;

// RFC 9110 §5.6.2: what a method may be made of.
bool token(std::string_view text) {
  constexpr std::string_view others = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::ranges::all_of(text, [&](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           others.find(c) != others.npos;
  });
}

// No request has these: whoever sends them speaks something else, TLS mostly.
bool foreign(char c) {
  const auto b = static_cast<unsigned char>(c);
  return (b < 0x20 && c != '\r' && c != '\n' && c != '\t') || b == 0x7f;
}

// RFC 9112 §3.2: of a whole URL the path is meant.
std::string_view path_of(std::string_view target) {
  constexpr std::string_view scheme = "http://";
  if (target.starts_with(scheme)) {
    const std::size_t slash = target.find('/', scheme.size());
    target = slash == target.npos ? std::string_view("/") : target.substr(slash);
  }
  return target.substr(0, target.find('?'));
}

HttpRequest first_line(std::string_view line) {
  const std::size_t a = line.find(' ');
  const std::size_t b = line.rfind(' ');
  if (a == line.npos || a == b) return {.refused = bad_request};
  const std::string_view target = line.substr(a + 1, b - a - 1);
  const std::string_view version = line.substr(b + 1);
  HttpRequest r{.method = line.substr(0, a), .path = path_of(target)};
  if (!token(r.method) || target.empty() || target.find(' ') != target.npos || !version.starts_with("HTTP/"))
    r.refused = bad_request;
  else if (!version.starts_with("HTTP/1."))
    r.refused = version_not_supported;
  return r;
}

std::string_view reason(unsigned status) {
  constexpr std::array<std::pair<unsigned, std::string_view>, 7> all{
      {{200, "OK"},
       {400, "Bad Request"},
       {404, "Not Found"},
       {405, "Method Not Allowed"},
       {431, "Request Header Fields Too Large"},
       {503, "Service Unavailable"},
       {505, "HTTP Version Not Supported"}}};
  const auto at = std::ranges::find(all, status, &std::pair<unsigned, std::string_view>::first);
  return at == all.end() ? "" : at->second;
}

} // namespace

std::optional<HttpRequest> read_request(std::string_view text, bool over) {
  const unsigned cut_off = text.size() > longest_http_request ? too_large : bad_request;
  const std::size_t head = std::min(text.find("\n\r\n"), text.find("\n\n"));
  if (std::ranges::any_of(text.substr(0, head), foreign)) return HttpRequest{.refused = bad_request};
  // RFC 9112 §2.2: an empty line may come before it, and a line may end without its CR.
  while (text.starts_with("\r\n") || text.starts_with('\n')) text.remove_prefix(text.front() == '\r' ? 2 : 1);
  const std::size_t end = text.find('\n');
  if (end == text.npos) return over ? std::optional(HttpRequest{.refused = cut_off}) : std::nullopt;
  std::string_view line = text.substr(0, end);
  if (line.ends_with('\r')) line.remove_suffix(1);
  const HttpRequest r = first_line(line);
  if (r.refused != 0 || text.find("\n\r\n", end) != text.npos || text.find("\n\n", end) != text.npos)
    return r;
  return over ? std::optional(HttpRequest{.refused = cut_off, .method = r.method}) : std::nullopt;
}

std::string http_answer(unsigned status, std::string_view body, bool with_body, std::string_view type,
                        std::string_view about) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}Connection: close\r\n\r\n{}", status,
      reason(status), type, body.size(), about, with_body ? body : std::string_view());
}

} // namespace tern::app
