// What an answer took, in words. Pure; any thread.
#pragma once

#include <string>

#include "coordinator/cli/answerer.h"

namespace potluck {

// "12 tokens, 3.4 tokens/s (prompt of 5: ...), 2 workers, ..."
std::string answer_summary(const Answer& answer, const ExpertCounters& counters);

}  // namespace potluck
