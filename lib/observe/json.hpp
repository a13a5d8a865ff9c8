// A result as JSON (config/report.schema.json) and back.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

#include "observe/result.hpp"

namespace tern::observe {

[[nodiscard]] std::string to_json(const Result& r);         // indented, for a file
[[nodiscard]] std::string to_compact_json(const Result& r); // one line, for a page

// Says where in the report what is wrong: "summary.cps: not a number".
class ReportError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Reads what to_json wrote, now or in an earlier release of the same schema: fields that it doesn't know are
// passed over, those that are missing keep their defaults, except `schema` and `summary`, without which it is
// no report of ours.
[[nodiscard]] Result from_json(std::string_view text);

} // namespace tern::observe
