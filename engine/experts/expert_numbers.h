// What an expert has beside its matrices, read from the GGUF file. Any thread.
#pragma once

#include "engine/experts/expert_bank.h"
#include "engine/experts/lay_out.h"

namespace potluck {

// Columns [first, first + count) of the intermediate dimension: which of gate's and up's biases.
struct ColumnRange {
  uint32_t first = 0;
  uint32_t count = 0;
};

Result<ExpertNumbers> read_numbers(const GgufModel& model, const ExpertBank& bank, uint32_t expert,
                                   ColumnRange columns);

}  // namespace potluck
