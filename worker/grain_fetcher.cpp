#include "worker/grain_fetcher.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace potluck {

bool GrainFetcher::insert(const MissingGrain& grain) {
  bool fresh = entries_.emplace(grain.digest, Entry{grain, BulkAssembly(grain.bytes)}).second;
  if (fresh) count_unit(grain.unit);
  return fresh;
}

void GrainFetcher::erase(Entries::iterator entry) {
  leave_source(entry->second);
  kept_bytes_ -= entry->second.assembly.received();
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

// No longer under way, if it was. What has come of it stays, if there is room for it.
void GrainFetcher::leave_source(Entry& entry) {
  if (entry.state != State::kUnderWay) return;
  sources_.release(entry.source, entry.grain.digest, entry.grain.bytes);
  entry.state = State::kQueued;
  entry.assembly.ask_again();
  if (entry.unmixed || entry.assembly.received() > kKeptBytes - kept_bytes_) {
    entry.assembly.restart();
    entry.mixed = false;
  }
  kept_bytes_ += entry.assembly.received();
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
    bool begun = found != old.end() &&
                 (found->second.state == State::kUnderWay || found->second.assembly.received() > 0);
    if (!begun) {
      if (insert(grain)) queue_.push_back(grain.digest);
      continue;
    }
    Entry& entry = found->second;
    entry.grain.unit = grain.unit;
    if (entry.state != State::kUnderWay) {
      entry.state = State::kQueued;
      entry.failures = 0;
      queue_.push_back(grain.digest);
    }
    entries_.insert(old.extract(found));
    count_unit(grain.unit);
  }
  for (auto& [digest, entry] : old) {
    leave_source(entry);
    kept_bytes_ -= entry.assembly.received();
  }
}

void GrainFetcher::add(const MissingGrain& grain) {
  if (insert(grain)) queue_.push_front(grain.digest);
}

void GrainFetcher::clear() {
  replace({});
}

std::optional<FetchOrder> GrainFetcher::next(TimePoint now, uint64_t window_bytes) {
  std::optional<FetchOrder> part = next_part(now);
  if (!part && begin_next(now, window_bytes)) part = next_part(now);
  return part;
}

// The next part of what is under way, from a source that may be asked for more.
std::optional<FetchOrder> GrainFetcher::next_part(TimePoint now) {
  for (SourceId id = 0; id < sources_.size(); ++id) {
    FetchSource& source = sources_.at(id);
    uint32_t room = source.under_way.empty() ? 0 : source.window.room();
    if (room == 0) continue;
    for (const FetchSource::UnderWay& under_way : source.under_way) {
      Entry& entry = entries_.at(under_way.digest);
      if (entry.assembly.all_asked()) continue;
      uint64_t offset = entry.assembly.asked();
      auto length =
          static_cast<uint32_t>(std::min<uint64_t>(room, entry.assembly.total() - offset));
      entry.assembly.ask(length);
      source.window.asked(under_way.digest, offset, length, now);
      return FetchOrder{entry.grain, id, offset, length};
    }
  }
  return std::nullopt;
}

// Puts the next grain under way whose turn it is.
bool GrainFetcher::begin_next(TimePoint now, uint64_t window_bytes) {
  if (queue_.empty() || !sources_.any_room(window_bytes)) return false;
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
    kept_bytes_ -= entry.assembly.received();
    entry.mixed = entry.mixed || (entry.assembly.received() > 0 && entry.source != *source);
    entry.state = State::kUnderWay;
    entry.source = *source;
    sources_.take(*source, entry.grain.digest, entry.grain.bytes, now);
    return true;
  }
  return false;
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
  PartWindow& window = sources_.at(from).window;
  window.arrived(data.digest, data.offset, part.size(), now);
  if (!data.found) window.give_up(data.digest);
  auto found = entries_.find(data.digest);
  if (found == entries_.end()) return {};
  Entry& entry = found->second;
  if (entry.state != State::kUnderWay || entry.source != from) return {};
  if (!data.found) return {Kind::kNotFound, {}, false};
  switch (entry.assembly.add(data, part)) {
    case BulkAssembly::Step::kTaken:
      return {Kind::kPart, {}, false};
    case BulkAssembly::Step::kComplete:
      return {Kind::kComplete, entry.assembly.take(), std::exchange(entry.mixed, false)};
    case BulkAssembly::Step::kGap:
      window.give_up(data.digest);
      return {};
    case BulkAssembly::Step::kIgnored:
      return {};
    case BulkAssembly::Step::kBad:
      window.give_up(data.digest);
      break;
  }
  return {Kind::kBad, {}, false};
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
  if (found == entries_.end()) return;
  // Its next part may have been counted as asked for without having been.
  if (found->second.state == State::kUnderWay) {
    sources_.at(found->second.source).window.give_up(digest);
  }
  erase(found);
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
  kept_bytes_ -= entry.assembly.received();
  entry.assembly.restart();
  entry.mixed = false;
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

void GrainFetcher::begin_anew(const Digest& digest) {
  auto found = entries_.find(digest);
  CHECK(found != entries_.end() && found->second.state == State::kUnderWay);
  found->second.unmixed = true;
  leave_source(found->second);
  queue_.push_front(digest);
}

// Everything this source was asked for is queued again, in the old order.
void GrainFetcher::take_back(SourceId id) {
  sources_.at(id).window.reset();
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

// What is under way there stays so.
void GrainFetcher::ask_parts_again(SourceId id) {
  for (const FetchSource::UnderWay& under_way : sources_.at(id).under_way) {
    entries_.at(under_way.digest).assembly.ask_again();
  }
}

void GrainFetcher::ask_again() {
  sources_.at(kCoordinatorSource).window.reset();
  ask_parts_again(kCoordinatorSource);
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
      sources_.at(id).window.timed_out();
      ask_parts_again(id);
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
