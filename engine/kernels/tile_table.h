// Which tiles an instruction set has for which format, and products that go by it: a format without
// tiles is computed by the scalar kernels. formats/ lists the tiles by family of formats, for any
// instruction set. This header and its .cpp hold no code for special processors. Internal to
// engine/kernels; constants and pure functions, any thread.
#pragma once

#include <array>
#include <span>

#include "engine/kernels/tiles.h"

namespace potluck::tiles {

// The tiles of one format for activations of one form.
struct FormatTiles {
  using FloatPanels = void (*)(const Product& product, uint32_t tokens, PanelRange range);

  TensorType type;
  ActivationForm form;
  // Quantized weights, one panel at a time and two side by side. An instruction set without the
  // second takes one at a time, and so do all for a single token.
  TileSet one_panel{};
  TileSet two_panels{};
  // Float weights, likewise: a whole range of panels.
  FloatPanels float_one_panel = nullptr;
  FloatPanels float_two_panels = nullptr;

  bool pairs() const { return two_panels.tile[0] != nullptr || float_two_panels != nullptr; }
};

// The families of one instruction set.
using TileFamilies = std::array<std::span<const FormatTiles>, 4>;

// Null if there are none.
const FormatTiles* find_tiles(const TileFamilies& families, TensorType type, ActivationForm form);

// KernelTable::matmul with these tiles, or with the scalar kernel where there are none.
void multiply(const TileFamilies& families, const PanelMatrix& w, const ActivationView& x,
              const uint32_t* rows, uint32_t tokens, uint32_t panel_begin, uint32_t panel_end,
              float* y, uint64_t y_stride);

}  // namespace potluck::tiles
