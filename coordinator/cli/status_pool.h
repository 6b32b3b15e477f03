// The pool of this machine's coordinator as it knew it last, for plans. Plain functions; one
// thread.
#pragma once

#include "coordinator/cli/commands.h"
#include "coordinator/cli/nodes_file.h"

namespace potluck {

// kNotFound when no coordinator has run here.
Result<DescribedPool> pool_of_status(const Environment& environment);

// The pool that `nodes`, a file, describes; empty: that of the status.
Result<DescribedPool> pool_to_plan(const std::string& nodes, const Environment& environment);

}  // namespace potluck
