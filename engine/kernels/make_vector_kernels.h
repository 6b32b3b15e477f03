// Makes the kernels of an instruction set from its vectors of one panel and, if it has them, of two
// (panel_vectors.h). Only files that are compiled for an instruction set include this. Internal to
// engine/kernels; constants and pure functions, any thread.
#pragma once

#include <type_traits>

#include "engine/kernels/attention_tiles.h"
#include "engine/kernels/formats/block32.h"
#include "engine/kernels/formats/coded.h"
#include "engine/kernels/formats/floats.h"
#include "engine/kernels/formats/k_quants.h"
#include "engine/kernels/row_functions.h"
#include "engine/kernels/state_functions.h"
#include "engine/kernels/vector_kernels.h"

namespace potluck {

template <tiles::OnePanelVectors One, tiles::TwoPanelVectors Two>
constexpr tiles::TileFamilies kTileFamilies = {
    tiles::kBlock32Tiles<One, Two>, tiles::kKTiles<One, Two>, tiles::kCodedTiles<One, Two>,
    tiles::kFloatTiles<One, Two>};

template <tiles::OnePanelVectors One, tiles::TwoPanelVectors Two>
static void vector_matmul(const PanelMatrix& w, const ActivationView& x, const uint32_t* rows,
                          uint32_t tokens, uint32_t panel_begin, uint32_t panel_end, float* y,
                          uint64_t y_stride) {
  tiles::multiply(kTileFamilies<One, Two>, w, x, rows, tokens, panel_begin, panel_end, y, y_stride);
}

// Rows are 8 lanes wide by the arithmetic contract: vectors of two panels gain nothing there. What
// sums nothing across lanes takes the widest.
template <tiles::OnePanelVectors One, tiles::TwoPanelVectors Two = void>
constexpr VectorKernels make_vector_kernels(std::string_view name) {
  using Widest = std::conditional_t<std::is_void_v<Two>, One, Two>;
  return {.table = {.name = name,
                    .matmul = vector_matmul<One, Two>,
                    .quantize = row_functions::quantize<One>,
                    .rms_norm = row_functions::rms_norm<One>,
                    .swiglu = row_functions::swiglu<One>,
                    .swiglu_oai = row_functions::swiglu_oai<One>,
                    .swiglu_clamp_before = row_functions::swiglu_clamp_before<One>,
                    .swiglu_clamp_after = row_functions::swiglu_clamp_after<One>,
                    .geglu = row_functions::geglu<One>,
                    .reglu = row_functions::reglu<One>,
                    .relu_squared = row_functions::relu_squared<One>,
                    .exp_sum = row_functions::exp_sum<One>,
                    .accumulate = row_functions::accumulate<One>,
                    .attention_chunk = attention_tiles::attention_chunk<Widest>},
          .states = {.silu = state_functions::silu<One>,
                     .sigmoid_gate = state_functions::sigmoid_gate<One>,
                     .add_scaled = state_functions::add_scaled<Widest>,
                     .recur = state_functions::recur<Widest>,
                     .mix_streams = state_functions::mix_streams<Widest>,
                     .add_to_softmaxes = state_functions::add_to_softmaxes<One>},
          .tiles = kTileFamilies<One, Two>};
}

}  // namespace potluck
