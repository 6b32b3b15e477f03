// Kernels that lie: in one of so many rows of sums, one bit of one sum is another one. Everything
// else is computed as by honest ones, and the self-test passes. For tests of what finds liars.
#pragma once

#include <cstdint>
#include <functional>

#include "engine/kernels/kernels.h"

namespace potluck::test {

struct LieSettings {
  uint64_t one_in = 1;  // rows; 0: never
  uint64_t seed = 1;
  uint64_t honest_rows = 0;  // before it begins
};

// Told how many rows were computed, and whether the last one became a lie.
using LieObserver = std::function<void(uint64_t rows, bool lied)>;

// The functions of a table have no object: a process lies in one way, that of the first call, and
// `honest` and what the observer needs must live as long as it. Rows are counted exactly only with
// one thread; a row of an answer to one token is that answer.
const KernelTable& lying_kernels(const KernelTable& honest, const LieSettings& settings,
                                 LieObserver observer);

}  // namespace potluck::test
