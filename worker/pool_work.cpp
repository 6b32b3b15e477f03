// How a session answers work.
#include <algorithm>

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

void PoolSession::on_compute(const Compute& request, ByteSpan frame) {
  context_.server.work_seen(now());
  ByteVector sums;
  Partial partial = compute(request, frame, &sums);
  if (partial.status != PartialStatus::kOk) {
    partial.row_flags.clear();
    sums.clear();
  }
  partial.work = request.work;
  partial.checksum = checksum_of(partial.work, partial.row_flags, sums);
  send(std::move(partial), Channel::kCompute, std::move(sums));
  request_grains();
  report_residency();
}

Partial PoolSession::compute(const Compute& request, ByteSpan frame, ByteVector* sums) {
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
  Status valid = check_compute(request, frame.size(), *manifest_, units_.slices());
  if (!valid) return refusal(PartialStatus::kBadRequest, valid.error().message);
  Partial partial;
  partial.lost = units_of(request, [&](UnitId unit) { return !units_.ready(unit); });
  if (!partial.lost.empty()) {
    partial.status = PartialStatus::kMissing;
    partial.text = fmt::format("{} units are not held", partial.lost.size());
    return partial;
  }
  if (source_ == nullptr) {
    source_ = std::make_unique<StoredSource>(*manifest_, context_.store, open_reader(),
                                             context_.clock, StoredSourceOptions{cache_bytes_});
  }
  expect(request.predicted);
  const ManifestLayer& layer = *manifest_->layer(request.work.layer);
  auto failure = context_.compute.run(request, frame, layer, *source_, &partial, sums);
  if (failure) return after_failure(request, *failure);
  rows_computed_ += request.rows.size();
  units_computed_ += calls_of(request);
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
