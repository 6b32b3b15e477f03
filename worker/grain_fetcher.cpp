// An entry is in one state at a time, and each state has its list: queue_, the sources' lists of
// what is under way, or paused_. leave_state() is the only way out of a list; validate() compares
// them all. The queue alone may name grains that have left it or are gone: they are skipped when
// met, which is cheaper than erasing from its middle.
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
  begin_from_start(entry->second);
  uncount_unit(entry->second.grain.unit);
  entries_.erase(entry);
}

// Moves an entry from any state to kQueued, without a place in the queue yet.
void GrainFetcher::leave_state(Entry& entry) {
  if (entry.state == State::kQueued) return;
  if (entry.state == State::kUnderWay) {
    sources_.release(entry.source, entry.grain.digest);
    keep_begun(entry);
  } else {
    paused_.erase({entry.not_before, entry.grain.digest});
  }
  entry.state = State::kQueued;
  ++queued_;
}

// It is no longer under way. What has come of it stays, if there is room for it.
void GrainFetcher::keep_begun(Entry& entry) {
  entry.assembly.ask_again();
  // A grain that came wrong from several senders is fetched from a single one, or no sender could
  // be blamed; hence nothing of it is kept.
  bool keep = !entry.unmixed && entry.assembly.received() <= kKeptBytes - kept_bytes_;
  kept_bytes_ += entry.assembly.received();
  if (!keep) begin_from_start(entry);
}

// Of an entry that is not under way.
void GrainFetcher::begin_from_start(Entry& entry) {
  kept_bytes_ -= entry.assembly.received();
  entry.assembly.restart();
  entry.mixed = false;
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
    // What was not begun is given back: its unit is opened again when its turn comes in the new
    // assignment.
    bool begun = entry->second.state == State::kUnderWay || entry->second.assembly.received() > 0;
    bool kept = begun && keep(&grain);
    ++units_[grain.unit].wanted;
    if (kept) {
      ++entry;
    } else {
      erase(entry++);
    }
  }
  std::erase_if(queue_, [&](const Digest& digest) {
    auto found = entries_.find(digest);
    return found == entries_.end() || found->second.state != State::kQueued;
  });
}

void GrainFetcher::clear() {
  restart([](MissingGrain*) { return false; });
}

// --- asking ---

std::optional<FetchOrder> GrainFetcher::next(TimePoint now, uint64_t window_bytes) {
  std::optional<FetchOrder> part = next_part(now);
  if (!part && begin_next(now, window_bytes)) part = next_part(now);
  return part;
}

// The next part of what is under way, from a source that may be asked for more.
std::optional<FetchOrder> GrainFetcher::next_part(TimePoint now) {
  for (SourceId id = 0; id < sources_.size(); ++id) {
    PartWindow& window = sources_.window(id);
    const std::vector<FetchSource::UnderWay>& grains = sources_.at(id).under_way;
    uint32_t room = grains.empty() ? 0 : window.room();
    if (room == 0) continue;
    for (const FetchSource::UnderWay& grain : grains) {
      Entry& entry = entries_.at(grain.digest);
      if (entry.assembly.all_asked()) continue;
      uint64_t offset = entry.assembly.asked();
      auto length =
          static_cast<uint32_t>(std::min<uint64_t>(room, entry.assembly.total() - offset));
      entry.assembly.ask(length);
      window.asked(grain.digest, offset, length, now);
      return FetchOrder{entry.grain, id, offset, length};
    }
  }
  return std::nullopt;
}

// Puts the next grain under way whose turn it is.
bool GrainFetcher::begin_next(TimePoint now, uint64_t window_bytes) {
  uint64_t share = sources_.share_of(window_bytes);
  // Asked first: most calls end here, without a search of the queue.
  if (queued_ == 0 || !sources_.any_room(window_bytes, share)) return false;
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
    uint64_t received = entry.assembly.received();
    kept_bytes_ -= received;
    entry.mixed = entry.mixed || (received > 0 && entry.source != *source);
    entry.state = State::kUnderWay;
    entry.source = *source;
    sources_.take(*source, entry.grain.digest, entry.grain.bytes, now);
    return true;
  }
  return false;
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
  PartWindow& window = sources_.window(from);
  // Before it is known whether the grain is still wanted: what has come is not under way any more
  // in any case.
  window.arrived(data.digest, data.offset, part.size(), now);
  if (!data.found) window.give_up(data.digest);
  auto found = entries_.find(data.digest);
  if (found == entries_.end()) return {};
  Entry& entry = found->second;
  // What this source was not asked for is not taken, whatever it is.
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
  if (found == entries_.end()) return;
  // Its next part may have been counted as asked for without having been.
  if (found->second.state == State::kUnderWay) {
    sources_.window(found->second.source).give_up(digest);
  }
  erase(found);
}

bool GrainFetcher::failed(const Digest& digest, TimePoint now) {
  auto found = entries_.find(digest);
  if (found == entries_.end()) return false;
  Entry& entry = found->second;
  if (entry.state == State::kUnderWay) sources_.window(entry.source).give_up(digest);
  if (entry.failures + 1 >= kTries) {
    erase(found);
    return false;
  }
  leave_state(entry);
  --queued_;
  begin_from_start(entry);
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
  // A peer that lacks one grain of a unit is asked for no other of it; what it is sending already
  // goes on.
  if (std::erase(units_.at(entry.grain.unit).holders, entry.source) > 0) {
    sources_.remove_unit(entry.source);
  }
  leave_state(entry);
  queue(entry, true);
}

void GrainFetcher::begin_anew(const Digest& digest) {
  auto found = entries_.find(digest);
  if (found == entries_.end() || found->second.state != State::kUnderWay) return;
  Entry& entry = found->second;
  entry.unmixed = true;
  leave_state(entry);
  queue(entry, true);
}

// Everything that a source was asked for and will not send is queued again, in the old order.
void GrainFetcher::queue_returned() {
  std::vector<Digest> grains = sources_.take_returned();
  // Backwards, since each goes to the front.
  for (auto grain = grains.rbegin(); grain != grains.rend(); ++grain) {
    Entry& entry = entries_.at(*grain);
    keep_begun(entry);
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

// What is under way there stays so.
void GrainFetcher::ask_parts_again(SourceId id) {
  for (const FetchSource::UnderWay& grain : sources_.at(id).under_way) {
    entries_.at(grain.digest).assembly.ask_again();
  }
}

void GrainFetcher::ask_again() {
  sources_.window(kCoordinatorSource).reset();
  ask_parts_again(kCoordinatorSource);
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
      // Behind the coordinator there is no other source: it is asked again, ever more patiently.
      sources_.window(id).timed_out();
      ask_parts_again(id);
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
    auto is_it = [&wanted = digest](const FetchSource::UnderWay& grain) {
      return grain.digest == wanted;
    };
    if (std::count_if(grains.begin(), grains.end(), is_it) != 1) {
      return wrong(digest, "under way at a source that does not know of it");
    }
    bool awaited = entry.assembly.asked() > entry.assembly.received();
    if (awaited && !sources_.at(entry.source).window.awaits(digest)) {
      return wrong(digest, "parts of it are awaited that were not asked for");
    }
  }
  if (entries_.empty() || next_tick()) return {};
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("{} grains are wanted and nothing is due", entries_.size())};
}

Status GrainFetcher::validate_counts() const {
  size_t queued = 0;
  size_t under_way = 0;
  uint64_t kept_bytes = 0;
  std::unordered_map<UnitId, size_t> wanted;
  std::unordered_map<SourceId, size_t> units;
  for (const auto& [digest, entry] : entries_) {
    queued += entry.state == State::kQueued ? 1 : 0;
    under_way += entry.state == State::kUnderWay ? 1 : 0;
    if (entry.state != State::kUnderWay) kept_bytes += entry.assembly.received();
    ++wanted[entry.grain.unit];
  }
  bool good = queued == queued_ && under_way == sources_.under_way() &&
              queued + under_way + paused_.size() == entries_.size() &&
              wanted.size() == units_.size() && kept_bytes == kept_bytes_;
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
