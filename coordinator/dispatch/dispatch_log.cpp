#include "coordinator/dispatch/dispatch_log.h"

#include <fmt/format.h>

namespace potluck {
namespace {

// So many batches after a worker last read its disk, its experts count as all in memory.
constexpr uint64_t kDiskBatches = 256;

void add_timings(WorkTimings& sum, const WorkTimings& timings) {
  sum.compute += timings.compute;
  sum.disk += timings.disk;
  sum.disk_bytes += timings.disk_bytes;
  sum.cache_hits += timings.cache_hits;
  sum.cache_misses += timings.cache_misses;
  sum.guessed_bytes += timings.guessed_bytes;
  sum.guesses_used += timings.guesses_used;
  sum.guesses_wasted += timings.guesses_wasted;
}

}  // namespace

void DispatchLog::took_answer(const Debt& debt, const WorkTimings& timings) {
  counts_.remote_unit_calls += debt.calls.size();
  add_timings(counts_.worker_timings, timings);
  if (timings.cache_misses > 0 || timings.guesses_used > 0) last_disk_batch_ = counts_.batches;
}

void DispatchLog::refused_answer(const PeerKey& worker, const Error& why) {
  ++counts_.bad_replies;
  notices_.add(
      fmt::format("{} answered badly, its work goes to others: {}", describe(worker), why.message));
}

void DispatchLog::was_not_asked(const PeerKey& from, const WorkId& work) {
  ++counts_.bad_replies;
  notices_.add(fmt::format(
      "{} answered request {} of layer {} (epoch {}, attempt {}), which it was not asked",
      describe(from), work.request, work.layer, work.epoch, work.attempt));
}

void DispatchLog::missed_deadline(const PeerKey& worker, Duration waited) {
  notices_.add(fmt::format("{} did not answer within {:.1f} s, its work goes to others",
                           describe(worker), std::chrono::duration<double>(waited).count()));
}

bool DispatchLog::disks_in_use() const {
  return last_disk_batch_ && counts_.batches - *last_disk_batch_ < kDiskBatches;
}

std::string DispatchLog::describe(const PeerKey& worker) const {
  const WorkerRecord* record = cluster_.worker(worker);
  if (record == nullptr) return "peer " + worker.brief();
  return fmt::format("worker {} ({}, {})", record->number, record->name, worker.brief());
}

}  // namespace potluck
