// The page's style sheet. Light and dark follow the reader's system; paper is light.
#pragma once

#include <string_view>

namespace tern::observe {

inline constexpr std::string_view page_style = R"css(
:root { color-scheme: light dark;
  --plane:#f4f4f1; --surface:#fcfcfb; --ink:#0b0b0b; --ink2:#52514e; --muted:#7d7b75; --grid:#e6e5de; --axis:#c3c2b7; --edge:#e3e2db;
  --c1:#2a78d6; --c2:#1baf7a; --c3:#eda100; --c4:#008300; --c5:#4a3aa7; --c6:#e34948; --c7:#8a6d3b;
  --r1:#86b6ef; --r2:#3987e5; --r3:#1c5cab; --r4:#0d366b; --heat:#1c5cab; --bad:#b3261e; --good:#006300; --warn:#fff3d6; --warnedge:#eda100; }
@media (prefers-color-scheme: dark) { :root {
  --plane:#0d0d0d; --surface:#1a1a19; --ink:#ffffff; --ink2:#c3c2b7; --muted:#949289; --grid:#2c2c2a; --axis:#45443f; --edge:#2c2c2a;
  --c1:#3987e5; --c2:#199e70; --c3:#c98500; --c4:#2e9b2e; --c5:#9085e9; --c6:#e66767; --c7:#b08d57;
  --r1:#1f57a0; --r2:#3987e5; --r3:#86b6ef; --r4:#d6e6fb; --heat:#86b6ef; --bad:#ff8f88; --good:#5fc45f; --warn:#3a2d0c; --warnedge:#c98500; } }
@media print { :root { color-scheme: light;
  --plane:#fff; --surface:#fff; --ink:#0b0b0b; --ink2:#3c3b38; --muted:#5f5d58; --grid:#e6e5de; --axis:#a5a39a; --edge:#d0cfc7;
  --c1:#2a78d6; --c2:#1baf7a; --c3:#eda100; --c4:#008300; --c5:#4a3aa7; --c6:#e34948; --c7:#8a6d3b;
  --r1:#86b6ef; --r2:#3987e5; --r3:#1c5cab; --r4:#0d366b; --heat:#1c5cab; --bad:#b3261e; --good:#006300; --warn:#fff3d6; --warnedge:#eda100; }
  body { font-size: 12px; -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  main { padding: 0 !important; max-width: none !important; } .card { break-inside: avoid; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--plane); color: var(--ink); font: 14px/1.45 system-ui, -apple-system, "Segoe UI", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 20px 48px; }
h1 { font-size: 22px; margin: 0; font-weight: 650; } h2 { font-size: 15px; margin: 0 0 2px; font-weight: 600; }
p { margin: 0; } .sub { color: var(--ink2); margin: 2px 0 18px; }
.card { background: var(--surface); border: 1px solid var(--edge); border-radius: 8px; padding: 14px 16px; min-width: 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin-bottom: 12px; }
.tile .k { color: var(--ink2); font-size: 13px; } .tile .v { font-size: 26px; font-weight: 620; line-height: 1.25; white-space: nowrap; }
.tile .n { color: var(--muted); font-size: 12px; } .v.bad { color: var(--bad); } .v.good { color: var(--good); }
.grid { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 12px; } .wide { grid-column: 1 / -1; }
.warn { background: var(--warn); border: 1px solid var(--warnedge); border-radius: 8px; padding: 10px 14px; margin-bottom: 12px; }
figure { margin: 0; } figcaption { color: var(--ink2); font-size: 13px; margin-bottom: 6px; } .scroll { overflow-x: auto; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, -apple-system, "Segoe UI", sans-serif; } .half svg { min-width: 420px; }
.wide .scroll svg { min-width: 760px; }
.tick { fill: var(--muted); font-size: 11.5px; font-variant-numeric: tabular-nums; } .name { fill: var(--ink2); font-size: 12px; } .note { fill: var(--muted); font-size: 14px; }
.mid { text-anchor: middle; } .end { text-anchor: end; } .start { text-anchor: start; }
.grid-line, path.grid { stroke: var(--grid); fill: none; } path.axis { stroke: var(--axis); fill: none; } path.mark { stroke: var(--ink2); stroke-dasharray: 2 3; fill: none; }
.line { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; } .dashed { stroke-dasharray: 5 5; stroke-width: 1.5; } .line.gap { stroke-dasharray: 0.1 5; stroke-width: 1.5; } .line.muted { stroke: var(--muted); }
.wash { opacity: .12; stroke: none; } .fill { stroke: none; }
.line.s1, .line.c1 { stroke: var(--c1); } .line.c2 { stroke: var(--c2); } .line.c3 { stroke: var(--c3); } .line.c4 { stroke: var(--c4); } .line.c5 { stroke: var(--c5); } .line.c6 { stroke: var(--c6); }
.line.r1 { stroke: var(--r1); } .line.r2 { stroke: var(--r2); } .line.r3 { stroke: var(--r3); } .line.r4 { stroke: var(--r4); }
.fill.s1, .wash.s1, .fill.c1 { fill: var(--c1); } .fill.c2 { fill: var(--c2); } .fill.c3 { fill: var(--c3); } .fill.c4 { fill: var(--c4); } .fill.c5 { fill: var(--c5); } .fill.c6 { fill: var(--c6); } .fill.c7 { fill: var(--c7); }
rect.fill:hover { opacity: .7; }
.h0,.h1,.h2,.h3,.h4,.h5,.h6,.h7,.h8,.h9,.h10 { fill: var(--heat); shape-rendering: crispEdges; } .h0 { fill-opacity: .04; } .h1 { fill-opacity: .12; } .h2 { fill-opacity: .2; } .h3 { fill-opacity: .29; } .h4 { fill-opacity: .38; }
.h5 { fill-opacity: .48; } .h6 { fill-opacity: .58; } .h7 { fill-opacity: .68; } .h8 { fill-opacity: .78; } .h9 { fill-opacity: .89; }
.col rect { fill: transparent; } .col path { stroke: var(--ink2); stroke-width: 1; opacity: 0; } .col:hover path { opacity: .8; }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; color: var(--ink2); font-size: 12.5px; margin-bottom: 4px; }
.legend i { display: inline-block; width: 14px; height: 3px; border-radius: 2px; margin-right: 6px; vertical-align: middle; }
.legend i.box { height: 10px; width: 10px; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 500; color: var(--ink2); }
td, th { padding: 3px 0 3px 12px; border-bottom: 1px solid var(--grid); vertical-align: top; } td:first-child, th:first-child { padding-left: 0; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; } td.in { padding-left: 16px; } tr:last-child td { border-bottom: 0; }
td.w { overflow-wrap: anywhere; width: 72%; }
@media (max-width: 760px) { .grid { grid-template-columns: minmax(0, 1fr); } main { padding: 16px 10px; } }
)css";

} // namespace tern::observe
