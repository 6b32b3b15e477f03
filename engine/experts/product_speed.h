// How fast this device multiplies with the weights of a block format: a short measurement with the
// code that computes experts, on memory filled for the purpose. One thread.
#pragma once

#include "engine/base/clock.h"
#include "engine/base/thread_pool.h"
#include "engine/kernels/kernels.h"

namespace potluck {

// Bytes of weights per second, as they are stored; 0: not known. With many rows, every row counts
// the bytes again: it is what rows share.
struct ProductSpeed {
  TensorType format = TensorType::kF32;
  uint64_t one_row = 0;
  uint64_t many_rows = 0;

  bool operator==(const ProductSpeed&) const = default;
};

// Rows of the measurement with many: enough that every tile is full.
inline constexpr uint32_t kManyRows = 32;
// Memory that it takes at most, beside the scratch of ExpertCompute. Larger than the last cache of
// ordinary processors, so that weights come from where those of a model come from: with 8 MiB, all
// of which a cache of 32 MiB holds, one row went 1.8 times as fast as in a model.
inline constexpr uint64_t kProductSpeedBytes = 64 * kMiB;

// Takes some 50 milliseconds. 0 where the clock has not moved.
ProductSpeed measure_product_speed(TensorType format, const KernelTable& kernels,
                                   ThreadPool& threads, const Clock& clock);

}  // namespace potluck
