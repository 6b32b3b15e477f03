#include "engine/model/recurrent_rows.h"

#include <algorithm>
#include <array>

namespace potluck {
namespace {

// Tokens that pass a part of a head's state while it is in the first-level cache.
constexpr uint32_t kTokensTogether = 16;

}  // namespace

void RecurrentRows::reset(uint32_t rows) {
  grow(inputs_, uint64_t{rows} * shape_.channels);
  grow(convolved_, uint64_t{rows} * shape_.channels);
  grow(decays_, uint64_t{rows} * shape_.heads * shape_.decays_per_head());
  grow(betas_, uint64_t{rows} * shape_.heads);
  grow(outputs_, uint64_t{rows} * shape_.value_columns());
}

void RecurrentRows::begin(uint32_t layer, const StepRows& rows) {
  runs_.clear();
  run_of_row_.resize(rows.count());
  // Rows of one session are neighbors and in order of position: each run advances one state.
  for (uint32_t row = 0; row < rows.count(); ++row) {
    if (row == 0 || rows.caches[row] != rows.caches[row - 1]) runs_.push_back({row, row, {}});
    runs_.back().end = row + 1;
    run_of_row_[row] = static_cast<uint32_t>(runs_.size() - 1);
  }
  for (Run& run : runs_) {
    KvCache& cache = *rows.caches[run.first];
    cache.settle(compute_.threads);
    run.state = cache.advance(layer, rows.rows[run.end - 1].position + 1);
  }
}

// The convolution's input `back` tokens before `row` (which may be the end of the run).
const float* RecurrentRows::past_input(const Run& run, uint32_t row, uint32_t back) const {
  if (row - run.first >= back) return inputs_.data() + uint64_t{row - back} * shape_.channels;
  uint32_t before = back - (row - run.first);  // the start of the run: 1 is the newest
  return run.state.before + uint64_t{shape_.convolution - 1 - before} * shape_.channels;
}

float* RecurrentRows::convolve(std::span<const float> factors, uint32_t row) {
  const Run& run = runs_[run_of_row_[row]];
  float* y = convolved(row);
  std::fill_n(y, shape_.channels, 0.0F);
  // Oldest token first, as the contract adds them; channels are independent, so they may be
  // vectors.
  for (uint32_t tap = 0; tap < shape_.convolution; ++tap) {
    const float* x = past_input(run, row, shape_.convolution - 1 - tap);
    const float* factor = factors.data() + uint64_t{tap} * shape_.channels;
    for (uint32_t c = 0; c < shape_.channels; ++c) y[c] += x[c] * factor[c];
  }
  return y;
}

void RecurrentRows::keep_history(const Run& run) {
  for (uint32_t back = 1; back < shape_.convolution; ++back) {
    const float* from = past_input(run, run.end, back);
    float* to = run.state.after + uint64_t{shape_.convolution - 1 - back} * shape_.channels;
    std::copy_n(from, shape_.channels, to);
  }
}

void RecurrentRows::log_row(uint32_t row) {
  const Run& run = runs_[run_of_row_[row]];
  RecurrentInputs log = run.state.log.row(row - run.first);
  if (!log) return;
  std::copy_n(input(row), shape_.channels, log.mixed);
  std::copy_n(convolved(row) + shape_.key_offset(), shape_.key_columns(), log.keys);
  std::copy_n(convolved(row) + shape_.value_offset(), shape_.value_columns(), log.values);
  std::copy_n(decays(row), shape_.heads * shape_.decays_per_head(), log.decays);
  std::copy_n(betas(row), shape_.heads, log.betas);
}

void RecurrentRows::advance_head(const Run& run, uint32_t head) {
  const uint64_t matrix =
      shape_.history_values() + uint64_t{head} * shape_.key_dim * shape_.value_dim;
  const float* before = run.state.before + matrix;
  float* after = run.state.after + matrix;
  const uint64_t key_column = uint64_t{shape_.key_head_of(head)} * shape_.key_dim;
  const uint64_t value_column = uint64_t{head} * shape_.value_dim;
  std::array<RecurrentToken, kTokensTogether> tokens;
  for (uint32_t first = run.first; first < run.end; first += kTokensTogether) {
    const uint32_t count = std::min(kTokensTogether, run.end - first);
    for (uint32_t i = 0; i < count; ++i) {
      const uint32_t row = first + i;
      const float* channels = convolved(row);
      tokens[i] = {decays(row) + uint64_t{head} * shape_.decays_per_head(),
                   betas(row)[head],
                   channels + shape_.query_offset() + key_column,
                   channels + shape_.key_offset() + key_column,
                   channels + shape_.value_offset() + value_column,
                   output(row) + value_column};
    }
    states_.recur({shape_.key_dim, shape_.value_dim, shape_.corrects, shape_.decays_by_key,
                   std::span(tokens).first(count)},
                  before, after);
    // The first token reads the version before the step, which stays for a rewind; from then on
    // all works in place.
    before = after;
  }
}

void RecurrentRows::advance() {
  for_rows(compute_.threads, static_cast<uint32_t>(run_of_row_.size()),
           [&](uint32_t row) { log_row(row); });
  for (const Run& run : runs_) keep_history(run);
  auto tasks = static_cast<uint32_t>(runs_.size()) * shape_.heads;
  for_rows(compute_.threads, tasks,
           [&](uint32_t task) { advance_head(runs_[task / shape_.heads], task % shape_.heads); });
}

}  // namespace potluck
