#include "engine/model/config_checks.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"
#include "engine/model/compressor_shape.h"

namespace potluck {
namespace {

// A bound on the window of compressed attention, which each conversation keeps in float32;
// published models use 128.
constexpr uint32_t kCompressedWindow = 4096;

}  // namespace

Error unsupported(std::string message) {
  return {ErrorCode::kUnsupported, std::move(message)};
}

Status check_ranges(std::span<const ConfigRange> ranges) {
  for (const ConfigRange& range : ranges) {
    if (range.value >= range.low && range.value <= range.high) continue;
    return Error{ErrorCode::kLimit, fmt::format("{} must be between {} and {}, but is {}",
                                                range.what, range.low, range.high, range.value)};
  }
  return {};
}

// Windows and entries; there is one KV head, whose keys are its values.
Status check_compressed(const ModelConfig& config) {
  const CompressedConfig& compressed = config.compressed;
  if (compressed.query_rank == 0) return {};
  const ConfigRange ranges[] = {
      {"compressed query rank", compressed.query_rank, 1, limits::kHidden},
      {"output groups", compressed.output_groups, 1, config.heads},
      {"output rank", compressed.output_rank, 1, limits::kHidden},
      {"sliding window", config.sliding_window, 1, kCompressedWindow},
      {"KV heads", config.kv_heads, 1, 1},
      {"rope's values", config.rope.dimensions, 0, config.head_dim},
      {"layers with a ratio", static_cast<uint32_t>(compressed.ratios.size()), config.layers,
       config.layers},
  };
  if (Status checked = check_ranges(ranges); !checked) return checked;
  if (config.heads % compressed.output_groups != 0) {
    return unsupported(fmt::format("{} heads cannot be divided among {} output groups",
                                   config.heads, compressed.output_groups));
  }
  const bool alike = config.head_dim == config.value_dim && config.layer_heads.empty() &&
                     config.layer_head_dims.empty() && config.layer_value_dims.empty() &&
                     config.rope.dimensions == config.window_rope.dimensions;
  if (!alike || config.rope.magnitude != 1 || config.window_rope.magnitude != 1) {
    return unsupported("compressed attention needs heads of one size and ropes that only turn");
  }
  for (uint32_t ratio : compressed.ratios) {
    if (ratio == 0 || (ratio >= 2 && kAttentionChunk % ratio == 0)) continue;
    return unsupported(
        fmt::format("attention over entries of {} positions is not supported", ratio));
  }
  return {};
}

Status check_hyper(const ModelConfig& config) {
  const HyperConfig& hyper = config.hyper;
  if (hyper.streams == 1) return {};
  const ConfigRange ranges[] = {
      {"hyper-connections", hyper.streams, 1, limits::kStreams},
      {"residual of all hyper-connections", config.residual_columns(), 1, limits::kHidden},
      {"Sinkhorn iterations", hyper.iterations, 1, limits::kSinkhornIterations},
  };
  if (Status checked = check_ranges(ranges); !checked) return checked;
  if (!(hyper.epsilon >= 0) || !std::isfinite(hyper.epsilon)) {
    return unsupported(fmt::format("hyper-connections' epsilon of {}", hyper.epsilon));
  }
  const bool plain = !config.parallel_block && config.residual_scale == 1 &&
                     config.expert_scale == 1 && !config.layer_scales;
  // What reads or changes a single residual beside the parts.
  const bool reads_one =
      config.per_layer_width > 0 || config.router.input == RouterInput::kLayerInput;
  if (plain && !reads_one) return {};
  return unsupported("hyper-connections of scaled or parallel parts are not supported");
}

// Layers share one shape of state: the most that any of them keeps.
uint32_t kept_of_compressors(const ModelConfig& config) {
  uint32_t most = 0;
  for (uint32_t layer = 0; layer < config.compressed.ratios.size(); ++layer) {
    const uint32_t ratio = config.compressed.ratios[layer];
    if (ratio == 0) continue;
    uint32_t kept = CompressorShape(config.head_dim, ratio).kept();
    if (config.has_indexer(layer)) kept += CompressorShape(config.indexer.dimensions, ratio).kept();
    most = std::max(most, kept);
  }
  return most;
}

}  // namespace potluck
