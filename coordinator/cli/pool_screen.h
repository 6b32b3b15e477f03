// The pool on a terminal: devices, where the time goes, and who holds which experts, thinned out to
// the size of the terminal. A pure function of what is shown; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "coordinator/cli/pool_history.h"
#include "coordinator/cli/terminal_style.h"
#include "coordinator/dispatch/pool_view.h"

namespace potluck {

// Of the requests that are answered.
struct ServiceView {
  uint64_t running = 0;
  uint64_t waiting = 0;
  uint64_t done = 0;
  uint64_t answer_tokens = 0;
  uint64_t memory_bytes = 0;         // for keys and values: used,
  uint64_t memory_budget_bytes = 0;  // and what there is
};

struct PoolPicture {
  std::string model;
  bool running = true;      // the coordinator
  int64_t age_seconds = 0;  // of what is shown
  PoolView pool;
  UnitMap map;                    // without layers: not known
  std::vector<std::string> away;  // names of devices that belong to the pool and are not here
  uint64_t workers_lost = 0;
  std::optional<ServiceView> service;
  double tokens_per_second = 0;
  std::optional<TimeShares> shares;
  std::optional<double> expected_tokens_per_second;
  std::vector<std::string> events;  // the oldest first
};

// What the map shows of each expert.
enum class MapKind : uint8_t { kHolders, kCopies, kUse, kNone };

struct ScreenSize {
  size_t width = 80;
  size_t height = 0;  // 0: as many lines as it takes
};

// Lines, each with a line end, no wider and no more than the size allows.
std::string draw_pool(const PoolPicture& picture, ScreenSize size, const TerminalStyle& style,
                      MapKind kind);

}  // namespace potluck
