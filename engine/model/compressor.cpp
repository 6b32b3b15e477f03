#include "engine/model/compressor.h"

#include <algorithm>

#include "engine/kernels/exact_math.h"

namespace potluck {
namespace {

// Channels of a task: enough to be worth starting.
constexpr uint32_t kChannelsPerTask = 64;

// The running softmaxes of the open window, and of the first halves of the one before.
RunningSoftmaxes softmaxes(float* first, uint32_t channels) {
  return {first, first + channels, first + 2 * uint64_t{channels}};
}
RunningSoftmaxes open_window(const CompressorShape& shape, float* state) {
  return softmaxes(state, shape.width());
}
RunningSoftmaxes window_before(const CompressorShape& shape, float* state) {
  return softmaxes(state + 3 * uint64_t{shape.width()}, shape.dimensions);
}
RunningSoftmaxes from(const RunningSoftmaxes& all, uint32_t channel) {
  return {all.largest + channel, all.sum + channel, all.total + channel};
}

// One channel of an entry that mixes two windows.
float joined(const RunningSoftmaxes& before, const RunningSoftmaxes& open, uint32_t channel,
             uint32_t open_channel) {
  if (before.sum[channel] == 0) return open.total[open_channel] / open.sum[open_channel];
  const float largest = std::max(before.largest[channel], open.largest[open_channel]);
  const float a = exact_exp(before.largest[channel] - largest);
  const float b = exact_exp(open.largest[open_channel] - largest);
  return (before.total[channel] * a + open.total[open_channel] * b) /
         (before.sum[channel] * a + open.sum[open_channel] * b);
}

// Calls body(first, count) for each stretch of the state that belongs to channels [first, end) of
// the entries.
template <class Body>
void for_state(const CompressorShape& shape, uint32_t first, uint32_t end, const Body& body) {
  const uint32_t stretches = shape.kept() / shape.dimensions;
  for (uint32_t i = 0; i < stretches; ++i) body(i * shape.dimensions + first, end - first);
}

}  // namespace

void Compressor::input_forms(const CompressorWeights& weights, std::vector<ActivationForm>* forms) {
  forms->push_back(weights.values.form());
  forms->push_back(weights.gates.form());
}

void Compressor::project_rows(const CompressorWeights& weights, const ActivationRows& input,
                              uint32_t rows, std::vector<Product>* products) {
  products->push_back(project(weights.values, input, rows, values_));
  products->push_back(project(weights.gates, input, rows, gates_));
}

void Compressor::advance(const CompressorShape& shape, const CompressorWeights& weights,
                         const StepRows& rows, const RecurrentRows& recurrent, uint32_t offset) {
  grow(entries_, uint64_t{rows.count()} * shape.dimensions);
  const uint32_t parts = (shape.dimensions + kChannelsPerTask - 1) / kChannelsPerTask;
  const auto runs = static_cast<uint32_t>(recurrent.runs().size());
  for_rows(compute_.threads, runs * parts, [&](uint32_t i) {
    const uint32_t first = i % parts * kChannelsPerTask;
    const Task task{recurrent.runs()[i / parts], first,
                    std::min(first + kChannelsPerTask, shape.dimensions)};
    advance_channels(shape, weights.offsets, rows, task, recurrent.shape(), offset);
  });
}

void Compressor::advance_channels(const CompressorShape& shape, std::span<const float> offsets,
                                  const StepRows& rows, const Task& task,
                                  const RecurrentShape& kept, uint32_t offset) {
  const RecurrentState::Versions& versions = task.run.state;
  const float* before = versions.before + kept.kept_offset() + offset;
  float* state = versions.after + kept.kept_offset() + offset;
  for_state(shape, task.first, task.end, [&](uint32_t first, uint32_t count) {
    std::copy_n(before + first, count, state + first);
  });
  for (uint32_t row = task.run.first; row < task.run.end; ++row) {
    const uint32_t place = rows.rows[row].position % shape.ratio;
    if (place == 0) {
      float* sums = open_window(shape, state).sum;
      std::fill(sums + task.first, sums + task.end, 0.0F);
      if (shape.overlaps) {
        std::fill(sums + shape.dimensions + task.first, sums + shape.dimensions + task.end, 0.0F);
      }
    }
    add_row(shape, offsets.data() + uint64_t{place} * shape.width(), row, task, state);
    if (place + 1 == shape.ratio) complete(shape, row, task, state);
    RecurrentInputs log = versions.log.row(row - task.run.first);
    if (!log) continue;
    for_state(shape, task.first, task.end, [&](uint32_t first, uint32_t count) {
      std::copy_n(state + first, count, log.kept + offset + first);
    });
  }
}

void Compressor::add_row(const CompressorShape& shape, const float* offsets, uint32_t row,
                         const Task& task, float* state) const {
  const RunningSoftmaxes open = open_window(shape, state);
  const float* values = values_.data() + uint64_t{row} * shape.width();
  const float* gates = gates_.data() + uint64_t{row} * shape.width();
  for (uint32_t half = 0; half < shape.width(); half += shape.dimensions) {
    const uint32_t first = half + task.first;
    states_.add_to_softmaxes(gates + first, offsets + first, values + first, task.end - task.first,
                             from(open, first));
  }
}

// The row was the last of its window.
void Compressor::complete(const CompressorShape& shape, uint32_t row, const Task& task,
                          float* state) {
  const RunningSoftmaxes open = open_window(shape, state);
  float* entry = entries_.data() + uint64_t{row} * shape.dimensions;
  if (!shape.overlaps) {
    for (uint32_t c = task.first; c < task.end; ++c) entry[c] = open.total[c] / open.sum[c];
    return;
  }
  const RunningSoftmaxes before = window_before(shape, state);
  for (uint32_t c = task.first; c < task.end; ++c) {
    entry[c] = joined(before, open, c, shape.dimensions + c);
    before.largest[c] = open.largest[c];
    before.sum[c] = open.sum[c];
    before.total[c] = open.total[c];
  }
}

float* Compressor::entry(const CompressorShape& shape, const CompressorWeights& weights,
                         uint32_t row) {
  float* values = entries_.data() + uint64_t{row} * shape.dimensions;
  compute_.kernels.rms_norm(values, weights.norm.data(), shape.dimensions, epsilon_, values);
  return values;
}

}  // namespace potluck
