// ShareSearch: looks for the shares of devices with which a token takes the least time. Internal to
// the planner; one object per search; one thread.
#pragma once

#include <vector>

#include "coordinator/plan/planner.h"

namespace potluck {

class ShareSearch {
 public:
  // References must outlive the object. `layer` is the model's main one.
  ShareSearch(const PlanModel& model, const PlanLayer& layer, const PlanPool& pool,
              const CostOptions& options);

  SharePlan run();

 private:
  // Devices that are alike come next to each other in the order of time.
  std::vector<size_t> by_unit_time() const;
  std::vector<size_t> cuts(const std::vector<size_t>& order) const;
  std::vector<double> balanced(const std::vector<bool>& taking, bool with_trips);
  std::vector<double> filled(const std::vector<bool>& taking, const std::vector<double>& at,
                             bool with_trips);
  void consider(std::vector<double> shares, std::vector<double>* chosen, double* best);
  double cost(const std::vector<double>& shares);
  void trim(std::vector<double>* shares, double* best);
  std::vector<double> in_whole_slices(const std::vector<double>& shares) const;
  void round_slices(std::vector<double>* shares, double* best);
  std::vector<double> with_less(const std::vector<double>& shares, size_t first, size_t last,
                                const std::vector<size_t>& order) const;
  std::string why_left_out(size_t device, const std::vector<double>& shares) const;
  double unit_time(size_t device, double share) const;

  const PlanModel& model_;
  const PlanLayer& layer_;
  const PlanPool& pool_;
  CostOptions options_;
  std::vector<double> capacity_;  // shares that disks have room for
  uint64_t looked_at_ = 0;
};

}  // namespace potluck
