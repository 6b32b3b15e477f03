#include "worker/answering.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "engine/base/inline_reader.h"
#include "engine/base/limits.h"
#include "protocol/codec.h"

namespace potluck {
namespace {

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

std::vector<UnitId> all_units_of(const Compute& request) {
  return units_of(request, [](UnitId) { return true; });
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

// Why a request of this epoch cannot be computed.
std::optional<Partial> why_not(const Compute& request, uint64_t frame_bytes,
                               const Manifest* manifest, const UnitTable& held) {
  // Before units are named, whose layers have 16 bits.
  if (request.work.layer >= limits::kLayers) {
    return refusal(PartialStatus::kBadRequest, "compute: no such layer");
  }
  if (manifest == nullptr || held.assigned_count() == 0) {
    Partial partial = refusal(PartialStatus::kMissing, "nothing is assigned yet");
    partial.lost = all_units_of(request);
    return partial;
  }
  Status valid = check_compute(request, frame_bytes, *manifest, held.slices());
  if (!valid) return refusal(PartialStatus::kBadRequest, valid.error().message);
  std::vector<UnitId> lost = units_of(request, [&](UnitId unit) { return !held.ready(unit); });
  if (lost.empty()) return std::nullopt;
  Partial partial =
      refusal(PartialStatus::kMissing, fmt::format("{} units are not held", lost.size()));
  partial.lost = std::move(lost);
  return partial;
}

}  // namespace

// A coordinator waits for answers before it asks for more; one that does not is told so. Work that
// was dropped in silence would wait for its deadline there.
void Answering::on_compute(Compute request, ByteVector frame) {
  asked_at_ = link_.now();
  if (queue_is_full(frame.size())) {
    send(request.work,
         refusal(PartialStatus::kBadRequest,
                 fmt::format("{} requests of {} bytes wait here already, one more is too much",
                             waiting_.size(), waiting_bytes_)),
         {});
    return;
  }
  waiting_bytes_ += frame.size();
  waiting_.push_back({std::move(request), std::move(frame)});
}

bool Answering::queue_is_full(uint64_t bytes) const {
  // A single request is taken whatever its size, which the frame limit bounds already.
  return waiting_.size() >= kRequestsWaiting ||
         (!waiting_.empty() && waiting_bytes_ + bytes > kBytesWaiting);
}

const Compute* Answering::next() const {
  if (job_state_ != JobState::kNone || waiting_.empty()) return nullptr;
  return &waiting_.front().request;
}

void Answering::begin(bool current, const Manifest* manifest, const UnitTable& units) {
  Request next = std::move(waiting_.front());
  waiting_.pop_front();
  waiting_bytes_ -= next.frame.size();
  std::optional<Partial> refused =
      current ? why_not(next.request, next.frame.size(), manifest, units)
              : refusal(PartialStatus::kStale, "the request is of another epoch");
  // Also one that is refused: answer() names the work by what was begun.
  job_.begin(std::move(next.request), std::move(next.frame));
  job_state_ = JobState::kBegun;
  if (refused) {
    refuse_job(std::move(*refused));
  } else {
    prefetch(job_.request().prefetch, *manifest, units);
  }
}

void Answering::refuse_job(Partial refused) {
  // What was computed before the failure must not go out: the coordinator gives all of it to
  // others.
  job_.partial = std::move(refused);
  job_.partial.row_flags.clear();
  job_.sums.clear();
  ++refused_;
  job_state_ = JobState::kDone;
}

Duration Answering::compute(Duration budget, const Manifest& manifest, UnitDelivery& delivery) {
  const ManifestLayer& layer = *manifest.layer(job_.request().work.layer);
  UnitCompute::Block block = compute_.run_block(job_, layer, source(manifest), budget);
  if (block.failure) {
    refuse_job(after_failure(*block.failure, manifest, delivery));
  } else if (job_.done()) {
    rows_computed_ += job_.request().rows.size();
    units_computed_ += calls_of(job_.request());
    work_ += job_.partial.timings;
    ++answered_;
    job_state_ = JobState::kDone;
  }
  return block.took;
}

void Answering::answer() {
  job_state_ = JobState::kNone;
  send(job_.request().work, std::move(job_.partial), std::move(job_.sums));
}

void Answering::send(const WorkId& work, Partial partial, ByteVector sums) {
  partial.work = work;
  partial.checksum = checksum_of(work, partial.row_flags, sums);
  link_.send(std::move(partial), Channel::kCompute, std::move(sums));
}

// Without answers: the coordinator that asked is gone, or has forgotten that it did.
void Answering::drop_work() {
  waiting_.clear();
  waiting_bytes_ = 0;
  job_state_ = JobState::kNone;
}

// --- the cache ---

void Answering::set_cache(uint64_t bytes) {
  if (bytes == cache_bytes_) return;
  cache_bytes_ = bytes;
  source_.reset();
}

void Answering::set_cache_limit(uint64_t bytes) {
  if (bytes == cache_limit_) return;
  cache_limit_ = bytes;
  if (source_ != nullptr) source_->set_limit(cache_limit_);
}

uint64_t Answering::resident_bytes() const {
  return source_ == nullptr ? 0 : source_->resident_bytes();
}

StoredSource& Answering::source(const Manifest& manifest) {
  if (source_ == nullptr) {
    const auto& open = options_.open_reader;
    std::unique_ptr<BlockReader> reader =
        open ? open() : std::make_unique<InlineBlockReader>(link_.clock());
    source_ = std::make_unique<StoredSource>(
        manifest, store_, std::move(reader), link_.clock(),
        StoredSourceOptions{.budget_bytes = cache_bytes_,
                            .prefault_bytes = options_.prefault_bytes,
                            .read_bytes = options_.read_bytes});
    source_->set_limit(cache_limit_);
  }
  return *source_;
}

void Answering::prefetch(std::span<const UnitId> units, const Manifest& manifest,
                         const UnitTable& held) {
  prefetch_.clear();
  for (UnitId unit : units) {
    const ManifestLayer* layer = manifest.layer(unit.layer);
    if (layer == nullptr || !held.ready(unit)) continue;
    GrainRange grains = slice_grains(layer->plan.grains, unit.slice, held.slices());
    for (uint32_t i = 0; i < grains.count; ++i) {
      prefetch_.push_back({unit.layer, unit.expert, static_cast<uint16_t>(grains.first + i)});
    }
  }
  auto rows = static_cast<uint32_t>(job_.request().rows.size());
  source(manifest).prefetch(prefetch_, foresight(rows));
}

// Nothing was computed. A grain that the store lost or found altered is fetched again, and its
// units are not ready until then. What has nothing to do with the grain leaves it where it is.
Partial Answering::after_failure(const UnitCompute::Failure& failure, const Manifest& manifest,
                                 UnitDelivery& delivery) {
  const Error& error = failure.error;
  // The frame, or the manifest, contradicts what is there.
  bool wrong = !failure.grain || error.code == ErrorCode::kInvalidArgument;
  if (wrong) return refusal(PartialStatus::kBadRequest, error.message);
  Partial partial = refusal(PartialStatus::kMissing, error.message);
  if (error.code == ErrorCode::kLimit) {  // no memory or descriptors left: for now
    partial.lost = all_units_of(job_.request());
    delivery.report_again_later();
    link_.notice(LogLevel::kWarning, error.message, {{"reason", error.message}});
    return partial;
  }
  // All of its units: the whole disk is gone, and the session is told so after this answer.
  if (error.code == ErrorCode::kIo && !store_.reachable()) {
    partial.lost = all_units_of(job_.request());
    return partial;
  }
  GrainId grain = *failure.grain;
  partial.lost = delivery.distrust(manifest.digest_of(grain));
  link_.notice(LogLevel::kWarning,
               fmt::format("layer {}, expert {}: altered on disk, fetching it again: {}",
                           grain.layer, grain.expert, error.message),
               {{"layer", grain.layer}, {"expert", grain.expert}, {"reason", error.message}});
  return partial;
}

void Answering::describe(MembershipStatus* status) const {
  status->rows_computed = rows_computed_;
  status->units_computed = units_computed_;
  status->requests_answered = answered_;
  status->requests_refused = refused_;
  status->requests_waiting = waiting_.size() + (job_state_ == JobState::kNone ? 0 : 1);
  status->work = work_;
}

}  // namespace potluck
