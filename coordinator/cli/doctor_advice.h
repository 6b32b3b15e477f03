// From the facts about a machine to what its owner should know or do. A pure function; any thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/cli/doctor_facts.h"

namespace potluck {

enum class FindingLevel {
  kOk,       // or cannot be seen, where that matters little
  kAdvice,   // works, and could be better
  kProblem,  // something will not work
};

// "ok", "advice" or "problem".
const char* finding_level_name(FindingLevel level);

struct Finding {
  std::string subject;  // "disk"
  FindingLevel level = FindingLevel::kOk;
  std::string found;
  std::string advice;  // what to do; empty at kOk
};

// One finding or more for each subject, in a fixed order.
std::vector<Finding> advise(const DoctorFacts& facts);

FindingLevel worst_level(const std::vector<Finding>& findings);

}  // namespace potluck
