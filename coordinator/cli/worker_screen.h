// A worker on a terminal: what it holds, what it is asked for, and how it fares. Pure; any thread.
#pragma once

#include <optional>
#include <string>

#include "coordinator/cli/pool_screen.h"
#include "worker/worker_daemon.h"

namespace potluck {

// `before`: an earlier report, for what is done in a second; nothing for the first.
std::string draw_worker(const WorkerReport& report, const std::optional<WorkerReport>& before,
                        bool leaving, ScreenSize size, const TerminalStyle& style);

}  // namespace potluck
