#include "worker/unit_compute.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "protocol/codec.h"
#include "protocol/packed_sums.h"

namespace potluck {
namespace {

auto unit_of(const ExpertCall& call) {
  return std::tuple(call.expert, call.grains.first, call.grains.count);
}

void sort_by_unit(std::vector<ExpertCall>& calls) {
  std::sort(calls.begin(), calls.end(), [](const ExpertCall& a, const ExpertCall& b) {
    return std::tuple(unit_of(a), a.row) < std::tuple(unit_of(b), b.row);
  });
}

std::vector<ExpertCall> cut_into_grains(std::span<const ExpertCall> calls) {
  std::vector<ExpertCall> cut;
  for (const ExpertCall& call : calls) {
    for (uint32_t i = 0; i < call.grains.count; ++i) {
      cut.push_back({call.row, call.expert, {call.grains.first + i, 1}, call.weight});
    }
  }
  return cut;
}

// As long as a simulated processor takes; a part of a unit costs its part.
Duration simulated(const SimulatedProcessor& processor, Duration computed,
                   std::span<const ExpertCall> calls, uint32_t slices, const ChunkPlan& plan) {
  uint64_t grains = 0;
  for (const ExpertCall& call : calls) grains += call.grains.count;
  return processor.busy(computed, 0) +
         processor.busy(Duration::zero(), grains * slices) / static_cast<int64_t>(plan.grains);
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

Status check_bytes(const Compute& request, uint64_t frame_bytes) {
  uint64_t expected = request.rows.size() * activation_wire_bytes(request.form, request.columns);
  if (frame_bytes != expected) {
    return bad(fmt::format("a frame of {} bytes, expected {}", frame_bytes, expected));
  }
  // The answer has to fit a frame as well: otherwise the work is done and cannot be sent.
  uint64_t answer = largest_packed_bytes(request.rows.size() * uint64_t{request.columns});
  if (std::max(expected, answer) > limits::kTensorBytes) {
    return bad(fmt::format("{} rows of {} values take up to {} bytes, a message has at most {}",
                           request.rows.size(), request.columns, std::max(expected, answer),
                           limits::kTensorBytes));
  }
  return {};
}

}  // namespace

// Shapes come from the signed manifest, and the request is compared with them; nothing in it sizes
// or indexes anything before.
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
  return check_bytes(request, frame_bytes);
}

void UnitJob::begin(Compute request, ByteVector frame) {
  request_ = std::move(request);
  frame_ = std::move(frame);
  first_ = 0;
  rows_ = 0;
  next_ = 0;
  partial = {};
  sums.clear();
}

UnitCompute::UnitCompute(const KernelTable& kernels, ThreadPool& threads, const Clock& clock,
                         std::optional<SimulatedProcessor> processor)
    : clock_(clock),
      threads_(static_cast<uint64_t>(threads.threads())),
      compute_(kernels, threads),
      processor_(processor) {}

// Packed groups hold 32 sums: ranges of whole groups, packed one after the other, are the same
// bytes as all rows packed at once.
uint32_t UnitCompute::rows_per_range(uint32_t hidden) const {
  uint64_t step = kSumGroup / std::gcd(kSumGroup, hidden);
  uint64_t row_bytes = hidden * sizeof(int64_t) * (threads_ + 1);
  uint64_t rows = std::max(kSumsBytes / row_bytes / step * step, step);
  return static_cast<uint32_t>(std::min<uint64_t>(rows, limits::kRowsPerMessage));
}

Status UnitCompute::open_range(UnitJob& job, const ManifestLayer& layer) const {
  const Compute& request = job.request_;
  auto left = static_cast<uint32_t>(request.rows.size()) - job.first_;
  job.rows_ = std::min(rows_per_range(layer.shape.hidden), left);
  job.next_ = 0;
  uint64_t row_bytes = activation_wire_bytes(request.form, request.columns);
  ByteSpan part = ByteSpan(job.frame_).subspan(job.first_ * row_bytes, job.rows_ * row_bytes);
  Status unpacked = unpack_activations(part, request.form, job.rows_, request.columns, &job.input_);
  if (!unpacked) return unpacked;
  job.fraction_bits_.clear();
  job.calls_.clear();
  for (uint32_t row = 0; row < job.rows_; ++row) {
    const ComputeRow& asked = request.rows[job.first_ + row];
    job.fraction_bits_.push_back(asked.fraction_bits);
    for (const UnitCall& call : asked.calls) {
      GrainRange grains = slice_grains(layer.plan.grains, call.slice, request.slices);
      if (grains.count > 0) job.calls_.push_back({row, call.expert, grains, call.weight});
    }
  }
  job.range_sums_.reset(job.rows_, layer.shape.hidden);
  return {};
}

void UnitCompute::close_range(UnitJob& job) {
  pack_sums(job.range_sums_.sums, &job.sums);
  const std::vector<uint8_t>& flags = job.range_sums_.flags;
  job.partial.row_flags.insert(job.partial.row_flags.end(), flags.begin(), flags.end());
  job.first_ += job.rows_;
  job.rows_ = 0;
}

// The rows of a unit side by side, so that it is read for as few blocks as possible. A unit that is
// a block too long by itself is computed grain by grain: sums are integers, any grouping will do.
size_t UnitCompute::next_calls(UnitJob& job, const ManifestLayer& layer, Duration budget) {
  size_t left = job.calls_.size() - job.next_;
  size_t fitting = fitting_calls(job, layer, budget);
  if (job.next_ == 0 && fitting < left) {
    sort_by_unit(job.calls_);
    fitting = fitting_calls(job, layer, budget);
  }
  bool too_long = fitting == 1 && !pace_.take(0, true, budget);
  if (!too_long || job.calls_[job.next_].grains.count == 1) return fitting;
  job.calls_ = cut_into_grains(std::span(job.calls_).subspan(job.next_));
  job.next_ = 0;
  sort_by_unit(job.calls_);
  return fitting_calls(job, layer, budget);
}

size_t UnitCompute::fitting_calls(const UnitJob& job, const ManifestLayer& layer, Duration budget) {
  uint64_t grain_bytes = grain_layout(layer.shape, layer.plan, 0).bytes;
  pace_.begin();
  for (size_t i = job.next_; i < job.calls_.size(); ++i) {
    const ExpertCall& call = job.calls_[i];
    bool same = i > job.next_ && unit_of(call) == unit_of(job.calls_[i - 1]);
    if (!pace_.take(call.grains.count * grain_bytes, same, budget)) break;
  }
  return pace_.calls();
}

UnitCompute::Block UnitCompute::run_block(UnitJob& job, const ManifestLayer& layer,
                                          StoredSource& source, Duration budget) {
  TimePoint start = clock_.now();
  WorkCounters before = source.statistics().work;
  if (job.rows_ == 0) {
    if (Status opened = open_range(job, layer); !opened) {
      return {clock_.now() - start, Failure{std::nullopt, opened.error()}};
    }
  }
  size_t count = next_calls(job, layer, budget);
  auto calls = std::span<const ExpertCall>(job.calls_).subspan(job.next_, count);
  Status done = compute_.run(layer.layer, layer.shape, job.input_.view(), job.fraction_bits_, calls,
                             source, &job.range_sums_);
  if (!done) return {clock_.now() - start, Failure{source.failed_grain(), done.error()}};
  WorkCounters work = source.statistics().work - before;
  // Time for the disk and for computing are kept apart: the pace learns each by itself, and a
  // simulated processor slows only the second.
  auto waited = static_cast<Duration>(work.disk);
  Duration computed = clock_.now() - start - waited;
  if (processor_) {
    computed = simulated(*processor_, computed, calls, job.request_.slices, layer.plan);
  }
  pace_.end(computed, waited, work.disk_bytes);
  work.compute = nanoseconds(computed);
  job.partial.timings += work;
  job.next_ += count;
  if (job.next_ == job.calls_.size()) close_range(job);
  return {computed + waited, std::nullopt};
}

}  // namespace potluck
