// The models of which this coordinator keeps the resident part, their experts being with the
// workers, as `potluck list` shows them. Plain functions; one thread.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "coordinator/cli/commands.h"
#include "coordinator/spread/spread_folder.h"

namespace potluck {

struct KeptModel {
  std::string name;
  SpreadAbout about;
  bool complete = false;
  double known = 0;  // part of its experts that was read and recorded
};

// What cannot be read is told to the terminal and left out. Bounded.
std::vector<KeptModel> kept_models(const Environment& environment);

nlohmann::json describe_kept(const KeptModel& model);
std::string describe_line(const KeptModel& model);

}  // namespace potluck
