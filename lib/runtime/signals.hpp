// Signals as counts. SIGINT, SIGTERM and SIGHUP (its terminal is gone): the first asks for an orderly end, the second for one at
// once. SIGHUP is never the second: terminals send several.
#pragma once

namespace tern {

void catch_stop_signals();
[[nodiscard]] int stop_signals(); // how many came

// For who goes on without a terminal: SIGHUP then says to read the configuration again. After catch_stop_signals().
void catch_reload_signal();
[[nodiscard]] int reload_signals();

} // namespace tern
