#include <fmt/format.h>
#include <rte_build_config.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>

#include "app/command.hpp"
#include "app/doctor/report.hpp"
#include "base/file.hpp"

namespace tern::app {
namespace doctor {
namespace {

const char* mark(State s) {
  switch (s) {
    case State::good:
      return "ok";
    case State::note:
      return "note";
    case State::missing:
      return "missing";
  }
  return "?";
}

} // namespace

Report examine() {
  Report report;
  probe_dpdk(report, RTE_EAL_PMD_PATH);
  probe_huge_pages(report, "");
  probe_privileges(report, "");
  probe_nics(report, "");
  probe_cpu(report, "");
  probe_clock(report, "");
  return report;
}

std::string as_text(const Report& report) {
  std::string all;
  for (const Finding& f : report) {
    all += fmt::format("{:<8} {:<16} {}\n", mark(f.state), f.topic, f.detail);
    if (!f.fix.empty()) all += fmt::format("{:<25} fix: {}\n", "", f.fix);
  }
  return all;
}

std::string as_json(const Report& report) {
  auto findings = nlohmann::ordered_json::array();
  for (const Finding& f : report) {
    nlohmann::ordered_json one{{"topic", f.topic}, {"state", mark(f.state)}, {"detail", f.detail}};
    if (!f.fix.empty()) one["fix"] = f.fix;
    findings.push_back(std::move(one));
  }
  const nlohmann::ordered_json all{{"tern", TERN_VERSION}, {"findings", std::move(findings)}};
  return all.dump(2) + "\n";
}

} // namespace doctor

Run declare_doctor(CLI::App& app) {
  const auto json = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "for programs");
  return [json] {
    const doctor::Report report = doctor::examine();
    say(*json ? doctor::as_json(report) : doctor::as_text(report));
    return 0;
  };
}

} // namespace tern::app
