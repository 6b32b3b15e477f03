// All of this is part of the arithmetic contract or of hashes that are published in manifests
// (docs/ARITHMETIC.md, section 8): another number here is another set of grains.
#include "engine/experts/expert_shape.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr uint32_t kChunkStep = 32;  // the smallest block: chunks never cut one
constexpr uint32_t kLargestChunk = 128;
constexpr uint32_t kFewestGrains = 8;  // so that up to 8 workers can share an expert evenly
constexpr uint64_t kGrainTarget = kMiB;
constexpr uint64_t kPartAlignment = 64;     // a cache line
constexpr uint64_t kGrainAlignment = 4096;  // what direct reads ask for

bool is_float(TensorType type) {
  return !block_format(type).quantized();
}

uint32_t chunk_width(uint32_t width) {
  for (uint32_t chunk = kLargestChunk; chunk > kChunkStep; chunk -= kChunkStep) {
    // Equal chunks, so that slices of an expert cost the same on every worker.
    if (width % chunk == 0 && width / chunk >= kFewestGrains) return chunk;
  }
  return kChunkStep;
}

ChunkPlan with_run(const ChunkPlan& plan, uint32_t chunks_per_grain) {
  return {plan.chunk_width, plan.chunks, chunks_per_grain, ceil_div(plan.chunks, chunks_per_grain)};
}

PanelShape down_shape(const ExpertShape& shape, const ChunkPlan& plan, uint32_t chunk) {
  uint32_t first = chunk * plan.chunk_width;
  uint32_t columns = std::min(plan.chunk_width, shape.width - first);
  // A chunk may begin inside a super-block: the phase says where, and the panel carries the head of
  // that super-block again.
  return {shape.down, shape.hidden, columns, panel_phase(shape.down, first)};
}

uint64_t next_part(uint64_t end) {
  return round_up(end, kPartAlignment);
}

Status check_matrix(const char* name, TensorType type, uint32_t columns) {
  const BlockFormat* format = find_block_format(static_cast<uint32_t>(type));
  if (format == nullptr) {
    return Error{ErrorCode::kUnsupported, fmt::format("expert {} matrix: unknown format {}", name,
                                                      static_cast<uint32_t>(type))};
  }
  if (columns % format->block_elements != 0) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("expert {} matrix: rows of {} values are not whole {} blocks of {}",
                             name, columns, format->name, format->block_elements)};
  }
  return {};
}

}  // namespace

void activate(const KernelTable& kernels, const Activation& activation, const float* gate,
              const float* up, uint32_t count, float* h) {
  switch (activation.kind) {
    case ExpertActivation::kSwiGlu:
      return kernels.swiglu(gate, up, count, h);
    case ExpertActivation::kSwiGluOai:
      return kernels.swiglu_oai(gate, up, count, h);
    case ExpertActivation::kGeGlu:
      return kernels.geglu(gate, up, count, h);
    case ExpertActivation::kReGlu:
      return kernels.reglu(gate, up, count, h);
    case ExpertActivation::kSwiGluClampBefore:
      return kernels.swiglu_clamp_before(gate, up, activation.limit, count, h);
    case ExpertActivation::kSwiGluClampAfter:
      return kernels.swiglu_clamp_after(gate, up, activation.limit, count, h);
    case ExpertActivation::kReluSquared:
      break;
  }
  kernels.relu_squared(up, count, h);
}

KernelPart kernel_part_of(ExpertActivation activation) {
  switch (activation) {
    case ExpertActivation::kSwiGlu:
      return KernelPart::kSwiGlu;
    case ExpertActivation::kSwiGluOai:
      return KernelPart::kSwiGluOai;
    case ExpertActivation::kGeGlu:
      return KernelPart::kGeGlu;
    case ExpertActivation::kReGlu:
      return KernelPart::kReGlu;
    case ExpertActivation::kSwiGluClampBefore:
      return KernelPart::kSwiGluClampBefore;
    case ExpertActivation::kSwiGluClampAfter:
      return KernelPart::kSwiGluClampAfter;
    case ExpertActivation::kReluSquared:
      break;
  }
  return KernelPart::kReluSquared;
}

ActivationForm ExpertShape::input_form() const {
  if (is_float(gate) || is_float(up)) return ActivationForm::kF32;
  ActivationForm form = block_format(gate).activations;
  return form == block_format(up).activations ? form : ActivationForm::kQ8Block32;
}

ActivationForm ExpertShape::product_form(TensorType matrix) const {
  if (is_float(matrix)) return ActivationForm::kF32;
  ActivationForm input = input_form();
  return input == ActivationForm::kF32 ? ActivationForm::kQ8Block32 : input;
}

ActivationForm ExpertShape::down_form() const {
  return is_float(down) ? ActivationForm::kF32 : ActivationForm::kQ8Block32;
}

// The hidden vector arrives quantized, except that it comes as floats where only one of gate and up
// is quantized; then it is quantized where it is used.
std::vector<KernelPart> ExpertShape::kernel_parts() const {
  std::set<KernelPart> parts = {products_of(gate), products_of(up), products_of(down),
                                KernelPart::kAccumulate};
  parts.insert(kernel_part_of(activation));
  bool quantizes_input = product_form(gate) != input_form() || product_form(up) != input_form();
  if (quantizes_input || down_form() != ActivationForm::kF32) {
    parts.insert(KernelPart::kQuantize32);
  }
  return {parts.begin(), parts.end()};
}

uint32_t ExpertShape::panels() const {
  return std::max({panel_version(gate), panel_version(up), panel_version(down)});
}

Status check_expert_shape(const ExpertShape& shape) {
  if (shape.hidden == 0 || shape.hidden > limits::kHidden) {
    return Error{ErrorCode::kLimit, fmt::format("expert hidden size {}: expected 1 to {}",
                                                shape.hidden, limits::kHidden)};
  }
  if (shape.width == 0 || shape.width > limits::kExpertWidth) {
    return Error{ErrorCode::kLimit, fmt::format("expert width {}: expected 1 to {}", shape.width,
                                                limits::kExpertWidth)};
  }
  if (shape.activation > ExpertActivation::kSwiGluClampAfter) {
    return Error{ErrorCode::kUnsupported, fmt::format("unknown expert activation {}",
                                                      static_cast<uint32_t>(shape.activation))};
  }
  const bool limited = shape.limit > 0 && std::isfinite(shape.limit);
  if (has_limit(shape.activation) ? !limited : shape.limit != 0) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("expert activation {} with a limit of {}",
                             static_cast<uint32_t>(shape.activation), shape.limit)};
  }
  // One shape has one way to say it. No known model has such experts with biases.
  if (!shape.gated() && (shape.gate != shape.up || shape.biases)) {
    return Error{ErrorCode::kUnsupported,
                 "experts without a gate have no format of their own for it and no biases"};
  }
  if (Status gate = check_matrix("gate", shape.gate, shape.hidden); !gate) return gate;
  if (Status up = check_matrix("up", shape.up, shape.hidden); !up) return up;
  if (Status down = check_matrix("down", shape.down, shape.width); !down) return down;
  uint64_t largest = largest_grain_bytes(shape, plan_chunks(shape));
  if (largest > limits::kGrainBytes) {
    return Error{ErrorCode::kLimit,
                 fmt::format("expert of {} x {}: a grain takes {} bytes, the limit is {}",
                             shape.hidden, shape.width, largest, limits::kGrainBytes)};
  }
  return {};
}

ChunkPlan plan_chunks(const ExpertShape& shape) {
  CHECK(shape.hidden > 0 && shape.width > 0);
  ChunkPlan plan;
  plan.chunk_width = chunk_width(shape.width);
  plan.chunks = ceil_div(shape.width, plan.chunk_width);
  // A run of n chunks leaves ceil(chunks / n) grains, which is at least 8 up to n = (chunks - 1) /
  // 7. Grains grow with n, so the longest run within the target is found by bisection.
  uint32_t fits = 1;
  uint32_t beyond = std::max(1u, (plan.chunks - 1) / (kFewestGrains - 1)) + 1;
  while (beyond - fits > 1) {
    uint32_t run = fits + (beyond - fits) / 2;
    bool within = largest_grain_bytes(shape, with_run(plan, run)) <= kGrainTarget;
    (within ? fits : beyond) = run;
  }
  return with_run(plan, fits);
}

GrainRange slice_grains(uint32_t grains, uint32_t slice, uint32_t slices) {
  CHECK(slice < slices);
  // In 64 bits: i * grains of large shapes leaves 32.
  auto bound = [&](uint64_t i) { return static_cast<uint32_t>(i * grains / slices); };
  return {bound(slice), bound(uint64_t{slice} + 1) - bound(slice)};
}

GrainLayout grain_layout(const ExpertShape& shape, const ChunkPlan& plan, uint32_t grain) {
  CHECK(grain < plan.grains);
  GrainLayout layout;
  layout.first_chunk = grain * plan.chunks_per_grain;
  layout.chunks = std::min(plan.chunks_per_grain, plan.chunks - layout.first_chunk);
  layout.first_column = layout.first_chunk * plan.chunk_width;
  layout.columns = std::min(layout.chunks * plan.chunk_width, shape.width - layout.first_column);
  layout.gate = {shape.gate, shape.gated() ? layout.columns : 0, shape.hidden, 0};
  layout.up = {shape.up, layout.columns, shape.hidden, 0};
  layout.up_offset = next_part(layout.gate.bytes());
  layout.down_offset = next_part(layout.up_offset + layout.up.bytes());
  uint64_t end = layout.down_offset;
  for (uint32_t i = 0; i < layout.chunks; ++i) {
    end = next_part(end + down_shape(shape, plan, layout.first_chunk + i).bytes());
  }
  if (shape.biases) {
    uint64_t column_bytes = uint64_t{layout.columns} * sizeof(float);
    layout.gate_bias_offset = end;
    layout.up_bias_offset = next_part(layout.gate_bias_offset + column_bytes);
    end = next_part(layout.up_bias_offset + column_bytes);
    if (grain == 0) {
      layout.down_bias_offset = end;
      end += uint64_t{shape.hidden} * sizeof(float);
    }
  }
  if (shape.scales) {
    layout.scales_offset = next_part(end);
    end = layout.scales_offset + 3 * sizeof(float);
  }
  layout.used_bytes = next_part(end);
  // Padded, so that every grain can be read with O_DIRECT straight to where it is used.
  layout.bytes = round_up(end, kGrainAlignment);
  return layout;
}

uint64_t largest_grain_bytes(const ExpertShape& shape, const ChunkPlan& plan) {
  uint64_t largest = 0;
  for (uint32_t grain = 0; grain < plan.grains; ++grain) {
    largest = std::max(largest, grain_layout(shape, plan, grain).bytes);
  }
  return largest;
}

uint64_t expert_bytes(const ExpertShape& shape, const ChunkPlan& plan) {
  uint64_t bytes = 0;
  for (uint32_t grain = 0; grain < plan.grains; ++grain) {
    bytes += grain_layout(shape, plan, grain).bytes;
  }
  return bytes;
}

DownChunk down_chunk(const ExpertShape& shape, const ChunkPlan& plan, const GrainLayout& layout,
                     uint32_t chunk) {
  CHECK(chunk >= layout.first_chunk && chunk - layout.first_chunk < layout.chunks);
  DownChunk down;
  down.offset = layout.down_offset;
  for (uint32_t i = layout.first_chunk; i < chunk; ++i) {
    down.offset = next_part(down.offset + down_shape(shape, plan, i).bytes());
  }
  down.shape = down_shape(shape, plan, chunk);
  down.first_column = chunk * plan.chunk_width;
  return down;
}

ShapeTables::ShapeTables(const ExpertShape& of) : shape(of), plan(plan_chunks(of)) {
  offsets.push_back(0);
  for (uint32_t grain = 0; grain < plan.grains; ++grain) {
    layouts.push_back(grain_layout(shape, plan, grain));
    const GrainLayout& layout = layouts.back();
    offsets.push_back(offsets.back() + layout.bytes);
    for (uint32_t i = 0; i < layout.chunks; ++i) {
      down_chunks.push_back(down_chunk(shape, plan, layout, layout.first_chunk + i));
    }
  }
}

}  // namespace potluck
