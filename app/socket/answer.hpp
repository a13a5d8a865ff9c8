// An answer to a command: one structure, shown to people as text and to programs as JSON.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace tern::app {

using Json = nlohmann::ordered_json; // columns stay in the order in which they were given

struct Answer {
  bool ok = true;
  std::string text; // a line; of an error: what is wrong, and what to do
  Json rows{};      // an array of objects: a table
};

[[nodiscard]] inline Answer mistake(std::string text) {
  return {.ok = false, .text = std::move(text), .rows = {}};
}

// "error: …" for a mistake; else the line, and the table with a heading, columns as wide as they need to be; "none" when
// there is neither.
[[nodiscard]] std::string as_text(const Answer&);
// {"ok": …, "message": …, "rows": […]} on one line.
[[nodiscard]] std::string as_json(const Answer&);

[[nodiscard]] std::vector<std::string_view> words_of(std::string_view line);

} // namespace tern::app
