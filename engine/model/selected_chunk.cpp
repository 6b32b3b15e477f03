#include "engine/model/selected_chunk.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/base/scratch.h"
#include "engine/model/attention_join.h"

namespace potluck {
namespace {

// Runs of so many positions on average are computed where they stand.
constexpr uint32_t kLongRun = 16;

}  // namespace

void SelectedChunk::run(const KernelTable& kernels, const AttentionChunk& chunk,
                        std::span<const Run> runs, const Heads& heads) {
  runs_ = runs;
  positions_ = 0;
  for (const Run& part : runs) positions_ += part.end - part.begin;
  const bool is_long = positions_ >= kLongRun * runs.size();
  if (is_long) return run_in_place(kernels, chunk, heads);
  run_packed(kernels, chunk, heads);
}

void SelectedChunk::run_in_place(const KernelTable& kernels, AttentionChunk chunk,
                                 const Heads& heads) {
  const uint64_t count = runs_.size();
  const uint32_t dimensions = chunk.value_dim;
  grow(parts_, heads.count * count);
  grow(outputs_, heads.count * count * dimensions);
  grow(attention_scratch_, kAttentionScratch);
  queries_.clear();
  for (uint64_t i = 0; i < count; ++i) {
    for (uint32_t head = 0; head < heads.count; ++head) {
      const uint64_t at = head * count + i;
      queries_.push_back({heads.queries + uint64_t{head} * chunk.head_dim, runs_[i].begin,
                          runs_[i].end, outputs_.data() + at * dimensions, parts_.data() + at});
    }
  }
  if (count > 0) {
    chunk_values_.complete(&chunk, queries_);
    kernels.attention_chunk(chunk, queries_, attention_scratch_.data());
  }
  for (uint32_t head = 0; head < heads.count; ++head) {
    const std::span<const AttentionPartial> of_head(parts_.data() + head * count, count);
    AttentionPartial& partial = heads.partials[head * heads.stride];
    // A chunk of which nothing is seen adds exp(-inf) = 0 of nothing.
    partial.max_score = -std::numeric_limits<float>::infinity();
    for (const AttentionPartial& part : of_head) {
      partial.max_score = std::max(partial.max_score, part.max_score);
    }
    partial.sum =
        join_parts(state_kernels(kernels), of_head, outputs_.data() + head * count * dimensions,
                   partial.max_score, dimensions, heads.outputs + head * heads.stride * dimensions);
  }
}

void SelectedChunk::run_packed(const KernelTable& kernels, const AttentionChunk& chunk,
                               const Heads& heads) {
  pack_keys(chunk);
  pack_values(chunk);
  grow(scores_, uint64_t{heads.count} * positions_);
  grow(factors_, uint64_t{heads.count} * runs_.size());
  ActivationView queries;
  queries.tokens = heads.count;
  queries.columns = chunk.head_dim;
  queries.values = heads.queries;
  const PanelShape keys{TensorType::kF32, positions_, chunk.head_dim, 0};
  kernels.matmul({keys, reinterpret_cast<const std::byte*>(keys_.data())}, queries, nullptr,
                 heads.count, 0, keys.panels(), scores_.data(), positions_);
  // Where each run is one position, its value counts by the run's factor alone.
  bool are_alone = positions_ == runs_.size();
  for (uint32_t head = 0; head < heads.count; ++head) {
    are_alone = weigh(kernels, chunk, heads, head) && are_alone;
  }
  if (!are_alone) {
    for (uint32_t head = 0; head < heads.count; ++head) add_values(chunk, heads, head);
    return;
  }
  ActivationView weights;
  weights.tokens = heads.count;
  weights.columns = positions_;
  weights.values = factors_.data();
  const PanelShape values{TensorType::kF32, chunk.value_dim, positions_, 0};
  kernels.matmul({values, reinterpret_cast<const std::byte*>(values_.data())}, weights, nullptr,
                 heads.count, 0, values.panels(), heads.outputs, heads.stride * chunk.value_dim);
}

// Eight positions side by side.
void SelectedChunk::pack_keys(const AttentionChunk& chunk) {
  const uint32_t size = chunk.head_dim;
  grow(keys_, round_up<uint64_t>(positions_, kPanelRows) * size);
  uint64_t place = 0;
  for (const Run& part : runs_) {
    for (uint32_t p = part.begin; p < part.end; ++p, ++place) {
      float* to = keys_.data() + place / kPanelRows * kPanelRows * size + place % kPanelRows;
      load_key(chunk.type, size, chunk.keys, p, to, kPanelRows);
    }
  }
}

// Eight dimensions side by side. After pack_keys().
void SelectedChunk::pack_values(const AttentionChunk& chunk) {
  const uint32_t size = chunk.value_dim;
  grow(values_, uint64_t{positions_} * size);
  grow(sum_, size);
  uint64_t place = 0;
  for (const Run& part : runs_) {
    for (uint32_t p = part.begin; p < part.end; ++p, ++place) {
      if (chunk.values != nullptr) {
        load_value(chunk.type, size, chunk.values, p, sum_.data());
      } else {  // the first numbers of the key, which is packed already
        const float* key = keys_.data() + place / kPanelRows * kPanelRows * chunk.head_dim;
        for (uint32_t d = 0; d < size; ++d) sum_[d] = key[d * kPanelRows + place % kPanelRows];
      }
      for (uint32_t d = 0; d < size; d += kPanelRows) {
        std::copy_n(sum_.data() + d, kPanelRows,
                    values_.data() + (uint64_t{d} * positions_ + place * kPanelRows));
      }
    }
  }
}

// From a head's products to weights; false if a run's weights are not all 1.
bool SelectedChunk::weigh(const KernelTable& kernels, const AttentionChunk& chunk,
                          const Heads& heads, uint32_t head) {
  float* scores = scores_.data() + uint64_t{head} * positions_;
  float* factors = factors_.data() + uint64_t{head} * runs_.size();
  grow(parts_, runs_.size());
  bool are_ones = true;
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < runs_.size(); ++i) {
    const uint32_t count = runs_[i].end - runs_[i].begin;
    float most = -std::numeric_limits<float>::infinity();
    for (uint32_t p = 0; p < count; ++p) {
      scores[p] *= chunk.scale;
      if (scores[p] > most) most = scores[p];
    }
    most += 0.0F;  // zero is +0
    if (count == 1 && std::isfinite(scores[0])) {
      scores[0] = 1;
      parts_[i] = {most, 1};
    } else {
      parts_[i] = {most, kernels.exp_sum(scores, count, most)};
      are_ones = false;
    }
    factors[i] = most;
    largest = std::max(largest, most);
    scores += count;
  }
  kernels.exp_sum(factors, static_cast<uint32_t>(runs_.size()), largest);
  float sum = 0;
  for (size_t i = 0; i < runs_.size(); ++i) sum += factors[i] * parts_[i].sum;
  heads.partials[head * heads.stride] = {largest, sum};
  return are_ones;
}

// out = sum over runs of factor * (sum over positions of weight * value), in sequence.
void SelectedChunk::add_values(const AttentionChunk& chunk, const Heads& heads, uint32_t head) {
  const float* weights = scores_.data() + uint64_t{head} * positions_;
  const float* factors = factors_.data() + uint64_t{head} * runs_.size();
  float* out = heads.outputs + head * heads.stride * chunk.value_dim;
  for (uint32_t first = 0; first < chunk.value_dim; first += kPanelRows) {
    const float* values = values_.data() + uint64_t{first} * positions_;
    const float* weight = weights;
    float sum[kPanelRows] = {};
    for (size_t i = 0; i < runs_.size(); ++i) {
      float of_run[kPanelRows] = {};
      for (uint32_t p = runs_[i].begin; p < runs_[i].end; ++p, values += kPanelRows, ++weight) {
        for (uint32_t d = 0; d < kPanelRows; ++d) of_run[d] += *weight * values[d];
      }
      for (uint32_t d = 0; d < kPanelRows; ++d) sum[d] += factors[i] * of_run[d];
    }
    std::copy_n(sum, kPanelRows, out + first);
  }
}

}  // namespace potluck
