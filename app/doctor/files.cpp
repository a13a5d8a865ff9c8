#include "app/doctor/files.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

namespace tern::app::doctor {

std::string slurp(const std::filesystem::path& path) {
  std::ifstream in(path);
  std::ostringstream text;
  if (in) text << in.rdbuf();
  std::string all = text.str();
  while (all.ends_with('\n')) all.pop_back();
  return all;
}

long number(const std::filesystem::path& path, long otherwise) {
  const std::string text = slurp(path);
  long v = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), v);
  return error == std::errc{} && end != text.data() ? v : otherwise;
}

std::string field(std::string_view text, std::string_view key) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    at = end + 1;
    if (!line.starts_with(key)) continue;
    const std::size_t colon = line.find_first_not_of(" \t", key.size());
    if (colon == std::string_view::npos || line[colon] != ':') continue; // "flags" is not "vmx flags"
    const std::size_t value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string_view::npos ? std::string{} : std::string(line.substr(value));
  }
  return {};
}

std::vector<std::filesystem::path> entries(const std::filesystem::path& dir) {
  std::vector<std::filesystem::path> all;
  std::error_code error;
  for (const auto& e : std::filesystem::directory_iterator(dir, error)) all.push_back(e.path());
  std::ranges::sort(all);
  return all;
}

} // namespace tern::app::doctor
