// Helpers of the layer loop: work on the rows of a step, spread over a pool's threads, and rows of
// activations in every form that the products after them read. One thread calls them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/scratch.h"
#include "engine/base/thread_pool.h"
#include "engine/kernels/kernels.h"
#include "engine/model/weights.h"

namespace potluck {

// Tasks per thread: enough that a late thread does not hold up the others, few enough that a task
// is worth starting.
inline constexpr uint32_t kTasksPerThread = 4;

// What a step computes with.
struct ComputeContext {
  const KernelTable& kernels;
  ThreadPool& threads;
};

// sum += addend; an empty addend adds nothing.
inline void add_to(float* sum, std::span<const float> addend) {
  for (size_t i = 0; i < addend.size(); ++i) sum[i] += addend[i];
}

// Calls body(row) for every row in [0, rows), neighbors in one task.
template <class Body>
void for_rows(ThreadPool& pool, uint32_t rows, const Body& body) {
  auto threads = static_cast<uint32_t>(pool.threads());
  uint64_t tasks = threads == 1 ? 1 : std::min(rows, threads * kTasksPerThread);
  pool.run(tasks, [&](size_t task, int) {
    auto end = static_cast<uint32_t>(rows * (task + 1) / tasks);
    for (auto row = static_cast<uint32_t>(rows * task / tasks); row < end; ++row) body(row);
  });
}

// [rows, columns] of float32, and beside them the quantized forms that were asked for, so that what
// several matrices read is quantized once. Different rows may be filled by different threads.
class ActivationRows {
 public:
  // Contents are unspecified. Grows, never shrinks.
  void reset(std::span<const ActivationForm> forms, uint32_t rows, uint32_t columns);

  float* row(uint32_t r) { return values_.data() + uint64_t{r} * columns_; }
  // Call when row r is filled, before anything reads its views.
  void quantize_row(const KernelTable& kernels, uint32_t r);

  // kF32 is always there; other forms must have been asked for (CHECK).
  ActivationView view(ActivationForm form) const;

 private:
  static void quantize_into(const KernelTable& kernels, const float* values, uint32_t r,
                            ActivationBuffer& buffer);

  uint32_t rows_ = 0;
  uint32_t columns_ = 0;
  std::vector<float> values_;
  bool has_block32_ = false;
  bool has_block256_ = false;
  ActivationBuffer block32_;
  ActivationBuffer block256_;
};

// One matrix, scaled, times all rows of a view, or those that `x_rows` lists: y[row * y_stride +
// r].
struct Product {
  PanelMatrix matrix;
  ActivationView x;
  float* y = nullptr;
  uint64_t y_stride = 0;
  std::span<const uint32_t> x_rows = {};  // empty: all
};

// The whole matrix times the first `rows` of x; makes room for the result, [rows, matrix rows].
Product project(const WeightMatrix& matrix, const ActivationRows& x, uint32_t rows,
                std::vector<float>& y);

// Runs the products as one job of the pool; threads split matrix rows.
void run_products(ThreadPool& pool, const KernelTable& kernels, std::span<const Product> products);

}  // namespace potluck
