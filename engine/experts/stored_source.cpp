// The life of a slab: vacant, then being read (waiters are told when it has come), then resident
// and perhaps viewed, then a victim of the policy. A wave first takes what is resident, plans reads
// for the rest as far as there are slabs, and goes on as views are dropped.
#include "engine/experts/stored_source.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/direct_buffer.h"
#include "engine/base/memory_pages.h"
#include "engine/base/prefault.h"
#include "engine/experts/prefetch_gate.h"
#include "engine/experts/store_origin.h"

namespace potluck {
namespace {

constexpr uint64_t kSlabAlignment = DirectBuffer::kAlignment;
// So many planned reads go out at once: planning a whole wave takes a while, in which the disk
// would have nothing to do.
constexpr size_t kReadsPlanned = 4;

struct Arena {
  Arena(uint64_t slabs, uint64_t slab_bytes)
      : buffer(slabs * slab_bytes, "the cache of experts (--ram)"), begin(buffer.span().data()) {}
  DirectBuffer buffer;
  std::byte* begin;
};

// The place of one entry. Views share it: it may be overwritten when the source's own reference is
// the only one and nothing is being read into it.
struct Slab {
  std::shared_ptr<Arena> arena;
  std::byte* data;
  uint64_t bytes = 0;  // of the entry
  Digest digest{};     // its name
  GrainId id{};        // a grain of it
  bool reading = false;
  uint64_t tag = 0;               // while reading: of the request
  std::vector<size_t> waiters{};  // while reading: indices into the wave

  ByteSpan entry() const { return {data, bytes}; }
};

// One request to the reader: the slabs it fills, in order. Several entries make one request where
// they are neighbors on disk: requests of about 1 MiB reach a disk's full rate.
struct Read {
  std::vector<uint32_t> slabs;
  const ReadableFile* file = nullptr;
  uint64_t end = 0;  // offset behind it
  uint64_t bytes = 0;
  uint64_t disk_bytes = 0;  // that it takes of the disk
  bool is_prefetch = false;
};

uint64_t slab_bytes_of(const EntryOrigin& origin) {
  return std::max(round_up(origin.largest_entry_bytes(), kSlabAlignment), kSlabAlignment);
}

}  // namespace

struct StoredSource::State {
  State(EntryOrigin& from, std::unique_ptr<BlockReader> blocks, const Clock& time,
        const StoredSourceOptions& wanted, uint64_t slab);

  void request(std::span<const GrainId> grains);
  void want(size_t index);
  bool find_in_memory(size_t index);
  bool find_planned(size_t index);
  void give(size_t index, uint32_t slab);
  GrainView view(size_t index, const std::shared_ptr<Slab>& slab) const;
  void start_reads();
  void start_prefetches();
  enum class Plan { kReading, kNoSlab, kFailed };
  Plan plan_read(size_t index);
  Plan plan_read(GrainId id, const Digest& digest, Want want, const EntryPlace& place);
  bool may_prefetch() const;
  Plan plan_prefetch(GrainId id);
  void submit_planned(size_t kept = 0);
  void collect(bool wait);
  void finish(Read& read, const Status& status);
  void finish_slab(uint32_t slab, const Status& status);
  Status wait_for_some();
  void fail(size_t index, Error error) { failures.push_back({index, std::move(error)}); }
  std::optional<uint32_t> take_slab(GrainId id, const Digest& digest, Want want);
  void release(uint32_t slab);
  bool evict(Want want, GrainId for_id);
  uint64_t held() const { return slabs.size() - vacant.size(); }
  void set_limit(uint64_t bytes);
  void keep_limit();
  void gather_low();
  bool in_use(uint32_t slab) const { return slabs[slab].use_count() > 1 || slabs[slab]->reading; }
  Error no_room() const;
  bool wave_complete() const { return next_missing == missing.size() && awaited == 0; }

  EntryOrigin& origin;
  const Clock& clock;
  StoredSourceOptions options;
  uint64_t slab_bytes;
  uint64_t read_bytes;
  uint64_t all_entries;  // of the model
  CachePolicy policy;    // in units of whole slabs
  PrefetchGate gate;
  std::shared_ptr<Arena> arena;
  std::unique_ptr<Prefault> prefault;  // of the arena; or null
  std::vector<std::shared_ptr<Slab>> slabs;
  std::vector<uint32_t> vacant;
  uint64_t limit = 0;       // slabs in use at most
  bool gives_back = false;  // memory beyond the limit is with the system, or is to be
  std::unordered_map<Digest, uint32_t> slab_of;
  StoreCounters statistics;  // without the policy's part

  std::vector<GrainId> wave;
  std::vector<EntryPart> parts;  // of the wave's grains, as far as the model has them
  std::vector<Arrival> ready;
  std::vector<size_t> missing;  // indices into the wave, in its order
  size_t next_missing = 0;      // the first whose read has not started
  size_t awaited = 0;           // grains of the wave being read
  std::vector<uint32_t> awaited_slabs;
  std::vector<GrainId> prefetch;
  Want prefetch_want = Want::kPerhaps;
  size_t next_prefetch = 0;
  std::vector<Failure> failures;  // of the wave, not yet returned by take()
  std::optional<GrainId> failed;  // the first of those that take() returned
  TimePoint reading_since{0};

  std::vector<Read> reads;  // by tag
  std::vector<uint64_t> spare_tags;
  std::vector<uint64_t> planned;  // tags of reads that were not submitted yet
  std::vector<BlockRead> requests;
  std::vector<BlockReadDone> done;
  // Last: its destructor waits for reads into the slabs.
  std::unique_ptr<BlockReader> reader;
};

StoredSource::State::State(EntryOrigin& from, std::unique_ptr<BlockReader> blocks,
                           const Clock& time, const StoredSourceOptions& wanted, uint64_t slab)
    : origin(from),
      clock(time),
      options(wanted),
      slab_bytes(slab),
      read_bytes(wanted.read_bytes == 0 ? kReadBytes : wanted.read_bytes),
      all_entries(from.entries()),
      policy(std::min(wanted.budget_bytes / slab, all_entries)),
      reader(std::move(blocks)) {
  uint64_t count = std::min(wanted.budget_bytes / slab, all_entries);
  limit = count;
  if (count == 0) return;
  arena = std::make_shared<Arena>(count, slab);
  if (options.prefault_bytes > 0) {
    prefault = std::make_unique<Prefault>(MutableByteSpan{arena->begin, count * slab},
                                          options.prefault_bytes);
  }
  for (uint64_t i = 0; i < count; ++i) {
    slabs.push_back(std::make_shared<Slab>(Slab{arena, arena->begin + i * slab}));
  }
  for (uint64_t i = count; i > 0; --i) vacant.push_back(static_cast<uint32_t>(i - 1));
}

void StoredSource::State::request(std::span<const GrainId> grains) {
  for (uint32_t slab : awaited_slabs) slabs[slab]->waiters.clear();
  awaited_slabs.clear();
  wave.assign(grains.begin(), grains.end());
  parts.assign(wave.size(), {});
  ready.clear();
  missing.clear();
  next_missing = 0;
  awaited = 0;
  failures.clear();
  failed.reset();
  if (!wave.empty()) {
    policy.begin_step(wave.front().layer);
    gate.begin_wave(wave.front().layer);
  }
  for (size_t i = 0; i < wave.size(); ++i) want(i);
  reading_since = clock.now();
  start_reads();
}

void StoredSource::State::want(size_t index) {
  GrainId id = wave[index];
  if (!origin.contains(id)) {
    return fail(index, {ErrorCode::kNotFound,
                        fmt::format("the manifest has no grain {} of expert {} in layer {}",
                                    id.grain, id.expert, id.layer)});
  }
  parts[index] = origin.part_of(id);
  if (!find_in_memory(index)) missing.push_back(index);
}

// True if the grain is in memory, is on its way there, or has failed for good.
bool StoredSource::State::find_in_memory(size_t index) {
  const Digest& digest = parts[index].entry;
  auto found = slab_of.find(digest);
  if (found == slab_of.end()) return false;
  const Slab& slab = *slabs[found->second];
  if (uint64_t wanted = parts[index].entry_bytes; slab.bytes != wanted) {
    fail(index, other_length(digest, slab.bytes, wanted));
    return true;
  }
  if (policy.is_prefetched(digest)) {
    gate.used(slab.id.layer);
    // What was a guess is wanted now: it must not wait behind the reads of this wave.
    if (slab.reading) reader->promote(slab.tag);
  }
  // Grains of one entry are neighbors in the wave; together they use it once.
  if (index == 0 || parts[index - 1].entry != digest) policy.touch(digest);
  give(index, found->second);
  return true;
}

// Hands the grain of this slab to the wave at `index`: now, or once it was read.
void StoredSource::State::give(size_t index, uint32_t slab) {
  const std::shared_ptr<Slab>& from = slabs[slab];
  if (from->reading) {
    from->waiters.push_back(index);
    awaited_slabs.push_back(slab);
    ++awaited;
  } else {
    ready.push_back({index, view(index, from)});
  }
}

GrainView StoredSource::State::view(size_t index, const std::shared_ptr<Slab>& slab) const {
  return {slab->entry().subspan(parts[index].offset, parts[index].bytes), slab};
}

void StoredSource::State::start_reads() {
  for (; next_missing < missing.size(); ++next_missing) {
    size_t index = missing[next_missing];
    // An equal grain earlier in this wave, or of the same entry, may have been planned meanwhile.
    if (find_planned(index)) continue;
    Plan plan = plan_read(index);
    if (plan == Plan::kNoSlab) break;
    if (plan == Plan::kFailed) continue;
    // The last planned read is kept back: the next grain may continue it.
    if (planned.size() > kReadsPlanned) submit_planned(1);
    give(index, slab_of.at(parts[index].entry));
  }
  submit_planned();
}

bool StoredSource::State::find_planned(size_t index) {
  const EntryPart& part = parts[index];
  auto found = slab_of.find(part.entry);
  if (found == slab_of.end()) return false;
  if (uint64_t bytes = slabs[found->second]->bytes; bytes != part.entry_bytes) {
    fail(index, other_length(part.entry, bytes, part.entry_bytes));
  } else {
    give(index, found->second);
  }
  return true;
}

// Guesses are read while the disk would be idle, and only as many as it takes at once: queued ones
// would delay the next wave. What is needed soon is the next wave: all of it queues as soon as the
// reads of this one are planned, so that the disk does not wait while a layer is computed.
bool StoredSource::State::may_prefetch() const {
  if (next_prefetch == prefetch.size()) return false;
  if (prefetch_want == Want::kSoon) return next_missing == missing.size();
  return wave_complete() && reader->outstanding() + planned.size() < reader->depth();
}

void StoredSource::State::start_prefetches() {
  while (may_prefetch()) {
    // Without a slab now, perhaps with one once the views of this wave are dropped.
    if (plan_prefetch(prefetch[next_prefetch]) == Plan::kNoSlab) break;
    ++next_prefetch;
    if (planned.size() > kReadsPlanned) submit_planned(1);
  }
  submit_planned();
}

StoredSource::State::Plan StoredSource::State::plan_prefetch(GrainId id) {
  // A prefetch may be the guess of another machine, and name anything.
  if (!origin.contains(id)) return Plan::kFailed;
  if (prefetch_want == Want::kPerhaps && !gate.open(id.layer)) return Plan::kFailed;
  Digest digest = origin.part_of(id).entry;
  if (slab_of.contains(digest) || !origin.has(id)) return Plan::kFailed;
  Result<EntryPlace> place = origin.find(id);
  return place ? plan_read(id, digest, prefetch_want, *place) : Plan::kFailed;
}

StoredSource::State::Plan StoredSource::State::plan_read(size_t index) {
  Result<EntryPlace> place = origin.find(wave[index]);
  if (place) return plan_read(wave[index], parts[index].entry, Want::kNow, *place);
  fail(index, place.error());
  return Plan::kFailed;
}

// Gives the entry a slab and adds it to the planned reads: to the last one, if it continues it.
StoredSource::State::Plan StoredSource::State::plan_read(GrainId id, const Digest& digest,
                                                         Want want, const EntryPlace& place) {
  std::optional<uint32_t> taken = take_slab(id, digest, want);
  if (!taken) return Plan::kNoSlab;
  Slab& slab = *slabs[*taken];
  slab.bytes = place.bytes;
  slab.digest = digest;
  slab.id = id;
  slab.reading = true;
  Read* last = planned.empty() ? nullptr : &reads[planned.back()];
  bool continues = last != nullptr && last->file == place.file && last->end == place.offset &&
                   last->slabs.size() < BlockParts::kMost &&
                   last->bytes + place.bytes <= read_bytes;
  if (!continues) {
    if (spare_tags.empty()) {
      spare_tags.push_back(reads.size());
      reads.emplace_back();
    }
    planned.push_back(spare_tags.back());
    spare_tags.pop_back();
    last = &reads[planned.back()];
    *last = {{}, place.file, place.offset, 0, 0, want != Want::kNow};
  }
  slab.tag = planned.back();
  last->slabs.push_back(*taken);
  last->end += place.bytes;
  last->bytes += place.bytes;
  last->disk_bytes += place.disk_bytes;
  return Plan::kReading;
}

// All but the last `kept`.
void StoredSource::State::submit_planned(size_t kept) {
  if (planned.size() <= kept) return;
  requests.clear();
  auto end = planned.end() - static_cast<ptrdiff_t>(kept);
  for (auto tag = planned.begin(); tag != end; ++tag) {
    const Read& read = reads[*tag];
    BlockRead request{read.file, read.end - read.bytes, {}, *tag, read.is_prefetch};
    for (uint32_t slab : read.slabs) {
      request.parts.push_back({slabs[slab]->data, slabs[slab]->bytes});
    }
    requests.push_back(request);
  }
  planned.erase(planned.begin(), end);
  reader->submit(requests);
}

void StoredSource::State::collect(bool wait) {
  done.clear();
  reader->collect(&done, wait);
  bool reading = !wave_complete();
  for (const BlockReadDone& result : done) {
    Read read = std::move(reads[result.tag]);
    spare_tags.push_back(result.tag);
    finish(read, result.status);
  }
  if (reading && wave_complete()) statistics.reading += nanoseconds(clock.now() - reading_since);
}

void StoredSource::State::finish(Read& read, const Status& status) {
  for (uint32_t slab : read.slabs) finish_slab(slab, status);
  if (!status) return;
  statistics.work.disk_bytes += read.disk_bytes;
  if (read.is_prefetch) statistics.work.prefetched_bytes += read.disk_bytes;
}

// An entry has come. The waiting places of the wave get theirs if its bytes match its checksum.
void StoredSource::State::finish_slab(uint32_t index, const Status& status) {
  const std::shared_ptr<Slab>& slab = slabs[index];
  slab->reading = false;
  // Compared once per read and not per use: what is in memory was right when it came.
  Status good = status ? origin.verify(slab->digest, slab->entry()) : status;
  std::vector<size_t> waiters = std::exchange(slab->waiters, {});
  awaited -= waiters.size();
  if (!good) {
    if (good.error().code == ErrorCode::kCorrupt) ++statistics.corrupt_grains;
    release(index);
    for (size_t waiter : waiters) fail(waiter, good.error());
    return;
  }
  for (size_t waiter : waiters) ready.push_back({waiter, view(waiter, slab)});
}

// The coldest grain without views makes room for another one, if one may go for it.
bool StoredSource::State::evict(Want want, GrainId for_id) {
  auto victim = policy.victim(want, [&](const Digest& key) {
    uint32_t slab = slab_of.at(key);
    // What is read ahead for a layer does not push out what it has: that is needed as soon.
    return !in_use(slab) && (want == Want::kNow || slabs[slab]->id.layer != for_id.layer);
  });
  if (!victim) return false;
  uint32_t slab = slab_of.at(*victim);
  if (policy.is_prefetched(*victim)) gate.wasted(slabs[slab]->id.layer);
  release(slab);
  return true;
}

void StoredSource::State::set_limit(uint64_t bytes) {
  if (slabs.empty()) return;
  const uint64_t wanted = std::clamp<uint64_t>(bytes / slab_bytes, 1, slabs.size());
  gives_back = wanted < limit || (gives_back && wanted < slabs.size());
  if (gives_back) prefault.reset();  // what is prepared ahead is memory, too
  limit = wanted;
  keep_limit();
}

// What views and reads hold stays until the next call.
void StoredSource::State::keep_limit() {
  if (!gives_back) return;
  const uint64_t before = held();
  while (held() > limit && evict(Want::kNow, {})) {
  }
  if (held() > limit) return;
  gives_back = false;
  if (before > 0) gather_low();
  // Pages of the arena's end, in one piece: half of a huge page is not given back.
  std::vector<bool> unused(slabs.size());
  for (const std::shared_ptr<Slab>& slab : slabs) {
    const auto place = static_cast<uint64_t>(slab->data - arena->begin) / slab_bytes;
    unused[place] = place >= limit && !slab->reading && slab.use_count() == 1;
  }
  // Slabs side by side together: where one ends, a page need not.
  for (auto begin = unused.begin(); begin != unused.end();) {
    begin = std::find(begin, unused.end(), true);
    const auto end = std::find(begin, unused.end(), false);
    const auto first = static_cast<uint64_t>(begin - unused.begin());
    const auto count = static_cast<uint64_t>(end - begin);
    give_back_pages({arena->begin + first * slab_bytes, count * slab_bytes});
    begin = end;
  }
}

// Brings what is in the arena's upper part, beyond the limit, down to where slabs are vacant. A
// slab keeps its name and changes its memory.
void StoredSource::State::gather_low() {
  auto place_of = [&](uint32_t slab) {
    return static_cast<uint64_t>(slabs[slab]->data - arena->begin) / slab_bytes;
  };
  std::vector<uint32_t> low;
  for (uint32_t slab : vacant) {
    if (place_of(slab) < limit) low.push_back(slab);
  }
  for (const auto& [digest, slab] : slab_of) {
    if (low.empty()) break;
    if (place_of(slab) < limit || in_use(slab)) continue;
    std::copy_n(slabs[slab]->data, slabs[slab]->bytes, slabs[low.back()]->data);
    std::swap(slabs[slab]->data, slabs[low.back()]->data);
    low.pop_back();
  }
  // Slabs are taken from the end: the low ones first.
  std::sort(vacant.begin(), vacant.end(),
            [&](uint32_t a, uint32_t b) { return place_of(a) > place_of(b); });
}

// A vacant slab, or that of the coldest grain without views.
std::optional<uint32_t> StoredSource::State::take_slab(GrainId id, const Digest& digest,
                                                       Want want) {
  while (held() >= limit) {
    if (!evict(want, id)) return std::nullopt;
  }
  uint32_t slab = vacant.back();
  vacant.pop_back();
  // Slabs are taken in order of address until all have been used once.
  if (prefault != nullptr) prefault->used((slab + uint64_t{1}) * slab_bytes);
  slab_of[digest] = slab;
  policy.admit(digest, want != Want::kNow);
  return slab;
}

void StoredSource::State::release(uint32_t index) {
  Slab& slab = *slabs[index];
  policy.erase(slab.digest);
  slab_of.erase(slab.digest);
  vacant.push_back(index);
}

Error StoredSource::State::no_room() const {
  return {ErrorCode::kLimit,
          fmt::format("the cache of {} bytes holds {} parts of up to {} bytes, all in use",
                      std::min(options.budget_bytes, limit * slab_bytes), limit, slab_bytes)};
}

StoredSource::StoredSource(EntryOrigin& origin, std::unique_ptr<BlockReader> reader,
                           const Clock& clock, const StoredSourceOptions& options)
    : state_(std::make_unique<State>(origin, std::move(reader), clock, options,
                                     slab_bytes_of(origin))) {}

StoredSource::StoredSource(const Manifest& manifest, GrainStore& store,
                           std::unique_ptr<BlockReader> reader, const Clock& clock,
                           const StoredSourceOptions& options)
    : own_origin_(std::make_unique<StoreOrigin>(manifest, store)),
      state_(std::make_unique<State>(*own_origin_, std::move(reader), clock, options,
                                     slab_bytes_of(*own_origin_))) {}

StoredSource::~StoredSource() = default;

void StoredSource::set_limit(uint64_t bytes) {
  state_->set_limit(bytes);
}

void StoredSource::request(std::span<const GrainId> wave) {
  state_->keep_limit();
  state_->request(wave);
}

// Waits until something has come or failed, or nothing more can come.
Status StoredSource::State::wait_for_some() {
  collect(false);
  start_reads();
  start_prefetches();
  while (failures.empty() && ready.empty() && !wave_complete()) {
    // Prefetches under way hold slabs, too.
    // Nothing is on its way and no slab is free: all of them are held by views.
    if (reader->outstanding() == 0) return no_room();
    TimePoint start = clock.now();
    collect(true);
    statistics.work.disk += nanoseconds(clock.now() - start);
    start_reads();
    start_prefetches();
  }
  return {};
}

Status StoredSource::take_each(std::vector<Arrival>* arrivals, std::vector<Failure>* failures) {
  State& state = *state_;
  if (Status waited = state.wait_for_some(); !waited) return waited;
  std::move(state.ready.begin(), state.ready.end(), std::back_inserter(*arrivals));
  std::move(state.failures.begin(), state.failures.end(), std::back_inserter(*failures));
  state.ready.clear();
  state.failures.clear();
  state.start_prefetches();
  return {};
}

Status StoredSource::take(std::vector<Arrival>* arrivals) {
  std::vector<Failure> failures;
  size_t before = arrivals->size();
  if (Status taken = take_each(arrivals, &failures); !taken) return taken;
  if (failures.empty()) return {};
  arrivals->erase(arrivals->begin() + static_cast<ptrdiff_t>(before), arrivals->end());
  state_->failed = state_->wave[failures.front().index];
  return failures.front().error;
}

void StoredSource::prefetch(std::span<const GrainId> grains, Want want) {
  if (!reads_ahead(state_->options.read_ahead, want)) return;
  state_->prefetch.assign(grains.begin(), grains.end());
  state_->prefetch_want = want;
  state_->next_prefetch = 0;
}

// If every grain has a slab, the whole model is in memory soon and there is nothing to gain.
ReadAhead StoredSource::read_ahead() const {
  return uses_disk() ? state_->options.read_ahead : ReadAhead::kOff;
}

bool StoredSource::uses_disk() const {
  return state_->limit < state_->all_entries;
}

std::optional<GrainId> StoredSource::failed_grain() const {
  return state_->failed;
}

StoreCounters StoredSource::statistics() const {
  return state_->statistics + state_->policy.counters();
}

uint64_t StoredSource::resident_bytes() const {
  return (state_->slabs.size() - state_->vacant.size()) * state_->slab_bytes;
}

void StoredSource::wait_for_memory() {
  if (state_->prefault != nullptr) state_->prefault->wait();
}

std::string_view StoredSource::reader_name() const {
  return state_->reader->name();
}

}  // namespace potluck
