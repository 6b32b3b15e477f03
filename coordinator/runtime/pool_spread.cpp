#include "coordinator/runtime/pool_spread.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/format_bytes.h"

namespace potluck {
namespace {

// How often it is looked whether workers have got what is in memory, and, when all is spread,
// whether anything was lost.
constexpr Duration kSpreadLook = std::chrono::milliseconds(50);
constexpr Duration kIdleLook = std::chrono::seconds(1);
// A source that failed is tried again after so long, whether or not a call waits for its experts.
constexpr Duration kSourcePause = std::chrono::seconds(10);
// Workers that lack units hear from time to time who has them by now.
constexpr Duration kRemindPause = std::chrono::seconds(3);
// Units without a holder for this long are reported: after a start it takes workers a moment to say
// what they have.
constexpr Duration kMissingFor = std::chrono::seconds(5);
// Copies that have not moved on for so long are told of.
constexpr Duration kStalledFor = std::chrono::seconds(20);

}  // namespace

PoolSpread::PoolSpread(SpreadModel& model, const GrainCutter& cutter, const std::string& model_name,
                       const SigningKey& key, uint32_t slices, const Clock& clock, LogSink* log)
    : model_(model),
      outline_(outline_of(cutter, model_name)),
      window_(cutter),
      spreader_(model.folder(), model.source(), outline_, key, slices, model.about().replicas,
                window_, model.window_bytes()),
      clock_(clock),
      log_(log) {}

PoolSpread::~PoolSpread() {
  stop();
}

void PoolSpread::stop() {
  {
    MutexLock lock(mutex_);
    end_ = true;
  }
  ended_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void PoolSpread::start(CoordinatorLoop& loop, std::function<size_t()> devices) {
  devices_ = std::move(devices);
  thread_ = std::thread([this, &loop] { run(loop); });
}

bool PoolSpread::wait(Duration pause) {
  MutexLock lock(mutex_);
  // A wakeup without a reason only makes a turn come early.
  if (!end_) ended_.wait_for(lock, pause);
  return !end_;
}

void PoolSpread::run(CoordinatorLoop& loop) {
  while (wait(turn(loop))) {
  }
}

Duration PoolSpread::turn(CoordinatorLoop& loop) {
  Spreader::Step step;
  const TimePoint now = clock_.now();
  {
    auto lock = loop.lock();
    const ClusterState& cluster = loop.core().cluster();
    step = spreader_.next(loop.core(), cluster.workers().size() >= devices_(), now);
    if (spreader_.book().counts().scarce > 0 && now - reminded_at_ >= kRemindPause) {
      reminded_at_ = now;
      loop.core().assign_missing_again();
      loop.send();
    }
  }
  tell_missing();
  tell_stall();
  if (step.kind == SpreadBook::Step::Kind::kComplete) return finish();
  bool waits = step.kind == SpreadBook::Step::Kind::kWait || (retry_at_ && now < *retry_at_);
  if (waits) return spreader_.is_complete() ? kIdleLook : kSpreadLook;
  return pass_on(step.experts, loop);
}

Duration PoolSpread::pass_on(const std::vector<ExpertName>& experts, CoordinatorLoop& loop) {
  auto cuts = spreader_.read(experts);
  Status recorded = cuts ? spreader_.record(*cuts) : Status(cuts.error());
  auto lock = loop.lock();
  if (!recorded) {
    failed(recorded.error());
    return kSpreadLook;
  }
  trouble_.clear();
  retry_at_.reset();
  spreader_.take(*cuts, loop.core());
  loop.send();
  return kSpreadLook;
}

// With the pool's lock. Said once for each reason.
void PoolSpread::failed(const Error& error) {
  retry_at_ = clock_.now() + kSourcePause;
  if (error.code == ErrorCode::kCancelled || trouble_ == error.message) return;
  trouble_ = error.message;
  log_to(log_, {LogLevel::kWarning, "spread",
                fmt::format("experts cannot be passed on: {}; trying again every {} s",
                            error.message, kSourcePause / std::chrono::seconds(1))});
}

Duration PoolSpread::finish() {
  if (Status saved = spreader_.complete(); !saved) {
    log_to(log_, {LogLevel::kWarning, "spread", saved.error().message});
    return kSourcePause;
  }
  if (!told_complete_) {
    told_complete_ = true;
    log_to(log_, {LogLevel::kInfo, "spread",
                  fmt::format("all {} experts have {} cop{} with the workers; {} is not needed any "
                              "more",
                              spreader_.book().counts().total, model_.about().replicas,
                              model_.about().replicas == 1 ? "y" : "ies each",
                              source_path(model_.about().source))});
  }
  return kIdleLook;
}

// When the number of units without a holder changes: which, and what follows.
void PoolSpread::tell_missing() {
  const uint64_t missing = spreader_.book().counts().missing;
  const TimePoint now = clock_.now();
  if (missing == told_missing_) {
    missing_since_.reset();
    return;
  }
  if (!missing_since_) missing_since_ = now;
  if (missing > 0 && now - *missing_since_ < kMissingFor) return;
  missing_since_.reset();
  told_missing_ = missing;
  if (missing == 0) {
    log_to(log_, {LogLevel::kInfo, "spread", "every part of an expert is with a worker again"});
    return;
  }
  std::string names;
  for (const std::string& name : spreader_.book().missing_names()) {
    names += (names.empty() ? "" : ", ") + name;
  }
  log_to(log_, {LogLevel::kWarning,
                "spread",
                fmt::format(
                    "{} parts of experts are with no worker ({}{}): what needs them waits until a "
                    "device that has them comes back, or {} is read again",
                    missing, names, missing > 16 ? " .." : "", source_path(model_.about().source)),
                {{"units", missing}}});
}

// Copies that do not come about: there are too few workers, or their disks are full.
void PoolSpread::tell_stall() {
  const SpreadBook::Counts& counts = spreader_.book().counts();
  const std::pair<uint64_t, uint64_t> seen{counts.known, counts.scarce};
  const TimePoint now = clock_.now();
  if (seen != stall_seen_) {
    stall_seen_ = seen;
    stall_since_ = now;
    stall_told_ = false;
  }
  bool stalled = counts.scarce > counts.missing && now - stall_since_ >= kStalledFor;
  if (!stalled || stall_told_) return;
  stall_told_ = true;
  log_to(log_,
         {LogLevel::kWarning,
          "spread",
          fmt::format("{} parts of experts wait for their {} copies: let another device join, "
                      "give workers more room (join --disk), or take fewer copies "
                      "(--replicas)",
                      counts.scarce, model_.about().replicas),
          {{"units", counts.scarce}}});
}

SpreadProgress PoolSpread::progress() const {
  return {spreader_.is_complete(), spreader_.book().counts(), spreader_.book().missing_names(),
          trouble_};
}

}  // namespace potluck
