// Each layer has two ordered sets, of what its last turn used and of the rest; both are ordered by
// fame, so a victim is found by looking at the first entries of every layer. Fame is a logarithm
// that never has to be aged: time passes for all entries of a layer alike.
#include "engine/experts/cache_policy.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"

namespace potluck {
namespace {

// A layer that had no turn for this many rounds of all layers is no longer in use.
constexpr uint64_t kForgottenRounds = 16;

double turn_weight(uint64_t turn) {
  return static_cast<double>(turn) / CachePolicy::kHalfLife;
}

}  // namespace

void CachePolicy::begin_step(uint32_t layer) {
  ++steps_;
  current_ = layers_.try_emplace(layer).first;
  Layer& now = current_->second;
  ++now.turns;
  now.last_step = steps_;
  // A new turn: what the last token used is idle until it is used again. merge() moves the nodes
  // and copies nothing.
  for (const Rank& rank : now.used) entries_.at(*std::get<const Digest*>(rank)).order = &now.idle;
  now.idle.merge(now.used);
}

bool CachePolicy::forgotten(const Layer& layer) const {
  return steps_ - layer.last_step > kForgottenRounds * layers_.size();
}

// 1/p, where p = (1 - 2^(-1 / kHalfLife)) * the sum over the uses of 2^(-turns since / kHalfLife).
// A layer that is asked for no more never has another turn, so its entries would stay for ever:
// they count as never used again.
double CachePolicy::turns_until_use(const Layer& layer, double fame) const {
  static const double kScale = 1 - std::exp2(-1 / kHalfLife);
  if (forgotten(layer)) return HUGE_VAL;
  return std::max(1.0, std::exp2(turn_weight(layer.turns) - fame) / kScale);
}

bool CachePolicy::contains(const Digest& key) const {
  auto found = entries_.find(key);
  return found != entries_.end() && found->second.order != &history_;
}

bool CachePolicy::is_prefetched(const Digest& key) const {
  auto found = entries_.find(key);
  return found != entries_.end() && is_prefetched(found->second);
}

// Moves the entry without allocating where it was in an order before.
void CachePolicy::place(Entries::value_type& entry, Order* order, double heat) {
  Rank rank{heat, ++uses_, &entry.first};
  Order* from = entry.second.order;
  if (from == nullptr) {
    order->insert(rank);
  } else {
    auto node = from->extract(entry.second.rank);
    CHECK(!node.empty());
    node.value() = rank;
    order->insert(std::move(node));
  }
  entry.second.order = order;
  entry.second.rank = rank;
}

void CachePolicy::use(Entries::value_type& entry) {
  CHECK(current_ != layers_.end());  // begin_step() comes first
  Entry& what = entry.second;
  Layer& now = current_->second;
  if (what.order == &now.used) {  // counts once in a turn
    place(entry, what.order, what.fame);
    return;
  }
  double fame = turn_weight(now.turns);
  if (what.layer != nullptr) {
    // log2(2^a + 2^b), written so that it cannot overflow after many turns.
    fame += std::log2(1 + std::exp2(what.fame - turn_weight(what.layer->turns)));
  }
  what.layer = &now;
  what.fame = fame;
  place(entry, &now.used, fame);
}

bool CachePolicy::touch(const Digest& key) {
  auto found = entries_.find(key);
  if (found == entries_.end() || found->second.order == &history_) return false;
  ++counters_.work.cache_hits;
  if (is_prefetched(found->second)) ++counters_.work.prefetches_used;
  use(*found);
  return true;
}

void CachePolicy::admit(const Digest& key, bool prefetch) {
  CHECK(!contains(key));
  auto entry = entries_.try_emplace(key).first;
  if (!prefetch) {
    ++counters_.work.cache_misses;
    use(*entry);
    return;
  }
  ++counters_.prefetches;
  entry->second.admitted_step = steps_;
  place(*entry, &prefetched_, 0);
}

void CachePolicy::erase(const Digest& key) {
  auto found = entries_.find(key);
  if (found == entries_.end() || found->second.order == &history_) return;
  if (is_prefetched(found->second)) ++counters_.work.prefetches_wasted;
  // Evicted grains keep their fame: without it, a grain that is used every few tokens would count
  // as new each time.
  place(*found, &history_, 0);
  if (history_.size() <= capacity_) return;
  auto oldest = entries_.find(*std::get<const Digest*>(*history_.begin()));
  history_.erase(history_.begin());
  entries_.erase(oldest);
}

}  // namespace potluck
