// Which architectures there are, and what follows from a configuration. check_config.cpp has what
// is asked of one.
#include "engine/model/config.h"

#include <array>

#include <fmt/format.h>

#include "engine/base/printable.h"
#include "engine/kernels/exact_math.h"
#include "engine/model/architectures/families.h"
#include "engine/model/config_checks.h"

namespace potluck {
namespace {

#define POTLUCK_FAMILY_ROW(name, read) Architecture{name, read},
constexpr std::array kArchitectures = {POTLUCK_FAMILIES(POTLUCK_FAMILY_ROW)};
#undef POTLUCK_FAMILY_ROW

std::string known_architectures() {
  std::string names;
  for (const Architecture& architecture : architectures()) {
    if (!names.empty()) names += ", ";
    names += architecture.name;
  }
  return names;
}

}  // namespace

float QueryTemperature::at(uint32_t position) const {
  const uint32_t intervals = (position + 1) / interval;
  return static_cast<float>(1.0 + scale * exact_log64(1.0 + intervals));
}

RecurrentShape ModelConfig::recurrent_shape() const {
  RecurrentShape shape;
  if (delta.key_heads > 0) {
    shape.convolution = delta.convolution;
    shape.channels = delta.channels();
    shape.heads = delta.value_heads;
    shape.key_heads = delta.key_heads;
    shape.key_dim = delta.key_dim;
    shape.value_dim = delta.value_dim;
    shape.tiled_heads = delta.tiled_heads;
    shape.corrects = true;
  } else if (mamba.heads > 0) {
    shape.convolution = mamba.convolution;
    shape.channels = mamba.channels();
    shape.heads = mamba.heads;
    shape.key_heads = mamba.groups;
    shape.key_dim = mamba.state;
    shape.value_dim = mamba.head_dim;
    shape.values_first = true;
  } else if (kimi.heads > 0) {
    shape.convolution = kimi.convolution;
    shape.channels = 3 * kimi.columns();
    shape.heads = kimi.heads;
    shape.key_heads = kimi.heads;
    shape.key_dim = kimi.head_dim;
    shape.value_dim = kimi.head_dim;
    shape.corrects = true;
    shape.decays_by_key = true;
  } else if (compressed.query_rank > 0) {
    // The window's rows before a token are what a convolution over the window would keep.
    shape.convolution = sliding_window;
    shape.channels = head_dim;
    shape.kept = kept_of_compressors(*this);
  } else if (short_convolution > 0) {
    shape.convolution = short_convolution;
    shape.channels = hidden;
  }
  return shape;
}

std::span<const Architecture> architectures() {
  return kArchitectures;
}

Result<ModelConfig> read_config(const GgufModel& model) {
  Result<std::string> name = model.metadata().text("general.architecture");
  if (!name) return name.error().in(model.path());
  for (const Architecture& architecture : architectures()) {
    if (architecture.name != *name) continue;
    Result<ModelConfig> config = architecture.read_config(model);
    if (!config) return config.error().in(model.path());
    return config;
  }
  return Error{ErrorCode::kUnsupported, fmt::format("architecture '{}' is not known; known are {}",
                                                    printable(*name), known_architectures())}
      .in(model.path());
}

}  // namespace potluck
