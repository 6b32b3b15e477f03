// ShareKeeper: in which ratio workers get units, by the plan. Facts change a little all the time;
// weights follow them only where that is worth moving experts for. As long as no worker has said
// how fast it is, and while they are alike, all get the same. Owned by Membership; one thread.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "coordinator/cluster/cluster_state.h"
#include "coordinator/plan/cost_model.h"
#include "coordinator/plan/pool_learning.h"
#include "engine/base/clock.h"

namespace potluck {

// What is known of a worker: said and seen. `learned` may be null.
DeviceFacts facts_of(const PeerKey& key, const WorkerRecord& worker, const PoolLearning* learned);

class ShareKeeper {
 public:
  // After news of a worker: several that come at once are looked at together.
  static constexpr Duration kSettle = std::chrono::seconds(1);
  // While nothing is new but what is seen of the workers.
  static constexpr Duration kInterval = std::chrono::seconds(30);
  // A weight stays while the plan's is within this factor of it.
  static constexpr double kTolerance = 1.25;

  // `learned` may be null; both must outlive the object. `own`: the coordinator as a device that
  // holds experts, if it is one: as many as fit into its memory.
  ShareKeeper(const Manifest& manifest, uint32_t top_k, uint32_t slices,
              const PoolLearning* learned, const std::optional<DeviceFacts>& own,
              Prefer prefer = Prefer::kSpeed);

  // A worker has said how fast it is, perhaps for the first time.
  void speed_changed(TimePoint now, bool first);
  // One came or went. Matters only where speeds are known.
  void workers_changed(TimePoint now) {
    if (!shares_.empty()) speed_changed(now, false);
  }
  // Plans anew if it is time; whether weights differ from before.
  bool look(const ClusterState& state, TimePoint now);
  // Of some worker the speed was not known before: looking cannot wait until experts have moved,
  // for it may be the wrong ones that do.
  bool has_news() const { return has_news_; }
  // When look() has something to do.
  std::optional<TimePoint> next_look() const { return look_at_; }

  // Of placement.h. A worker that was not looked at yet counts as an average one.
  uint32_t weight(const PeerKey& worker) const;
  // How much of every layer the coordinator keeps itself.
  double own_share() const { return own_share_; }
  // The coordinator as a device, if it keeps any.
  const std::optional<DeviceFacts>& own() const { return own_; }
  uint32_t slices() const { return slices_; }
  // Why the worker gets nothing, in words; empty if it does.
  std::string left_out(const PeerKey& worker) const;

 private:
  struct Share {
    uint32_t weight = 1;
    std::string left_out;
  };
  using Shares = std::map<PeerKey, Share>;

  Shares planned(const ClusterState& state, double* own_share) const;
  double own_room() const;
  void keep_similar(Shares* planned) const;

  PlanModel model_;
  uint32_t slices_;
  Prefer prefer_;
  const PoolLearning* learned_;
  std::optional<DeviceFacts> own_;
  double own_share_ = 0;
  std::optional<TimePoint> look_at_;
  bool has_news_ = false;
  Shares shares_;
};

}  // namespace potluck
