#include "coordinator/dispatch/dispatch_log.h"

#include <fmt/format.h>

namespace potluck {
namespace {

// So many batches after a worker last read its disk, its experts count as all in memory.
constexpr uint64_t kDiskBatches = 256;

}  // namespace

void DispatchLog::worked(const WorkCounters& timings) {
  counts_.work += timings;
  // The worker's own word. It decides only whether prefetching is worth its computation, so a lie
  // costs speed and never a result.
  if (timings.cache_misses > 0 || timings.prefetches_used > 0) last_disk_batch_ = counts_.batches;
}

void DispatchLog::keep(const Debt& debt, const WorkCounters& timings, TimePoint now) {
  constexpr size_t kMost = 4096;  // far more than one layer has; what takes them has stopped
  if (!keeps_answers_ || answers_.size() >= kMost) return;
  answers_.push_back({debt.worker, debt.work.layer, debt.rows, debt.asked.sent_at, now, timings});
}

void DispatchLog::refused_answer(const PeerKey& worker, const Error& why) {
  ++counts_.bad_replies;
  notices_.add(fmt::format("{} answered badly, its work goes to others: {}",
                           cluster_.describe(worker), why.message),
               LogLevel::kWarning, {{"worker", worker.brief()}, {"reason", why.message}});
}

void DispatchLog::was_not_asked(const PeerKey& from, const WorkId& work) {
  ++counts_.bad_replies;
  notices_.add(
      fmt::format(
          "{} answered request {} of layer {} (epoch {}, attempt {}), which it was not asked",
          cluster_.describe(from), work.request, work.layer, work.epoch, work.attempt),
      LogLevel::kWarning,
      {{"worker", from.brief()}, {"request", work.request}, {"layer", work.layer}});
}

void DispatchLog::missed_deadline(const PeerKey& worker, Duration waited) {
  double seconds = in_seconds(waited);
  notices_.add(fmt::format("{} did not answer within {:.1f} s, its work goes to others",
                           cluster_.describe(worker), seconds),
               LogLevel::kWarning, {{"worker", worker.brief()}, {"waited_s", seconds}});
}

void DispatchLog::asked_others(const PeerKey& worker, Duration waited) {
  double seconds = in_seconds(waited);
  notices_.add(fmt::format("{} has not answered for {:.3f} s, others are asked as well",
                           cluster_.describe(worker), seconds),
               LogLevel::kDebug, {{"worker", worker.brief()}, {"waited_s", seconds}});
}

void DispatchLog::found_wrong(const PeerKey& worker, uint32_t layer) {
  ++counts_.wrong_answers;
  notices_.add(
      fmt::format("{} gave a wrong answer in layer {}: what it was asked is computed again",
                  cluster_.describe(worker), layer),
      LogLevel::kWarning, {{"worker", worker.brief()}, {"layer", layer}});
}

bool DispatchLog::disks_in_use() const {
  return last_disk_batch_ && counts_.batches - *last_disk_batch_ < kDiskBatches;
}

}  // namespace potluck
