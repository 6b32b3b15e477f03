// PoolSpread: runs a Spreader beside a pool, in a thread of its own that reads the source, and
// takes the pool's lock only to look and to hand over. Owned by Pool.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "coordinator/dispatch/coordinator_loop.h"
#include "coordinator/spread/spread_model.h"
#include "engine/base/log_sink.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

// How far it is, for people.
struct SpreadProgress {
  bool complete = false;  // every unit had its copies once, and the manifest is kept
  SpreadBook::Counts counts;
  std::vector<std::string> missing;  // names of the first ones
  std::string trouble;               // why the source cannot be read at present; or empty
};

class PoolSpread {
 public:
  // References must outlive the object; `log` may be null.
  PoolSpread(SpreadModel& model, const GrainCutter& cutter, const std::string& model_name,
             const SigningKey& key, uint32_t slices, const Clock& clock, LogSink* log);
  ~PoolSpread();

  Status begin() { return spreader_.begin(); }
  const Manifest& outline() const { return outline_; }
  const Manifest& manifest() { return spreader_.manifest().manifest; }
  const SignedManifest& signed_manifest() { return spreader_.manifest().signed_manifest; }
  GrainSource& grains() { return window_; }
  const SpreadModel& model() const { return model_; }

  // Once the pool is there; until the object's end. `devices`: how many may be members.
  void start(CoordinatorLoop& loop, std::function<size_t()> devices);
  // Ends the thread; a read that is under way ends first.
  void stop();
  // With the pool's lock.
  SpreadProgress progress() const;

 private:
  void run(CoordinatorLoop& loop);
  Duration turn(CoordinatorLoop& loop);
  Duration pass_on(const std::vector<ExpertName>& experts, CoordinatorLoop& loop);
  Duration finish();
  void tell_missing();
  void tell_stall();
  void failed(const Error& error);
  bool wait(Duration pause);

  SpreadModel& model_;
  Manifest outline_;
  ExpertWindow window_;
  Spreader spreader_;
  const Clock& clock_;
  LogSink* log_;
  std::function<size_t()> devices_;
  std::string trouble_;  // guarded by the pool's lock
  uint64_t told_missing_ = 0;
  std::optional<TimePoint> missing_since_;
  std::pair<uint64_t, uint64_t> stall_seen_{0, 0};  // known experts, scarce units
  TimePoint stall_since_{0};
  bool stall_told_ = false;
  std::optional<TimePoint> retry_at_;
  TimePoint reminded_at_{0};
  bool told_complete_ = false;
  Mutex mutex_;
  Condition ended_;
  bool end_ GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace potluck
