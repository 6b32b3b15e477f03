// What the first run offers: the models of this machine, whether each fits, and the speed that the
// planner predicts for this machine alone; and the answers of the last time. The same prediction
// for `plan`, where there is no pool. One thread.
#pragma once

#include "coordinator/cli/commands.h"
#include "coordinator/cli/first_run.h"
#include "coordinator/cli/nodes_file.h"
#include "coordinator/plan/plan_model.h"

namespace potluck {

// Reads the header of each model and measures this machine's products: some milliseconds each.
// Those that fit come first.
std::vector<OfferedModel> offer_models(const std::vector<const ModelSource*>& sources,
                                       const Environment& environment);

// This machine as coordinator and as its only worker, with the memory that the model leaves for
// experts. kLimit: what must be in memory does not fit.
Result<DescribedPool> machine_alone(const PlanModel& model, int threads,
                                    const Environment& environment);

// Asks, shows the command that the answers mean, and returns its arguments. kCancelled when the
// user stopped or the input ended.
Result<std::vector<std::string>> run_first_questions(const Environment& environment);

}  // namespace potluck
