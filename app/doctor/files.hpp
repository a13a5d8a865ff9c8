// Small files of /proc and /sys, read whole.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tern::app::doctor {

[[nodiscard]] std::string slurp(
    const std::filesystem::path& path); // without the last newline; empty if unreadable
[[nodiscard]] long number(const std::filesystem::path& path, long otherwise);
// The value behind "key:" of a /proc file, or empty.
[[nodiscard]] std::string field(std::string_view text, std::string_view key);
[[nodiscard]] std::vector<std::filesystem::path> entries(const std::filesystem::path& dir); // sorted

} // namespace tern::app::doctor
