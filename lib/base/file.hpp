// Whole files, read and written at once. What goes wrong is a std::system_error whose code says why.
#pragma once

#include <string>
#include <string_view>

namespace tern {

[[nodiscard]] std::string read_file(const std::string& path);

// All of the text or nothing: it is written beside the file and then takes its place, owner and rights, so that neither a full
// disk nor a kill leaves half of it (a kill may leave .tern-XXXXXX beside it). What is no file of its own (a device, a pipe,
// /dev/stdout, one of several names of a file) is written where it is, and so is what cannot be replaced.
void write_file(const std::string& path, std::string_view text);
// What write_file() would say, as far as can be known before; leaves nothing behind. A named pipe stays open from then on, until
// the program ends: to its reader a close is the end of the text. One that nobody reads cannot be written: nobody waits for a
// reader.
void check_writable(const std::string& path);

// On standard output, at once, for all that is told there. What cannot be written ends no run, which goes on to its reports:
// main() tells of it at the end.
void say(std::string_view text);
// The cause (errno) of the first of it that could not be written; 0: all was.
[[nodiscard]] int why_unsaid();

} // namespace tern
