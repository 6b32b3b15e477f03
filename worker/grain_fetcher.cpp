#include "worker/grain_fetcher.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/check.h"

namespace potluck {

// --- what is wanted ---

void GrainFetcher::append(const MissingGrain& grain, bool first) {
  auto [entry, fresh] =
      entries_.emplace(grain.digest, Entry{grain, BulkAssembly(grain.bytes), State::kQueued});
  if (!fresh) return;
  ++units_[grain.unit].wanted;
  ++queued_;
  queue(entry->second, first);
}

void GrainFetcher::erase(Entries::iterator entry) {
  leave_state(entry->second);
  --queued_;
  uncount_unit(entry->second.grain.unit);
  entries_.erase(entry);
}

// Whatever it was, it is queued now, without a place in the queue yet.
void GrainFetcher::leave_state(Entry& entry) {
  if (entry.state == State::kQueued) return;
  if (entry.state == State::kUnderWay) {
    sources_.release(entry.source, entry.grain.digest);
    entry.assembly.restart();
  } else {
    paused_.erase({entry.not_before, entry.grain.digest});
  }
  entry.state = State::kQueued;
  ++queued_;
}

void GrainFetcher::queue(Entry& entry, bool first) {
  if (first) {
    queue_.push_front(entry.grain.digest);
  } else {
    queue_.push_back(entry.grain.digest);
  }
}

void GrainFetcher::forget_holders(Unit& unit) {
  for (SourceId id : unit.holders) sources_.remove_unit(id);
  unit.holders.clear();
}

void GrainFetcher::uncount_unit(UnitId unit) {
  auto found = units_.find(unit);
  CHECK(found != units_.end());
  if (--found->second.wanted > 0) return;
  forget_holders(found->second);
  units_.erase(found);
}

void GrainFetcher::set_holders(UnitId unit, std::span<const SourceId> holders) {
  auto found = units_.find(unit);
  if (found == units_.end()) return;
  forget_holders(found->second);
  std::vector<SourceId>& known = found->second.holders;
  for (SourceId id : holders) {
    bool named = std::find(known.begin(), known.end(), id) != known.end();
    if (named || id == kCoordinatorSource || id >= sources_.size()) continue;
    sources_.add_unit(id);
    known.push_back(id);
  }
}

void GrainFetcher::restart(const std::function<bool(MissingGrain*)>& keep) {
  for (auto& [unit, state] : units_) forget_holders(state);
  units_.clear();
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    MissingGrain& grain = entry->second.grain;
    bool kept = entry->second.state == State::kUnderWay && keep(&grain);
    ++units_[grain.unit].wanted;
    if (kept) {
      ++entry;
    } else {
      erase(entry++);
    }
  }
  queue_.clear();
}

void GrainFetcher::clear() {
  restart([](MissingGrain*) { return false; });
}

// --- asking ---

std::optional<FetchOrder> GrainFetcher::next(TimePoint now, uint64_t window_bytes) {
  uint64_t share = sources_.share_of(window_bytes);
  if (queued_ == 0 || !sources_.any_room(window_bytes, share)) return std::nullopt;
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
    auto source = sources_.choose(holders, entry.grain.bytes, window_bytes, share);
    if (!source) {
      ++at;
      continue;
    }
    queue_.erase(at);
    --queued_;
    entry.state = State::kUnderWay;
    entry.source = *source;
    sources_.take(*source, entry.grain.digest, entry.grain.bytes, now);
    return FetchOrder{entry.grain, *source};
  }
  return std::nullopt;
}

std::optional<MissingGrain> GrainFetcher::first_queued() const {
  if (queued_ == 0) return std::nullopt;
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
  sources_.heard(from, now);
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

// --- what came of it ---

void GrainFetcher::stored(const Digest& digest) {
  auto found = entries_.find(digest);
  if (found == entries_.end()) return;
  if (!queue_.empty() && queue_.front() == digest) queue_.pop_front();
  const Entry& entry = found->second;
  if (entry.state == State::kUnderWay) sources_.delivered(entry.source, entry.grain.bytes);
  erase(found);
}

void GrainFetcher::forget(const Digest& digest) {
  auto found = entries_.find(digest);
  if (found != entries_.end()) erase(found);
}

bool GrainFetcher::failed(const Digest& digest, TimePoint now) {
  auto found = entries_.find(digest);
  if (found == entries_.end()) return false;
  Entry& entry = found->second;
  if (entry.failures + 1 >= kTries) {
    erase(found);
    return false;
  }
  leave_state(entry);
  --queued_;
  entry.state = State::kPaused;
  entry.not_before = now + kPause * (int64_t{1} << entry.failures);
  ++entry.failures;
  paused_.emplace(entry.not_before, digest);
  return true;
}

void GrainFetcher::elsewhere(const Digest& digest) {
  auto found = entries_.find(digest);
  if (found == entries_.end() || found->second.state != State::kUnderWay) return;
  Entry& entry = found->second;
  if (std::erase(units_.at(entry.grain.unit).holders, entry.source) > 0) {
    sources_.remove_unit(entry.source);
  }
  leave_state(entry);
  queue(entry, true);
}

// Everything that a source was asked for and will not send is queued again, in the old order.
void GrainFetcher::queue_returned() {
  std::vector<Digest> grains = sources_.take_returned();
  for (auto grain = grains.rbegin(); grain != grains.rend(); ++grain) {
    Entry& entry = entries_.at(*grain);
    entry.assembly.restart();
    entry.state = State::kQueued;
    ++queued_;
    queue(entry, true);
  }
}

void GrainFetcher::set_roster(const std::vector<RosterPeer>& peers) {
  sources_.set_roster(peers);
  queue_returned();
}

void GrainFetcher::on_refused(SourceId id, TimePoint now) {
  sources_.on_refused(id, now);
  queue_returned();
}

void GrainFetcher::on_lost(SourceId id, TimePoint now) {
  if (sources_.at(id).link == FetchSource::Link::kIdle) return;
  sources_.pause(id, now);
  queue_returned();
}

void GrainFetcher::drop(SourceId id) {
  sources_.drop(id);
  queue_returned();
}

void GrainFetcher::ask_again(TimePoint now) {
  sources_.return_all(kCoordinatorSource);
  sources_.heard(kCoordinatorSource, now);
  queue_returned();
}

// --- time ---

bool GrainFetcher::on_tick(TimePoint now) {
  while (!paused_.empty() && paused_.begin()->first <= now) {
    Entry& entry = entries_.at(paused_.begin()->second);
    leave_state(entry);
    queue(entry, false);
  }
  bool changed = false;
  for (SourceId id : sources_.overdue(now)) {
    if (id == kCoordinatorSource) {
      ask_again(now);
    } else {
      on_lost(id, now);
      changed = true;
    }
  }
  changed = sources_.update_links(now) || changed;
  queue_returned();
  return changed;
}

std::optional<TimePoint> GrainFetcher::next_tick() const {
  std::optional<TimePoint> next = sources_.next_tick();
  if (paused_.empty()) return next;
  TimePoint resume = paused_.begin()->first;
  return next ? std::min(*next, resume) : resume;
}

// --- checking ---

Status GrainFetcher::validate() const {
  if (Status sound = sources_.validate(); !sound) return sound;
  if (Status counted = validate_counts(); !counted) return counted;
  auto wrong = [](const Digest& digest, const char* what) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("grain {}: {}", digest.hex(), what)};
  };
  std::set<Digest> queued(queue_.begin(), queue_.end());
  for (const auto& [digest, entry] : entries_) {
    if (entry.state == State::kQueued && !queued.contains(digest)) {
      return wrong(digest, "queued, and not in the queue");
    }
    if (entry.state == State::kPaused && !paused_.contains({entry.not_before, digest})) {
      return wrong(digest, "paused, and never due");
    }
    if (entry.state != State::kUnderWay) continue;
    const auto& grains = sources_.at(entry.source).under_way;
    auto is_it = [&](const FetchSource::UnderWay& grain) { return grain.digest == digest; };
    if (std::count_if(grains.begin(), grains.end(), is_it) != 1) {
      return wrong(digest, "under way at a source that does not know of it");
    }
  }
  if (entries_.empty() || next_tick()) return {};
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{} grains are wanted and nothing is due", entries_.size())};
}

Status GrainFetcher::validate_counts() const {
  size_t queued = 0;
  size_t under_way = 0;
  std::unordered_map<UnitId, size_t> wanted;
  std::unordered_map<SourceId, size_t> units;
  for (const auto& [digest, entry] : entries_) {
    queued += entry.state == State::kQueued ? 1 : 0;
    under_way += entry.state == State::kUnderWay ? 1 : 0;
    ++wanted[entry.grain.unit];
  }
  bool good = queued == queued_ && under_way == sources_.under_way() &&
              queued + under_way + paused_.size() == entries_.size() &&
              wanted.size() == units_.size();
  for (const auto& [unit, state] : units_) {
    good = good && state.wanted == wanted[unit];
    for (SourceId id : state.holders) ++units[id];
  }
  for (SourceId id = 0; id < sources_.size(); ++id) {
    good = good && sources_.at(id).units == units[id];
  }
  if (good) return {};
  return Error{
      ErrorCode::kInvalidArgument,
      fmt::format("miscounted: {} grains, {} queued, {} under way, {} paused, {} units",
                  entries_.size(), queued_, sources_.under_way(), paused_.size(), units_.size())};
}

}  // namespace potluck
