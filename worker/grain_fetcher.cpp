#include "worker/grain_fetcher.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck {

bool GrainFetcher::insert(const MissingGrain& grain) {
  bool fresh = entries_.emplace(grain.digest, Entry{grain, BulkAssembly(grain.bytes)}).second;
  if (fresh) count_unit(grain.unit);
  return fresh;
}

void GrainFetcher::erase(Entries::iterator entry) {
  leave_source(entry->second);
  uncount_unit(entry->second.grain.unit);
  entries_.erase(entry);
}

void GrainFetcher::count_unit(UnitId unit) {
  ++units_[unit].wanted;
}

void GrainFetcher::uncount_unit(UnitId unit) {
  auto found = units_.find(unit);
  CHECK(found != units_.end());
  if (--found->second.wanted > 0) return;
  for (SourceId id : found->second.holders) --sources_.at(id).units;
  units_.erase(found);
}

void GrainFetcher::set_holders(UnitId unit, std::vector<SourceId> holders) {
  auto found = units_.find(unit);
  if (found == units_.end()) return;
  for (SourceId id : found->second.holders) --sources_.at(id).units;
  for (SourceId id : holders) ++sources_.at(id).units;
  found->second.holders = std::move(holders);
}

// No longer under way, if it was.
void GrainFetcher::leave_source(Entry& entry) {
  if (entry.state != State::kUnderWay) return;
  sources_.release(entry.source, entry.grain.digest, entry.grain.bytes);
  entry.assembly.restart();
  entry.state = State::kQueued;
}

void GrainFetcher::replace(std::vector<MissingGrain> wanted) {
  Entries old = std::exchange(entries_, {});
  for (auto& [unit, state] : units_) {
    for (SourceId id : state.holders) --sources_.at(id).units;
  }
  units_.clear();
  queue_.clear();
  paused_.clear();
  for (const MissingGrain& grain : wanted) {
    auto found = old.find(grain.digest);
    bool under_way = found != old.end() && found->second.state == State::kUnderWay;
    if (!under_way) {
      if (insert(grain)) queue_.push_back(grain.digest);
      continue;
    }
    found->second.grain.unit = grain.unit;
    entries_.insert(old.extract(found));
    count_unit(grain.unit);
  }
  for (auto& [digest, entry] : old) leave_source(entry);
}

void GrainFetcher::add(const MissingGrain& grain) {
  if (insert(grain)) queue_.push_front(grain.digest);
}

void GrainFetcher::clear() {
  replace({});
}

std::optional<FetchOrder> GrainFetcher::next(TimePoint now, uint64_t window_bytes) {
  if (queue_.empty() || !sources_.any_room(window_bytes)) return std::nullopt;
  size_t looked_at = 0;
  for (auto at = queue_.begin(); at != queue_.end() && looked_at < kLookAhead;) {
    auto found = entries_.find(*at);
    if (found == entries_.end() || found->second.state != State::kQueued) {
      at = queue_.erase(at);
      continue;
    }
    ++looked_at;
    Entry& entry = found->second;
    const std::vector<SourceId>& holders = units_.at(entry.grain.unit).holders;
    auto source = sources_.choose(holders, entry.grain.bytes, window_bytes);
    if (!source) {
      ++at;
      continue;
    }
    queue_.erase(at);
    entry.state = State::kUnderWay;
    entry.source = *source;
    sources_.take(*source, entry.grain.digest, entry.grain.bytes, now);
    return FetchOrder{entry.grain, *source};
  }
  return std::nullopt;
}

std::optional<MissingGrain> GrainFetcher::first_queued() const {
  for (const Digest& digest : queue_) {
    auto found = entries_.find(digest);
    if (found != entries_.end() && found->second.state == State::kQueued) {
      return found->second.grain;
    }
  }
  return std::nullopt;
}

GrainFetcher::Outcome GrainFetcher::on_data(SourceId from, const BulkData& data, ByteSpan part,
                                            TimePoint now) {
  using Kind = Outcome::Kind;
  sources_.at(from).last_heard = now;
  auto found = entries_.find(data.digest);
  if (found == entries_.end()) return {};
  Entry& entry = found->second;
  if (entry.state != State::kUnderWay || entry.source != from) return {};
  if (!data.found) return {Kind::kNotFound, {}};
  switch (entry.assembly.add(data, part)) {
    case BulkAssembly::Step::kTaken:
      return {Kind::kPart, {}};
    case BulkAssembly::Step::kComplete:
      return {Kind::kComplete, entry.assembly.take()};
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
  if (!queue_.empty() && queue_.front() == digest) queue_.pop_front();
  if (found->second.state == State::kUnderWay) {
    FetchSource& source = sources_.at(found->second.source);
    source.bytes += found->second.grain.bytes;
    source.failures = 0;
  }
  erase(found);
}

void GrainFetcher::forget(const Digest& digest) {
  auto found = entries_.find(digest);
  if (found != entries_.end()) erase(found);
}

bool GrainFetcher::failed(const Digest& digest, TimePoint now) {
  auto found = entries_.find(digest);
  CHECK(found != entries_.end());
  Entry& entry = found->second;
  if (entry.failures + 1 >= kTries) {
    erase(found);
    return false;
  }
  leave_source(entry);
  ++entry.failures;
  entry.state = State::kPaused;
  entry.not_before = now + kPause;
  paused_.push_back(digest);
  return true;
}

void GrainFetcher::elsewhere(const Digest& digest) {
  auto found = entries_.find(digest);
  CHECK(found != entries_.end() && found->second.state == State::kUnderWay);
  Entry& entry = found->second;
  SourceId id = entry.source;
  std::vector<SourceId>& holders = units_.at(entry.grain.unit).holders;
  if (std::erase(holders, id) > 0) --sources_.at(id).units;
  leave_source(entry);
  queue_.push_front(digest);
}

// Everything this source was asked for is queued again, in the old order.
void GrainFetcher::take_back(SourceId id) {
  std::vector<FetchSource::UnderWay> grains = sources_.at(id).under_way;
  for (auto grain = grains.rbegin(); grain != grains.rend(); ++grain) {
    leave_source(entries_.at(grain->digest));
    queue_.push_front(grain->digest);
  }
}

void GrainFetcher::set_roster(const std::vector<RosterPeer>& peers) {
  for (SourceId id : sources_.set_roster(peers)) take_back(id);
}

void GrainFetcher::on_lost(SourceId id, TimePoint now) {
  if (sources_.at(id).link == FetchSource::Link::kIdle) return;
  take_back(id);
  sources_.pause(id, now);
}

void GrainFetcher::drop(SourceId id) {
  take_back(id);
  sources_.drop(id);
}

void GrainFetcher::ask_again(TimePoint now) {
  take_back(kCoordinatorSource);
  sources_.at(kCoordinatorSource).last_heard = now;
}

bool GrainFetcher::on_tick(TimePoint now) {
  std::erase_if(paused_, [&](const Digest& digest) {
    auto found = entries_.find(digest);
    if (found == entries_.end() || found->second.state != State::kPaused) return true;
    if (now < found->second.not_before) return false;
    found->second.state = State::kQueued;
    queue_.push_back(digest);
    return true;
  });
  bool changed = false;
  for (SourceId id : sources_.overdue(now)) {
    if (id == kCoordinatorSource) {
      ask_again(now);
    } else {
      on_lost(id, now);
      changed = true;
    }
  }
  return sources_.update_links(now) || changed;
}

std::optional<TimePoint> GrainFetcher::next_tick() const {
  std::optional<TimePoint> next = sources_.next_tick();
  for (const Digest& digest : paused_) {
    auto found = entries_.find(digest);
    if (found == entries_.end() || found->second.state != State::kPaused) continue;
    if (!next || found->second.not_before < *next) next = found->second.not_before;
  }
  return next;
}

}  // namespace potluck
