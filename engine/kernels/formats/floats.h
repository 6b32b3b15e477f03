// The tiles of float weights: F32, F16, BF16. Written once, for the vectors V of any instruction
// set. Internal to engine/kernels; pure functions, any thread.
#pragma once

#include <array>
#include <type_traits>

#include "engine/kernels/panel_vectors.h"
#include "engine/kernels/tile_table.h"

namespace potluck::tiles {

template <PanelVectors V>
struct FloatColumns {
  static constexpr uint32_t kPanels = V::kPanels;
  using Float = typename V::Float;
  static void add(Float weights, float x, Float& acc) { acc += weights * x; }
  static void store(Float acc, uint32_t rows, float* y) { V::store_rows(acc, rows, y); }
};

template <PanelVectors V>
struct F32Columns : FloatColumns<V> {
  static constexpr uint32_t kBytes = 32;
  static typename V::Float load(const std::byte* from, uint64_t stride) {
    return V::as_float(V::load_vector(from, stride));
  }
};

template <PanelVectors V>
struct F16Columns : FloatColumns<V> {
  static constexpr uint32_t kBytes = 16;
  static typename V::Float load(const std::byte* from, uint64_t stride) {
    return V::load_halves(from, stride);
  }
};

template <PanelVectors V>
struct Bf16Columns : FloatColumns<V> {
  static constexpr uint32_t kBytes = 16;
  static typename V::Float load(const std::byte* from, uint64_t stride) {
    return V::load_bfloats(from, stride);
  }
};

template <template <class> class Columns, PanelVectors One, TwoPanelVectors Two>
constexpr FormatTiles float_row(TensorType type) {
  FormatTiles row{
      .type = type, .form = ActivationForm::kF32, .float_one_panel = run_float<Columns<One>>};
  if constexpr (!std::is_void_v<Two>) row.float_two_panels = run_float<Columns<Two>>;
  return row;
}

// For an instruction set with vectors of one panel, and perhaps of two.
template <PanelVectors One, TwoPanelVectors Two = void>
constexpr std::array kFloatTiles = {
    float_row<F32Columns, One, Two>(TensorType::kF32),
    float_row<F16Columns, One, Two>(TensorType::kF16),
    float_row<Bf16Columns, One, Two>(TensorType::kBF16),
};

}  // namespace potluck::tiles
