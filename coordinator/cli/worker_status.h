// `potluck status --worker`: asks the worker that runs with a store, and shows what it says. One
// thread.
#pragma once

#include <string>

#include "coordinator/cli/commands.h"

namespace potluck {

struct WorkerStatusFlags {
  std::string store;
  bool watch = false;
  bool json = false;
};

Status show_worker(const WorkerStatusFlags& flags, const Environment& environment);

}  // namespace potluck
