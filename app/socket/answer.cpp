#include "app/socket/answer.hpp"

#include <algorithm>

namespace tern::app {
namespace {

std::string cell(const Json& v) {
  if (v.is_null()) return "-";
  return v.is_string() ? v.get<std::string>() : v.dump();
}

} // namespace

std::string as_text(const Answer& a) {
  std::string out;
  if (!a.ok) return "error: " + a.text + "\n";
  if (!a.text.empty()) out = a.text + "\n";
  if (!a.rows.is_array()) return out;
  if (a.rows.empty())
    return out.empty() ? "none\n" : out; // who hears nothing would ask whether anybody is there
  struct Column {
    std::string name;
    std::size_t width;
    bool number;
  };
  std::vector<Column> columns;
  for (const Json& row : a.rows)
    for (const auto& [key, value] : row.items()) {
      auto at = std::ranges::find(columns, key, &Column::name);
      if (at == columns.end()) at = columns.insert(columns.end(), Column{key, key.size(), true});
      at->width = std::max(at->width, cell(value).size());
      at->number = at->number && (value.is_number() || value.is_null());
    }
  const auto line = [&](const auto& text_of) {
    std::string s;
    for (const Column& c : columns) {
      const std::string text = text_of(c);
      const std::string pad(c.width - std::min(c.width, text.size()), ' ');
      s += (s.empty() ? "" : "  ") + (c.number ? pad + text : text + pad);
    }
    s.erase(s.find_last_not_of(' ') + 1);
    out += s + "\n";
  };
  line([](const Column& c) { return c.name; });
  for (const Json& row : a.rows)
    line([&](const Column& c) { return row.contains(c.name) ? cell(row[c.name]) : std::string("-"); });
  return out;
}

std::string as_json(const Answer& a) {
  Json j{{"ok", a.ok}};
  if (!a.text.empty()) j["message"] = a.text;
  if (a.rows.is_array()) j["rows"] = a.rows;
  // What a peer could put into a text is not always UTF-8.
  return j.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t begin = line.find_first_not_of(" \t\r\n");
    if (begin == std::string_view::npos) return words;
    line.remove_prefix(begin);
    const std::size_t end = std::min(line.find_first_of(" \t\r\n"), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
}

} // namespace tern::app
