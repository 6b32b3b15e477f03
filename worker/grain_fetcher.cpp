#include "worker/grain_fetcher.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck {

bool GrainFetcher::insert(const MissingGrain& grain) {
  return entries_.emplace(grain.digest, Entry{grain, BulkAssembly(grain.bytes)}).second;
}

void GrainFetcher::set_under_way(Entry& entry, bool under_way) {
  bool before = entry.state == State::kUnderWay;
  if (before == under_way) return;
  if (under_way) {
    entry.state = State::kUnderWay;
    ++under_way_;
    under_way_bytes_ += entry.grain.bytes;
  } else {
    --under_way_;
    under_way_bytes_ -= entry.grain.bytes;
  }
}

void GrainFetcher::replace(std::vector<MissingGrain> wanted, TimePoint now) {
  std::unordered_map<Digest, Entry> kept;
  for (const MissingGrain& grain : wanted) {
    auto old = entries_.find(grain.digest);
    if (old == entries_.end() || old->second.state != State::kUnderWay) continue;
    kept.emplace(grain.digest, std::move(old->second));
    entries_.erase(old);
  }
  entries_ = std::move(kept);
  queue_.clear();
  paused_.clear();
  under_way_ = 0;
  under_way_bytes_ = 0;
  for (const auto& [digest, entry] : entries_) {
    ++under_way_;
    under_way_bytes_ += entry.grain.bytes;
  }
  for (const MissingGrain& grain : wanted) {
    if (insert(grain)) queue_.push_back(grain.digest);
  }
  last_heard_ = now;
}

void GrainFetcher::add(const MissingGrain& grain, TimePoint now) {
  if (!insert(grain)) return;
  queue_.push_front(grain.digest);
  if (under_way_ == 0) last_heard_ = now;
}

void GrainFetcher::clear() {
  replace({}, last_heard_);
}

std::optional<MissingGrain> GrainFetcher::next(TimePoint now, uint64_t window_bytes) {
  while (!queue_.empty()) {
    auto found = entries_.find(queue_.front());
    if (found == entries_.end() || found->second.state != State::kQueued) {
      queue_.pop_front();
      continue;
    }
    Entry& entry = found->second;
    bool room = under_way_ < kWindowGrains && under_way_bytes_ <= window_bytes &&
                entry.grain.bytes <= window_bytes - under_way_bytes_;
    if (!room && under_way_ > 0) return std::nullopt;
    queue_.pop_front();
    if (under_way_ == 0) last_heard_ = now;
    set_under_way(entry, true);
    return entry.grain;
  }
  return std::nullopt;
}

GrainFetcher::Outcome GrainFetcher::on_data(const BulkData& data, ByteSpan part, TimePoint now) {
  using Kind = Outcome::Kind;
  auto found = entries_.find(data.digest);
  if (found == entries_.end() || found->second.state != State::kUnderWay) return {};
  last_heard_ = now;
  if (!data.found) return {Kind::kNotFound, {}};
  BulkAssembly& assembly = found->second.assembly;
  switch (assembly.add(data, part)) {
    case BulkAssembly::Step::kTaken:
      return {Kind::kPart, {}};
    case BulkAssembly::Step::kComplete:
      return {Kind::kComplete, assembly.take()};
    case BulkAssembly::Step::kIgnored:
      return {};
    case BulkAssembly::Step::kBad:
      break;
  }
  return {Kind::kBad, {}};
}

void GrainFetcher::stored(const Digest& digest) {
  auto found = entries_.find(digest);
  if (found == entries_.end()) return;
  set_under_way(found->second, false);
  entries_.erase(found);
}

bool GrainFetcher::failed(const Digest& digest, TimePoint now) {
  auto found = entries_.find(digest);
  CHECK(found != entries_.end());
  Entry& entry = found->second;
  if (entry.failures + 1 >= kTries) {
    stored(digest);
    return false;
  }
  set_under_way(entry, false);
  ++entry.failures;
  entry.assembly.restart();
  entry.state = State::kPaused;
  entry.not_before = now + kPause;
  paused_.push_back(digest);
  return true;
}

void GrainFetcher::ask_again(TimePoint now) {
  last_heard_ = now;
  if (under_way_ == 0) return;
  for (auto& [digest, entry] : entries_) {
    if (entry.state != State::kUnderWay) continue;
    set_under_way(entry, false);
    entry.state = State::kQueued;
    entry.assembly.restart();
    queue_.push_front(digest);
  }
}

void GrainFetcher::on_tick(TimePoint now) {
  std::erase_if(paused_, [&](const Digest& digest) {
    auto found = entries_.find(digest);
    if (found == entries_.end() || found->second.state != State::kPaused) return true;
    if (now < found->second.not_before) return false;
    found->second.state = State::kQueued;
    queue_.push_back(digest);
    return true;
  });
  if (under_way_ > 0 && now - last_heard_ >= kSilence) ask_again(now);
}

std::optional<TimePoint> GrainFetcher::next_tick() const {
  std::optional<TimePoint> next;
  if (under_way_ > 0) next = last_heard_ + kSilence;
  for (const Digest& digest : paused_) {
    auto found = entries_.find(digest);
    if (found == entries_.end() || found->second.state != State::kPaused) continue;
    if (!next || found->second.not_before < *next) next = found->second.not_before;
  }
  return next;
}

}  // namespace potluck
