// What came of a scenario. Plain values; any thread.
#pragma once

#include <string>
#include <vector>

#include "simulator/sim_worker.h"
#include "simulator/timed_executor.h"

#include "coordinator/dispatch/dispatch_log.h"

namespace potluck::sim {

enum class Verdict {
  kFine,
  kCrash,        // an invariant of a loop or of a device does not hold
  kLiveness,     // something that should have come did not
  kCorrectness,  // other tokens than the solo run's, or an honest worker in quarantine
};

const char* name_of(Verdict verdict);

// Something that was done to the pool, and what it cost.
struct LostTime {
  TimePoint at{0};
  std::string what;
  Duration lost{0};  // by which tokens from then on took longer than usual
};

struct LeftOut {
  std::string device;
  std::string reason;
};

// What a device was used for, and what that took.
struct DeviceReport {
  std::string device;
  bool watched = false;  // it has a battery, or an owner who allows less
  DeviceDay day;
};

struct ScenarioResult {
  Verdict verdict = Verdict::kFine;
  std::string failure;  // empty: none
  uint64_t seed = 0;
  uint64_t tokens = 0;  // of answers
  uint64_t tokens_asked = 0;
  Duration answering{0};    // all their time
  Duration usual_token{0};  // the median
  Duration slowest_token{0};
  Duration until_ready{0};  // from the start
  Duration until_whole{0};  // from the end of the last fault
  Duration virtual_time{0};
  TimeTerms terms;
  std::vector<LostTime> lost;
  std::vector<LeftOut> left_out;
  std::vector<DeviceReport> days;  // of models with weights
  DispatchStatistics dispatch;
  uint32_t slices = 0;
  uint64_t devices = 0;  // that run at the end
  uint32_t workers_lost = 0;
  uint32_t coordinator_restarts = 0;
  double planned_rate = 0;       // tokens per second, as the planner had it; 0: not asked
  std::vector<std::string> log;  // events, in order

  double rate() const {
    double seconds = in_seconds(answering);
    return seconds > 0 ? static_cast<double>(tokens) / seconds : 0;
  }
};

}  // namespace potluck::sim
