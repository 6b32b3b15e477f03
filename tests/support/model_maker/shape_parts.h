// The presets by what their layers are, one file for each kind, and what these share. Internal to
// the model maker. Pure functions; any thread.
#pragma once

#include <span>

#include "tests/support/model_maker/shape.h"

namespace potluck::test {

std::span<const Preset> attention_presets();
std::span<const Preset> window_presets();
std::span<const Preset> latent_presets();
std::span<const Preset> sparse_presets();
std::span<const Preset> recurrent_presets();
std::span<const Preset> large_presets();

// Applies a preset of another file (CHECK: there is one of this name).
void start_from(std::string_view preset, ModelShape& shape);

// Keys and values are equally long, and rope turns all of a head.
void set_heads(ModelConfig& c, uint32_t heads, uint32_t kv_heads, uint32_t size);
// Experts as DeepSeek V3 has them, beside ordinary attention.
void sparse_layers(ModelConfig& c);
// Window layers with a rope of their own.
void ropes_by_window(ModelConfig& c);

}  // namespace potluck::test
