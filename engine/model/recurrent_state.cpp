#include "engine/model/recurrent_state.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck {

RecurrentState::RecurrentState(uint32_t layers, uint64_t values_per_layer)
    : values_per_layer_(values_per_layer), values_(layers * values_per_layer) {
  versions_[current_].position = 0;
}

uint64_t RecurrentState::bytes_for(uint32_t layers, uint64_t values_per_layer) {
  return layers * values_per_layer * sizeof(float) * (2 + kCheckpoints);
}

float* RecurrentState::values_of(Version& version, uint32_t layer) {
  if (version.values.empty()) version.values = Buffer(values_ * sizeof(float));
  return version.values.as<float>().data() + layer * values_per_layer_;
}

void RecurrentState::copy(Version& from, Version& to) {
  to.position = from.position;
  std::copy_n(values_of(from, 0), values_, values_of(to, 0));
}

RecurrentState::Versions RecurrentState::advance(uint32_t layer, uint32_t end) {
  CHECK(end > length_);
  Version& other = versions_[1 - current_];
  other.position = kNowhere;
  pending_end_ = end;
  return {values_of(versions_[current_], layer), values_of(other, layer)};
}

uint32_t RecurrentState::reachable(uint32_t length) const {
  if (empty()) return length;
  uint32_t best = 0;
  auto consider = [&](const Version& version) {
    if (version.position <= length) best = std::max(best, version.position);
  };
  for (const Version& version : versions_) consider(version);
  for (const Version& version : checkpoints_) consider(version);
  return best;
}

void RecurrentState::set_length(uint32_t length) {
  uint32_t ended = pending_end_;
  pending_end_ = kNowhere;
  if (empty() || length == length_) {
    length_ = length;
    return;
  }
  if (length > length_) {
    CHECK(length == ended);
    current_ = 1 - current_;
    versions_[current_].position = length;
    length_ = length;
    return;
  }
  CHECK(reachable(length) == length);
  length_ = length;
  for (Version& checkpoint : checkpoints_) {
    if (checkpoint.position == kNowhere || checkpoint.position <= length) continue;
    checkpoint.position = kNowhere;
  }
  if (versions_[1 - current_].position == length) {
    versions_[current_].position = kNowhere;
    current_ = 1 - current_;
    return;
  }
  versions_[1 - current_].position = kNowhere;
  Version& current = versions_[current_];
  for (Version& checkpoint : checkpoints_) {
    if (checkpoint.position == length) return copy(checkpoint, current);
  }
  current.position = 0;
  std::fill_n(values_of(current, 0), values_, 0.0F);
}

void RecurrentState::checkpoint() {
  if (empty() || length_ == 0) return;
  for (const Version& checkpoint : checkpoints_) {
    if (checkpoint.position == length_) return;
  }
  copy(versions_[current_], checkpoints_[oldest_]);
  oldest_ = (oldest_ + 1) % kCheckpoints;
}

}  // namespace potluck
