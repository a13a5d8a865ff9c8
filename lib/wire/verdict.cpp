#include "wire/verdict.hpp"

namespace tern::wire {

std::string_view name_of(Verdict v) {
  switch (v) {
    case Verdict::ok:
      return "ok";
    case Verdict::truncated:
      return "truncated";
    case Verdict::bad_version:
      return "bad_version";
    case Verdict::bad_header_length:
      return "bad_header_length";
    case Verdict::bad_total_length:
      return "bad_total_length";
    case Verdict::bad_checksum:
      return "bad_checksum";
    case Verdict::bad_option_length:
      return "bad_option_length";
    case Verdict::bad_extension_header:
      return "bad_extension_header";
    case Verdict::too_many_extensions:
      return "too_many_extensions";
    case Verdict::bad_fragment:
      return "bad_fragment";
    case Verdict::too_many_vlan_tags:
      return "too_many_vlan_tags";
    case Verdict::not_supported:
      return "not_supported";
    case Verdict::bad_field:
      return "bad_field";
    case Verdict::count_:
      break;
  }
  return "?";
}

} // namespace tern::wire
