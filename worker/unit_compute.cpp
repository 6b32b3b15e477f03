#include "worker/unit_compute.h"

#include <algorithm>
#include <numeric>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "protocol/codec.h"
#include "protocol/partial_sums.h"

namespace potluck {
namespace {

uint64_t nanoseconds(Duration duration) {
  return static_cast<uint64_t>(std::max<Duration::rep>(duration.count(), 0));
}

// What the source did since `before`.
WorkTimings timings_since(const CacheStatistics& before, const CacheStatistics& now,
                          Duration elapsed) {
  Duration waited = now.waited - before.waited;
  WorkTimings timings;
  timings.disk = nanoseconds(waited);
  timings.compute = nanoseconds(elapsed - waited);
  timings.disk_bytes = now.disk_bytes - before.disk_bytes;
  timings.cache_hits = static_cast<uint32_t>(now.hits - before.hits);
  timings.cache_misses = static_cast<uint32_t>(now.misses - before.misses);
  timings.guessed_bytes = now.guessed_bytes - before.guessed_bytes;
  timings.guesses_used = static_cast<uint32_t>(now.guesses_used - before.guesses_used);
  timings.guesses_wasted = static_cast<uint32_t>(now.guesses_wasted - before.guesses_wasted);
  return timings;
}

Error bad(std::string what) {
  return {ErrorCode::kCorrupt, "compute: " + std::move(what)};
}

const char* form_name(ActivationForm form) {
  switch (form) {
    case ActivationForm::kF32:
      return "f32";
    case ActivationForm::kQ8Block32:
      return "8 bits in blocks of 32";
    case ActivationForm::kQ8Block256:
      return "8 bits in blocks of 256";
  }
  return "unknown";
}

Status check_rows(const Compute& request, const ManifestLayer& layer) {
  if (request.rows.empty() || request.rows.size() > limits::kRowsPerMessage) {
    return bad(
        fmt::format("{} rows, expected 1 to {}", request.rows.size(), limits::kRowsPerMessage));
  }
  uint64_t calls = 0;
  for (const ComputeRow& row : request.rows) {
    if (row.calls.empty()) return bad("a row without calls");
    calls += row.calls.size();
    for (const UnitCall& call : row.calls) {
      if (call.expert < layer.experts && call.slice < request.slices) continue;
      return bad(fmt::format("slice {} of {} of expert {}, layer {} has {} experts", call.slice,
                             request.slices, call.expert, layer.layer, layer.experts));
    }
  }
  if (calls > limits::kCallsPerMessage) {
    return bad(fmt::format("{} calls, expected at most {}", calls, limits::kCallsPerMessage));
  }
  return {};
}

}  // namespace

Status check_compute(const Compute& request, uint64_t frame_bytes, const Manifest& manifest,
                     uint32_t slices) {
  const ManifestLayer* layer = manifest.layer(request.work.layer);
  if (layer == nullptr) {
    return bad(fmt::format("the model has no experts in layer {}", request.work.layer));
  }
  if (request.slices != slices) {
    return bad(
        fmt::format("experts cut into {} slices, the assignment says {}", request.slices, slices));
  }
  if (request.form != layer->shape.input_form()) {
    return bad(fmt::format("activations of {}, layer {} reads {}", form_name(request.form),
                           layer->layer, form_name(layer->shape.input_form())));
  }
  if (request.columns != layer->shape.hidden) {
    return bad(fmt::format("rows of {} values, layer {} has {}", request.columns, layer->layer,
                           layer->shape.hidden));
  }
  if (Status rows = check_rows(request, *layer); !rows) return rows;
  uint64_t expected = request.rows.size() * activation_wire_bytes(request.form, request.columns);
  if (frame_bytes != expected) {
    return bad(fmt::format("a frame of {} bytes, expected {}", frame_bytes, expected));
  }
  return {};
}

UnitCompute::UnitCompute(const KernelTable& kernels, ThreadPool& threads, const Clock& clock)
    : clock_(clock),
      threads_(static_cast<uint64_t>(threads.threads())),
      compute_(kernels, threads) {}

struct UnitCompute::Block {
  const Compute& request;
  const ManifestLayer& layer;
  uint32_t first;
  uint32_t count;
};

// Packed groups hold 32 sums: blocks of whole groups, packed one after the other, are the same
// bytes as all rows packed at once.
uint32_t UnitCompute::rows_per_block(uint32_t hidden) const {
  uint64_t step = kSumGroup / std::gcd(kSumGroup, hidden);
  uint64_t row_bytes = hidden * sizeof(int64_t) * (threads_ + 1);
  uint64_t rows = std::max(kSumsBytes / row_bytes / step * step, step);
  return static_cast<uint32_t>(std::min<uint64_t>(rows, limits::kRowsPerMessage));
}

Status UnitCompute::run_block(const Block& block, GrainSource& source) {
  fraction_bits_.clear();
  calls_.clear();
  for (uint32_t row = 0; row < block.count; ++row) {
    const ComputeRow& asked = block.request.rows[block.first + row];
    fraction_bits_.push_back(asked.fraction_bits);
    for (const UnitCall& call : asked.calls) {
      GrainRange grains = slice_grains(block.layer.plan.grains, call.slice, block.request.slices);
      if (grains.count > 0) calls_.push_back({row, call.expert, grains, call.weight});
    }
  }
  sums_.reset(block.count, block.layer.shape.hidden);
  return compute_.run(block.layer.layer, block.layer.shape, input_.view(), fraction_bits_, calls_,
                      source, &sums_);
}

std::optional<UnitCompute::Failure> UnitCompute::run(const Compute& request, ByteSpan frame,
                                                     const ManifestLayer& layer,
                                                     StoredSource& source, Partial* partial,
                                                     ByteVector* sums) {
  TimePoint start = clock_.now();
  CacheStatistics before = source.statistics();
  auto rows = static_cast<uint32_t>(request.rows.size());
  uint64_t row_bytes = activation_wire_bytes(request.form, request.columns);
  uint32_t step = rows_per_block(layer.shape.hidden);
  for (uint32_t first = 0; first < rows; first += step) {
    uint32_t count = std::min(step, rows - first);
    ByteSpan part = frame.subspan(first * row_bytes, count * row_bytes);
    Status unpacked = unpack_activations(part, request.form, count, request.columns, &input_);
    if (!unpacked) return Failure{std::nullopt, unpacked.error()};
    Status done = run_block({request, layer, first, count}, source);
    if (!done) return Failure{source.failed_grain(), done.error()};
    pack_sums(sums_.sums, sums);
    partial->row_flags.insert(partial->row_flags.end(), sums_.flags.begin(), sums_.flags.end());
  }
  partial->timings = timings_since(before, source.statistics(), clock_.now() - start);
  return std::nullopt;
}

}  // namespace potluck
