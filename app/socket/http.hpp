// As much of HTTP/1 as it takes to answer a scrape: one request, whose body nobody wants, and one answer. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tern::app {

constexpr std::size_t longest_http_request = 8192;

struct HttpRequest {
  // What it must be refused with; 0: it is well.
  unsigned refused = 0;
  std::string_view method{};
  std::string_view path{}; // without what follows a '?'
};

// The request that `text` begins with. None while more of it is to come; `over`: no more will, or it is
// longer than we hear. What is no HTTP is refused as
// soon as that is seen, and not waited for.
[[nodiscard]] std::optional<HttpRequest> read_request(std::string_view text, bool over);

// A whole answer, after which the connection is closed. `about`: further header lines, each with its end.
[[nodiscard]] std::string http_answer(unsigned status, std::string_view body, bool with_body = true,
                                      std::string_view type = "text/plain; charset=utf-8",
                                      std::string_view about = "");

} // namespace tern::app
