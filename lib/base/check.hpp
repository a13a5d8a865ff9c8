// TERN_CHECK holds always: for what start-up and rare paths rely on.
// TERN_DCHECK holds in debug, sanitizer and simulation builds (NDEBUG not set): for the invariants of the
// packet path, which no peer can ever trip.
#pragma once

namespace tern {
[[noreturn]] void check_failed(const char* what, const char* file, int line);
}

#define TERN_CHECK(condition) \
  (__builtin_expect(!!(condition), 1) ? (void)0 : ::tern::check_failed(#condition, __FILE__, __LINE__))

#ifdef NDEBUG
#define TERN_DCHECK(condition) ((void)sizeof(condition))
#else
#define TERN_DCHECK(condition) TERN_CHECK(condition)
#endif
