#include "engine/model/recurrent_state.h"

#include <algorithm>
#include <array>
#include <vector>

#include "engine/base/check.h"
#include "engine/kernels/state_kernels.h"

namespace potluck {
namespace {

uint64_t state_values(uint32_t layers, const RecurrentShape& shape) {
  return layers > 0 ? shape.state_values() : 0;
}

// Values of a row of the log.
uint64_t input_values(const RecurrentShape& shape) {
  return uint64_t{shape.channels} + shape.key_columns() + shape.value_columns() +
         uint64_t{shape.heads} * (shape.decays_per_head() + 1) + shape.kept;
}

}  // namespace

RecurrentInputs RecurrentState::Log::row(uint32_t i) const {
  if (rows_ == nullptr) return {};
  float* mixed = rows_ + i * input_values(*shape_);
  float* keys = mixed + shape_->channels;
  float* values = keys + shape_->key_columns();
  float* decays = values + shape_->value_columns();
  float* betas = decays + uint64_t{shape_->heads} * shape_->decays_per_head();
  return {mixed, keys, values, decays, betas, betas + shape_->heads};
}

RecurrentState::RecurrentState(uint32_t layers, const RecurrentShape& shape)
    : shape_(shape), layers_(layers), values_per_layer_(state_values(layers, shape)) {
  versions_[current_].position = 0;
}

uint64_t RecurrentState::bytes_for(uint32_t layers, const RecurrentShape& shape) {
  uint64_t versions = state_values(layers, shape) * (2 + kCheckpoints);
  return layers * (versions + kLoggedRows * input_values(shape)) * sizeof(float);
}

uint64_t RecurrentState::snapshot_bytes(uint32_t layers, const RecurrentShape& shape) {
  return layers * state_values(layers, shape) * sizeof(float);
}

float* RecurrentState::values_of(Version& version, uint32_t layer) {
  if (version.values.empty()) version.values = Buffer(values() * sizeof(float));
  return version.values.as<float>().data() + layer * values_per_layer_;
}

RecurrentState::Log RecurrentState::log_of(uint32_t layer) {
  return {log_.as<float>().data() + layer * log_capacity_ * input_values(shape_), &shape_};
}

RecurrentState::Versions RecurrentState::advance(uint32_t layer, uint32_t end) {
  CHECK(end > length_ && !unsettled_);
  Version& other = versions_[1 - current_];
  other.position = kNowhere;
  logged_rows_ = 0;
  pending_end_ = end;
  Versions versions{values_of(versions_[current_], layer), values_of(other, layer), {}};
  // A single token needs no log: it is there or not.
  uint32_t rows = end - length_;
  if (rows == 1 || rows > kLoggedRows) return versions;
  if (rows > log_capacity_) {
    log_capacity_ = rows;
    log_ = Buffer(layers_ * rows * input_values(shape_) * sizeof(float));
  }
  versions.log = log_of(layer);
  return versions;
}

uint32_t RecurrentState::reachable(uint32_t length) const {
  if (empty()) return length;
  uint32_t best = 0;
  auto consider = [&](uint32_t position) {
    if (position <= length) best = std::max(best, position);
  };
  for (const Version& version : versions_) consider(version.position);
  for (const Snapshot& checkpoint : checkpoints_) {
    if (checkpoint != nullptr) consider(checkpoint->position);
  }
  uint32_t step = versions_[1 - current_].position;
  if (logged_rows_ > 0 && length > step) best = std::max(best, std::min(length, length_));
  return best;
}

uint32_t RecurrentState::copyable(uint32_t length) const {
  if (empty()) return length;
  uint32_t best = 0;
  auto consider = [&](uint32_t position) {
    if (position > length || position <= best) return;
    if (values_at(position) != nullptr) best = position;
  };
  for (const Version& version : versions_) consider(version.position);
  for (const Snapshot& checkpoint : checkpoints_) {
    if (checkpoint != nullptr) consider(checkpoint->position);
  }
  return best;
}

const Buffer* RecurrentState::values_at(uint32_t position) const {
  const Version& current = versions_[current_];
  const Version& other = versions_[1 - current_];
  if (current.position == position && !unsettled_) return &current.values;
  if (other.position == position) return &other.values;
  for (const Snapshot& checkpoint : checkpoints_) {
    if (checkpoint != nullptr && checkpoint->position == position) return &checkpoint->values;
  }
  return nullptr;
}

void RecurrentState::copy_from(const RecurrentState& from, uint32_t position) {
  CHECK(length_ == 0 && layers_ == from.layers_ && values_per_layer_ == from.values_per_layer_);
  length_ = position;
  if (empty() || position == 0) return;
  const Buffer* known = from.values_at(position);
  CHECK(known != nullptr);
  Version& current = versions_[current_];
  current.position = position;
  std::copy_n(known->as<float>().data(), values(), values_of(current, 0));
}

void RecurrentState::begin(uint32_t position, const RecurrentSnapshot* from) {
  length_ = position;
  if (empty() || position == 0) return;
  CHECK(from != nullptr && from->position == position &&
        from->values.size() == values() * sizeof(float));
  logged_rows_ = 0;
  unsettled_ = false;
  versions_[1 - current_].position = kNowhere;
  versions_[current_].position = position;
  std::copy_n(from->values.as<float>().data(), values(), values_of(versions_[current_], 0));
}

void RecurrentState::set_length(uint32_t length) {
  uint32_t ended = pending_end_;
  pending_end_ = kNowhere;
  if (empty() || length == length_) {
    length_ = length;
    return;
  }
  if (length < length_) return go_back(length);
  CHECK(length == ended);
  uint32_t rows = length - length_;
  logged_rows_ = rows > 1 && rows <= kLoggedRows ? rows : 0;
  versions_[current_].position = length_;
  current_ = 1 - current_;
  versions_[current_].position = length;
  length_ = length;
}

void RecurrentState::go_back(uint32_t length) {
  CHECK(reachable(length) == length);
  Version& before = versions_[1 - current_];
  Version& current = versions_[current_];
  bool into_step = logged_rows_ > 0 && length > before.position;
  logged_rows_ = into_step ? length - before.position : 0;
  unsettled_ = into_step;
  length_ = length;
  for (Snapshot& checkpoint : checkpoints_) {
    if (checkpoint != nullptr && checkpoint->position > length) checkpoint.reset();
  }
  if (into_step) {
    current.position = length;
    return;
  }
  if (before.position == length) {
    current.position = kNowhere;
    current_ = 1 - current_;
    return;
  }
  before.position = kNowhere;
  current.position = length;
  for (const Snapshot& checkpoint : checkpoints_) {
    if (checkpoint == nullptr || checkpoint->position != length) continue;
    std::copy_n(checkpoint->values.as<float>().data(), values(), values_of(current, 0));
    return;
  }
  std::fill_n(values_of(current, 0), values(), 0.0F);
}

void RecurrentState::settle(ThreadPool& pool) {
  if (!unsettled_) return;
  pool.run(replay_tasks(), [this](size_t task, int) { replay(static_cast<uint32_t>(task)); });
  unsettled_ = false;
}

// The history of one layer, or one of its heads, from before the step to the length.
void RecurrentState::replay(uint32_t task) {
  uint32_t layer = task / (1 + shape_.heads);
  uint32_t part = task % (1 + shape_.heads);
  if (part == 0) return replay_history(layer);
  replay_head(layer, part - 1);
}

void RecurrentState::replay_head(uint32_t layer, uint32_t head) {
  uint64_t first = shape_.history_values() + uint64_t{head} * shape_.key_dim * shape_.value_dim;
  const float* before = values_of(versions_[1 - current_], layer) + first;
  float* after = values_of(versions_[current_], layer) + first;
  std::vector<float> out(shape_.value_dim);
  std::array<RecurrentToken, kLoggedRows> tokens;
  for (uint32_t row = 0; row < logged_rows_; ++row) {
    RecurrentInputs inputs = log_of(layer).row(row);
    const float* key = inputs.keys + uint64_t{shape_.key_head_of(head)} * shape_.key_dim;
    tokens[row] = {inputs.decays + uint64_t{head} * shape_.decays_per_head(),
                   inputs.betas[head],
                   key,  // there is no query
                   key,
                   inputs.values + uint64_t{head} * shape_.value_dim,
                   out.data()};
  }
  // The best kernels that there are here: all give the same bits.
  const StateKernels& kernels = state_kernels(*available_kernels().back());
  kernels.recur({shape_.key_dim, shape_.value_dim, shape_.corrects, shape_.decays_by_key,
                 std::span(tokens).first(logged_rows_)},
                before, after);
}

void RecurrentState::replay_history(uint32_t layer) {
  const float* before = values_of(versions_[1 - current_], layer);
  float* after = values_of(versions_[current_], layer);
  uint64_t channels = shape_.channels;
  for (uint32_t back = 1; back < shape_.convolution; ++back) {
    const float* input = back <= logged_rows_
                             ? log_of(layer).row(logged_rows_ - back).mixed
                             : before + (shape_.convolution - 1 - (back - logged_rows_)) * channels;
    std::copy_n(input, channels, after + (shape_.convolution - 1 - back) * channels);
  }
  if (shape_.kept == 0) return;
  std::copy_n(log_of(layer).row(logged_rows_ - 1).kept, shape_.kept, after + shape_.kept_offset());
}

std::shared_ptr<const RecurrentSnapshot> RecurrentState::checkpoint() {
  if (empty() || length_ == 0) return nullptr;
  for (const Snapshot& checkpoint : checkpoints_) {
    if (checkpoint != nullptr && checkpoint->position == length_) return checkpoint;
  }
  if (unsettled_) {
    ThreadPool alone(1);
    settle(alone);
  }
  auto made = std::make_shared<RecurrentSnapshot>();
  made->position = length_;
  made->values = Buffer(values() * sizeof(float), "a checkpoint of a recurrent state");
  std::copy_n(values_of(versions_[current_], 0), values(), made->values.as<float>().data());
  checkpoints_[oldest_] = made;
  oldest_ = (oldest_ + 1) % kCheckpoints;
  return made;
}

}  // namespace potluck
