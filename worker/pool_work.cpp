// How a session answers work.
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/base/inline_reader.h"
#include "engine/base/limits.h"
#include "protocol/codec.h"
#include "worker/pool_session.h"

namespace potluck {
namespace {

// What failed for want of memory or descriptors is offered again after a while.
constexpr Duration kOwnTrouble = std::chrono::seconds(5);

// The units a request names, each once; those that `wanted` accepts.
template <class Predicate>
std::vector<UnitId> units_of(const Compute& request, const Predicate& wanted) {
  std::vector<UnitId> units;
  for (const ComputeRow& row : request.rows) {
    for (const UnitCall& call : row.calls) {
      UnitId unit{static_cast<uint16_t>(request.work.layer), call.expert, call.slice};
      if (wanted(unit)) units.push_back(unit);
    }
  }
  std::sort(units.begin(), units.end());
  units.erase(std::unique(units.begin(), units.end()), units.end());
  return units;
}

uint64_t calls_of(const Compute& request) {
  uint64_t calls = 0;
  for (const ComputeRow& row : request.rows) calls += row.calls.size();
  return calls;
}

Partial refusal(PartialStatus status, std::string text) {
  Partial partial;
  partial.status = status;
  partial.text = std::move(text);
  return partial;
}

}  // namespace

// A coordinator waits for answers before it asks for more; one that does not is told so.
bool PoolSession::queue_is_full(uint64_t bytes) const {
  return waiting_.size() >= kRequestsWaiting ||
         (!waiting_.empty() && waiting_bytes_ + bytes > kBytesWaiting);
}

void PoolSession::on_compute(Compute request, ByteVector frame) {
  asked_at_ = now();
  if (queue_is_full(frame.size())) {
    answer(request.work,
           refusal(PartialStatus::kBadRequest,
                   fmt::format("{} requests of {} bytes wait here already, one more is too much",
                               waiting_.size(), waiting_bytes_)),
           {});
    return;
  }
  waiting_bytes_ += frame.size();
  waiting_.push_back({std::move(request), std::move(frame)});
}

Duration PoolSession::work(Duration budget) {
  context_.server.work_seen(now());
  if (job_state_ == JobState::kNone && !begin_next()) return Duration::zero();
  if (job_state_ == JobState::kDone) return Duration::zero();
  if (source_ == nullptr) {
    source_ = std::make_unique<StoredSource>(*manifest_, context_.store, open_reader(),
                                             context_.clock, StoredSourceOptions{cache_bytes_});
  }
  if (!std::exchange(job_expected_, true)) expect(job_.request().predicted);
  const ManifestLayer& layer = *manifest_->layer(job_.request().work.layer);
  UnitCompute::Block block = context_.compute.run_block(job_, layer, *source_, budget);
  if (block.failure) {
    refuse_job(after_failure(job_.request(), *block.failure));
  } else if (job_.done()) {
    rows_computed_ += job_.request().rows.size();
    units_computed_ += calls_of(job_.request());
    job_state_ = JobState::kDone;
  }
  return block.took;
}

// False if there was nothing to begin.
bool PoolSession::begin_next() {
  if (waiting_.empty()) return false;
  Request next = std::move(waiting_.front());
  waiting_.pop_front();
  waiting_bytes_ -= next.frame.size();
  std::optional<Partial> refused = why_not(next.request, next.frame.size());
  job_.begin(std::move(next.request), std::move(next.frame));
  job_state_ = JobState::kBegun;
  job_expected_ = false;
  if (refused) refuse_job(std::move(*refused));
  return true;
}

void PoolSession::refuse_job(Partial refused) {
  job_.partial = std::move(refused);
  job_.partial.row_flags.clear();
  job_.sums.clear();
  job_state_ = JobState::kDone;
}

void PoolSession::answer_job() {
  job_state_ = JobState::kNone;
  answer(job_.request().work, std::move(job_.partial), std::move(job_.sums));
  request_grains();
  report_residency();
}

void PoolSession::answer(const WorkId& work, Partial partial, ByteVector sums) {
  partial.work = work;
  partial.checksum = checksum_of(work, partial.row_flags, sums);
  send(std::move(partial), Channel::kCompute, std::move(sums));
}

// Another manifest, or a coordinator that forgot what it asked for.
void PoolSession::drop_work() {
  waiting_.clear();
  waiting_bytes_ = 0;
  job_state_ = JobState::kNone;
}

std::optional<Partial> PoolSession::why_not(const Compute& request, uint64_t frame_bytes) {
  if (!of_this_epoch(request.work.epoch)) {
    return refusal(PartialStatus::kStale, "the request is of another epoch");
  }
  if (request.work.layer >= limits::kLayers) {
    return refusal(PartialStatus::kBadRequest, "compute: no such layer");
  }
  if (manifest_ == nullptr || units_.assigned_count() == 0) {
    Partial partial = refusal(PartialStatus::kMissing, "nothing is assigned yet");
    partial.lost = units_of(request, [](UnitId) { return true; });
    return partial;
  }
  Status valid = check_compute(request, frame_bytes, *manifest_, units_.slices());
  if (!valid) return refusal(PartialStatus::kBadRequest, valid.error().message);
  std::vector<UnitId> lost = units_of(request, [&](UnitId unit) { return !units_.ready(unit); });
  if (lost.empty()) return std::nullopt;
  Partial partial =
      refusal(PartialStatus::kMissing, fmt::format("{} units are not held", lost.size()));
  partial.lost = std::move(lost);
  return partial;
}

std::unique_ptr<BlockReader> PoolSession::open_reader() {
  const auto& open = context_.options.open_reader;
  return open ? open() : std::make_unique<InlineBlockReader>(context_.clock);
}

// A hint from outside: what does not exist here, or is not held, is left out.
void PoolSession::expect(std::span<const UnitId> units) {
  guesses_.clear();
  for (UnitId unit : units) {
    const ManifestLayer* layer = manifest_->layer(unit.layer);
    if (layer == nullptr || !units_.ready(unit)) continue;
    GrainRange grains = slice_grains(layer->plan.grains, unit.slice, units_.slices());
    for (uint32_t i = 0; i < grains.count; ++i) {
      guesses_.push_back({unit.layer, unit.expert, static_cast<uint16_t>(grains.first + i)});
    }
  }
  source_->expect(guesses_);
}

// Nothing was computed. A grain that the store lost or found altered is fetched again, and its
// units are not ready until then. What has nothing to do with the grain leaves it where it is.
Partial PoolSession::after_failure(const Compute& request, const UnitCompute::Failure& failure) {
  const Error& error = failure.error;
  // The frame, or the manifest, contradicts what is there.
  bool wrong = !failure.grain || error.code == ErrorCode::kInvalidArgument;
  if (wrong) return refusal(PartialStatus::kBadRequest, error.message);
  Partial partial = refusal(PartialStatus::kMissing, error.message);
  if (error.code == ErrorCode::kLimit) {  // no memory or descriptors left: for now
    partial.lost = units_of(request, [](UnitId) { return true; });
    report_again_at_ = now() + kOwnTrouble;
    notice(error.message);
    return partial;
  }
  GrainId grain = *failure.grain;
  const Digest& digest = manifest_->digest_of(grain);
  context_.store.distrust(digest);  // one that cannot be read is written anew elsewhere
  partial.lost = units_.grain_lost(digest);
  notice(fmt::format("layer {}, expert {}: altered on disk, fetching it again: {}", grain.layer,
                     grain.expert, error.message));
  return partial;
}

}  // namespace potluck
