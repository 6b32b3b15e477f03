// Laying out: the rows of an expert, as they stand in a GGUF file, become the panels of its grains.
// No number changes. Rows come in any order and in runs, so that several threads may lay out one
// expert at a time. Pure functions; any thread.
#pragma once

#include <vector>

#include "engine/experts/expert_shape.h"

namespace potluck {

enum class ExpertMatrix : uint8_t { kGate, kUp, kDown };

// Where a run of rows may begin: no panel and no grain begins inside.
inline constexpr uint32_t kRowStep = 32;

// Neighboring rows of one matrix of an expert.
struct ExpertRows {
  ExpertMatrix matrix = ExpertMatrix::kGate;
  uint32_t first = 0;  // a multiple of kRowStep
  uint32_t count = 0;  // likewise, unless they are the last
  const std::byte* bytes = nullptr;
};

// What an expert has beside its matrices. Biases are empty where there are none.
struct ExpertNumbers {
  uint32_t first_column = 0;  // of gate's and up's biases
  std::vector<float> gate_bias;
  std::vector<float> up_bias;
  std::vector<float> down_bias;
  float scales[3] = {1, 1, 1};  // of gate, up, down
};

// Both fill their part of the grains `grains` of one expert, which `out` holds back to back with
// their padding. Rows of gate and up that are other grains' are left out; down needs them all.
void lay_out_rows(const ShapeTables& tables, GrainRange grains, const ExpertRows& rows,
                  MutableByteSpan out);
// Biases and scales, and zeros wherever nothing stands: the padding is hashed with the rest.
void lay_out_numbers(const ShapeTables& tables, GrainRange grains, const ExpertNumbers& numbers,
                     MutableByteSpan out);

}  // namespace potluck
