// The cores of `tern client`: a thread each, over one port.
#pragma once

#include <atomic>
#include <barrier>
#include <exception>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "app/client/client.hpp"
#include "app/client/load_station.hpp"
#include "app/client/search.hpp"
#include "app/client/settings.hpp"
#include "app/measure/reports.hpp"
#include "runtime/node_port.hpp"

namespace tern::app {

struct ClientSettings {
  ClientSettings();
  LoadSettings load;
  SearchSettings search;
  OutputSettings output;
  NodeSettings node;
  std::vector<TargetRange> targets;
};

class Crew {
 public:
  // Opens the port and makes a client a core. Throws ConfigError, ArenaError.
  Crew(const settings::Schema& schema, const ClientSettings& c, const LoadTexts& texts);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Runs until all is done; the report is whole but for what the caller knows better.
  void run(observe::Result& result);
  // What kept every connection from being made; empty if one was.
  [[nodiscard]] const std::string& unreachable() const { return unreachable_; }
  // After run(): how many packets nobody gave back.
  [[nodiscard]] unsigned close();

 private:
  using ThePort = io::SharedPort<io::EthPort>;
  struct Member {
    LoadPlan plan;
    LoadStats stats;
    LoadStation station;
    CoreHandle* handle = nullptr;
    const net::NetCounters* net = nullptr;
  };

  [[nodiscard]] ShardSettings records() const;
  void live(io::CoreId core);
  void wait_for_link() const;
  void start_table() const;
  // What a run that goes nowhere should end for.
  [[nodiscard]] std::string fault();
  [[nodiscard]] std::string no_way() const;
  [[nodiscard]] bool all_done() const;
  void join();

  const settings::Schema& schema_;
  const ClientSettings& settings_;
  LoadPlan whole_;
  NodePort port_;
  PortTable table_;
  ShardSettings shard_;
  LoadControl control_;
  std::vector<std::unique_ptr<Member>> members_;
  std::vector<CoreHandle*> handles_;
  std::vector<const LoadStation*> stations_;
  std::barrier<> turn_;
  std::mutex failure_lock_;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
  std::string unreachable_;
  std::atomic<bool> lost_{false}; // there is nothing to wait for
  std::int64_t link_asked_ns_ = 0;
  int link_lost_ = 0;
};

} // namespace tern::app
