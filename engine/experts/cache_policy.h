// CachePolicy: which grains stay in memory. Pure: it knows names, no bytes, so that traces can
// drive it in tests. All entries weigh the same (a slab). One thread.
//
// What the last token did not use leaves first, and of that what will be needed last, by estimate.
// A token passes the layers in turn, so an entry has one opportunity per token: when its layer's
// turn comes. From its uses, each worth half after kHalfLife further turns of its layer, follows
// the chance p of the next one, and 1/p turns until it is used; to the next turn there is a part of
// a token to go, which is short for the layers that follow and long for the layer that was just
// computed. Least recently used gives the opposite of that last part: the next layers are those
// that were used longest ago. Uses are remembered for as many evicted grains as there are entries.
//
// A prefetched entry is the first to leave until it is used, and for a guess nothing leaves that
// the last token used. What the next layer needs soon may take the place of anything but the
// current layer's entries: a step of many rows uses all layers alike.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <unordered_map>

#include "engine/base/hash.h"
#include "engine/experts/want.h"
#include "engine/experts/work_counters.h"

namespace potluck {

class CachePolicy {
 public:
  // In turns of a layer. Replaying traces of three models, hit rates with 3 to 12 differ by at most
  // 2 points: a longer memory is better where a tenth of the model fits, a shorter one below.
  static constexpr double kHalfLife = 8;

  // Bounds the memory of evicted grains; how many entries there are is up to the caller, who asks
  // for a victim when it has no slab left.
  explicit CachePolicy(uint64_t entries) : capacity_(entries) {}

  // A layer's turn: what is touched and admitted from now on is used by this layer. Turns of
  // several requests may alternate; time passes for each layer by itself.
  void begin_step(uint32_t layer);

  bool contains(const Digest& key) const;
  // Prefetched, and not used since.
  bool is_prefetched(const Digest& key) const;
  // True if the grain is in; it is used in this step.
  bool touch(const Digest& key);
  // Takes in a grain that is not in.
  void admit(const Digest& key, bool prefetch);
  void erase(const Digest& key);

  // The entry to erase for another one, among those that `free` (a predicate on Digest) allows.
  // Nothing if there is none; for kPerhaps also if all that could leave was used by the last token,
  // for kSoon if it was used by the current layer. Takes time in proportion to the number of layers
  // and of the entries that are not free.
  template <class Free>
  std::optional<Digest> victim(Want want, const Free& free);

  size_t size() const { return entries_.size() - history_.size(); }
  // What the policy knows of them: hits, misses and what became of prefetches.
  const StoreCounters& counters() const { return counters_; }

 private:
  // First to leave first. Fame is log2 of the sum over the uses of 2^(turn / kHalfLife), a number
  // that stays right while time passes; where it does not count it is 0. Then a serial number.
  using Rank = std::tuple<double, uint64_t, const Digest*>;
  using Order = std::set<Rank>;
  struct Layer {
    uint64_t turns = 0;
    uint64_t last_step = 0;
    Order idle;  // not used in the last turn
    Order used;  // in the last turn
  };
  struct Entry {
    Order* order = nullptr;
    Rank rank;
    Layer* layer = nullptr;  // none: never used
    double fame = 0;
    uint64_t admitted_step = 0;  // prefetched ones
  };
  using Entries = std::unordered_map<Digest, Entry>;
  struct Candidate {
    const Digest* key = nullptr;
    double wait = 0;  // in turns
  };

  bool is_prefetched(const Entry& entry) const { return entry.order == &prefetched_; }
  void use(Entries::value_type& entry);
  void place(Entries::value_type& entry, Order* order, double heat);
  bool forgotten(const Layer& layer) const;
  double turns_until_use(const Layer& layer, double fame) const;
  template <class Free>
  const Digest* first_free(const Order& order, const Free& free) const;
  template <class Free>
  const Digest* spare_prefetch(Want want, const Free& free) const;

  uint64_t capacity_;
  uint64_t steps_ = 0;
  uint64_t uses_ = 0;
  std::map<uint32_t, Layer> layers_;
  std::map<uint32_t, Layer>::iterator current_ = layers_.end();
  Entries entries_;
  Order prefetched_;  // not used yet, in order of admission
  Order history_;     // evicted, in order of eviction
  StoreCounters counters_;
};

template <class Free>
const Digest* CachePolicy::first_free(const Order& order, const Free& free) const {
  for (const Rank& rank : order) {
    if (free(*std::get<const Digest*>(rank))) return std::get<const Digest*>(rank);
  }
  return nullptr;
}

// A prefetched entry gives way to another one when its layer has had its turn.
template <class Free>
const Digest* CachePolicy::spare_prefetch(Want want, const Free& free) const {
  return first_free(prefetched_, [&](const Digest& key) {
    return (want == Want::kNow || entries_.at(key).admitted_step < steps_) && free(key);
  });
}

template <class Free>
std::optional<Digest> CachePolicy::victim(Want want, const Free& free) {
  if (const Digest* spare = spare_prefetch(want, free)) return *spare;
  Candidate latest;
  auto consider = [&](const Layer& layer, double distance, const Order& order) {
    const Digest* key = first_free(order, free);
    if (key == nullptr) return;
    double until = distance + turns_until_use(layer, entries_.at(*key).fame);
    if (latest.key == nullptr || until > latest.wait) latest = {key, until};
  };
  for (bool idle : {true, false}) {
    if (latest.key != nullptr || (want == Want::kPerhaps && !idle)) break;
    double distance = 0;
    auto layer = current_;
    for (size_t i = 0; i < layers_.size(); ++i) {  // the next layer first, the current one last
      if (++layer == layers_.end()) layer = layers_.begin();
      distance += 1.0 / static_cast<double>(layers_.size());
      if (idle) consider(layer->second, distance, layer->second.idle);
      bool used = idle ? forgotten(layer->second) : layer != current_;
      if (used) consider(layer->second, distance, layer->second.used);
    }
  }
  if (latest.key == nullptr && want == Want::kNow && !layers_.empty()) {
    latest.key = first_free(current_->second.used, free);
  }
  if (latest.key == nullptr) return std::nullopt;
  return *latest.key;
}

}  // namespace potluck
