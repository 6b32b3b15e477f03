// The order of writing decides what a crash can leave: first the grain, then its entry in the
// index. At worst an entry names bytes that did not reach the disk, and the checksum in the entry
// finds that out.
#include "engine/experts/grain_store.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <xxhash.h>

#include "engine/base/buffer.h"
#include "engine/base/check.h"
#include "engine/base/format_bytes.h"

namespace potluck {
namespace {

bool page_aligned(const void* memory) {
  return reinterpret_cast<uintptr_t>(memory) % kPageBytes == 0;
}

// Page-aligned memory; small buffers are not by themselves.
struct PageBuffer {
  explicit PageBuffer(uint64_t bytes) : buffer(bytes + kPageBytes) {
    uint64_t past = reinterpret_cast<uintptr_t>(buffer.data()) % kPageBytes;
    pages = buffer.span().subspan(past == 0 ? 0 : kPageBytes - past, bytes);
  }
  Buffer buffer;
  MutableByteSpan pages;
};

Status read_place(const GrainPlace& place, MutableByteSpan out) {
  if (place.file->direct_alignment() == 1 || page_aligned(out.data())) {
    return place.file->read_at(place.offset, out);
  }
  PageBuffer aligned(out.size());
  Status read = place.file->read_at(place.offset, aligned.pages);
  if (read) std::copy(aligned.pages.begin(), aligned.pages.end(), out.begin());
  return read;
}

}  // namespace

uint64_t grain_checksum(ByteSpan grain) {
  return XXH3_64bits(grain.data(), grain.size());
}

GrainStore::GrainStore(Storage& storage, std::string directory, uint64_t quota_bytes,
                       const WriteRules& rules)
    : storage_(storage),
      directory_(std::move(directory)),
      quota_bytes_(quota_bytes),
      writes_(storage, directory_ + "/writes", rules) {}

GrainStore::~GrainStore() {
  if (index_ != nullptr) (void)flush();
}

Result<std::unique_ptr<GrainStore>> GrainStore::open(Storage& storage, std::string directory,
                                                     uint64_t quota_bytes,
                                                     const WriteRules& rules) {
  std::unique_ptr<GrainStore> store(
      new GrainStore(storage, std::move(directory), quota_bytes, rules));
  if (Status opened = store->open_files(); !opened) return opened.error();
  return store;
}

Status GrainStore::flush() {
  // Segments before the index, so that entries which survive a power cut name bytes that do.
  for (auto& [number, segment] : segments_) {
    if (!segment.unsynced) continue;
    auto file = writer(number);
    if (!file) return file.error();
    if (Status synced = (*file)->sync(); !synced) return synced;
    segment.unsynced = false;
  }
  if (Status synced = index_->sync(); !synced) return synced;
  unsynced_bytes_ = 0;
  (void)writes_.save();  // less is then known of the past, and nothing is lost
  return {};
}

std::vector<LogEvent> GrainStore::take_notices() {
  return std::exchange(notices_, {});
}

void GrainStore::warn(std::string text, std::vector<LogField> fields) {
  constexpr size_t kMostNotices = 100;  // the caller reads no more, and may never take them
  if (notices_.size() >= kMostNotices) return;
  notices_.push_back({LogLevel::kWarning, kStoreComponent, std::move(text), std::move(fields)});
}

Result<const ReadableFile*> GrainStore::reader(uint32_t segment) {
  std::unique_ptr<ReadableFile>& file = segments_.at(segment).file;
  if (file == nullptr) {
    auto opened = storage_.open(segment_path(segment), ReadMode::kDirect);
    if (!opened) return opened.error();
    file = std::move(*opened);
  }
  return file.get();
}

const ReadableFile* GrainStore::sample_file() {
  if (segments_.empty()) return nullptr;
  auto file = reader(segments_.begin()->first);
  return file ? *file : nullptr;
}

Result<WritableFile*> GrainStore::writer(uint32_t segment) {
  if (writer_ == nullptr || writer_segment_ != segment) {
    auto opened = storage_.open_writable(segment_path(segment), WriteMode::kDirect);
    if (!opened) return opened.error();
    writer_ = std::move(*opened);
    writer_segment_ = segment;
  }
  return writer_.get();
}

// --- Reading -------------------------------------------------------------------------------------

Result<GrainPlace> GrainStore::find(const Digest& digest) {
  auto found = records_.find(digest);
  if (found == records_.end()) {
    return Error{ErrorCode::kNotFound,
                 fmt::format("{}: grain {} is not in the store", directory_, digest.hex())};
  }
  const GrainRecord& record = found->second;
  auto file = reader(record.run.segment);
  if (!file) return file.error();
  return GrainPlace{*file, record.run.offset(), record.run.bytes(), record.checksum};
}

Status GrainStore::verify(const Digest& digest, ByteSpan bytes) {
  auto found = records_.find(digest);
  if (found == records_.end()) {
    return Error{ErrorCode::kNotFound,
                 fmt::format("{}: grain {} is not in the store", directory_, digest.hex())};
  }
  const GrainRecord& record = found->second;
  if (bytes.size() != record.run.bytes()) return wrong_length(digest, bytes.size());
  if (grain_checksum(bytes) == record.checksum) return {};
  report_loss(digest);
  return drop_altered(digest, "its checksum is not what it was");
}

// The caller asked for the wrong length. The grain itself is not damaged.
Error GrainStore::wrong_length(const Digest& digest, uint64_t wanted) const {
  return {ErrorCode::kInvalidArgument,
          fmt::format("{}: grain {} was asked for with {} bytes, it has {}", directory_,
                      digest.hex(), wanted, records_.at(digest).run.bytes())};
}

bool GrainStore::contains(const Digest& digest, uint64_t bytes) const {
  auto found = records_.find(digest);
  return found != records_.end() && found->second.run.bytes() == bytes;
}

std::vector<Digest> GrainStore::digests() const {
  std::vector<Place> places;
  places.reserve(records_.size());
  for (const auto& [digest, record] : records_) places.push_back({record.run, digest});
  std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
    return std::pair(a.run.segment, a.run.page) < std::pair(b.run.segment, b.run.page);
  });
  std::vector<Digest> digests;
  digests.reserve(places.size());
  for (const Place& place : places) digests.push_back(place.digest);
  return digests;
}

Status GrainStore::read(const Digest& digest, MutableByteSpan out) {
  auto place = find(digest);
  if (!place) return place.error();
  if (place->bytes != out.size()) return wrong_length(digest, out.size());
  if (Status read = read_place(*place, out); !read) return read;
  return verify(digest, out);
}

// A file of its own that is missing or too short is no reason: what it held is lost, and all else
// is there.
bool GrainStore::answers() {
  if (!storage_.exists(directory_ + "/index")) return false;
  if (segments_.empty()) return storage_.free_bytes(directory_).ok();
  auto file = storage_.open(segment_path(segments_.begin()->first), ReadMode::kDirect);
  if (!file) return file.error().code != ErrorCode::kIo;
  if ((*file)->size() < kPageBytes) return true;
  PageBuffer page(kPageBytes);
  Status read = (*file)->read_at(0, page.pages);
  return read || read.error().code != ErrorCode::kIo;
}

bool GrainStore::reachable() {
  if (!gone_ && !answers()) {
    gone_ = gone_untold_ = true;
    warn(fmt::format("{}: the disk cannot be reached any more", directory_),
         {{"store", directory_}});
  }
  return !gone_;
}

bool GrainStore::reconnect() {
  if (!gone_) return true;
  if (!answers()) return false;
  for (auto& [number, segment] : segments_) segment.file.reset();
  writer_.reset();
  GrainRecords ignored;
  auto index = GrainIndex::open(storage_, directory_ + "/index", &ignored, &notices_);
  if (!index) return false;
  index_ = std::move(*index);
  gone_ = gone_untold_ = false;
  return true;
}

void GrainStore::distrust(const Digest& digest) {
  if (!contains(digest) || gone_) return;
  report_loss(digest);
  quarantine(digest);
}

// Losses beyond the limit are not listed: the owner of the units finds them at its next check.
void GrainStore::report_loss(const Digest& digest) {
  constexpr size_t kMostLost = 64 * 1024;
  if (lost_.size() < kMostLost) lost_.push_back(digest);
}

// The pages are not given back: it is not known what is wrong with them. A bad sector would spoil
// the next grain as well.
void GrainStore::quarantine(const Digest& digest) {
  PageRun run = records_.at(digest).run;
  quarantine_.push_back(run);
  quarantined_bytes_ += run.bytes();
  forget(digest);
}

Error GrainStore::drop_altered(const Digest& digest, const std::string& found) {
  PageRun run = records_.at(digest).run;
  Digest name = digest;  // may live in the record
  quarantine(name);
  return {ErrorCode::kCorrupt,
          fmt::format("{}: grain {} at {}: {}; the grain was dropped", segment_path(run.segment),
                      name.hex(), run.offset(), found)};
}

// --- Writing -------------------------------------------------------------------------------------

Status GrainStore::check_size(const Digest& digest, ByteSpan grain) const {
  uint64_t bytes = grain.size();
  if (bytes > 0 && bytes % kPageBytes == 0 && bytes <= limits::kGrainBytes) return {};
  return Error{ErrorCode::kInvalidArgument,
               fmt::format("grain {}: {} bytes, expected a multiple of {}, at most {}",
                           digest.hex(), bytes, kPageBytes, limits::kGrainBytes)};
}

Status GrainStore::check_room(uint64_t bytes) const {
  if (charged_bytes() > quota_bytes_ || bytes > quota_bytes_ - charged_bytes()) {
    return Error{ErrorCode::kLimit,
                 fmt::format("{}: {} bytes wanted, {} of the quota of {} are in use", directory_,
                             bytes, charged_bytes(), quota_bytes_)};
  }
  if (bytes > writes_.allowance()) {
    return Error{ErrorCode::kLimit,
                 fmt::format("{}: {} bytes wanted, {}", directory_, bytes, what_limits_room())};
  }
  auto available = storage_.free_bytes(directory_);
  if (!available) return available.error();
  if (*available < limits::kDiskReserveBytes || bytes > *available - limits::kDiskReserveBytes) {
    return Error{ErrorCode::kLimit,
                 fmt::format("{}: {} bytes wanted, the disk has {} left, and {} stay free",
                             directory_, bytes, *available, limits::kDiskReserveBytes)};
  }
  return {};
}

uint64_t GrainStore::room_bytes() const {
  if (gone_) return 0;
  uint64_t quota = quota_bytes_ - std::min(charged_bytes(), quota_bytes_);
  auto available = storage_.free_bytes(directory_);
  if (!available) return 0;
  const uint64_t disk = *available - std::min(*available, limits::kDiskReserveBytes);
  return std::min({quota, disk, writes_.allowance()});
}

std::string GrainStore::what_limits_room() const {
  auto available = storage_.free_bytes(directory_);
  if (!available || gone_) return "its disk cannot be reached";
  const uint64_t quota = quota_bytes_ - std::min(charged_bytes(), quota_bytes_);
  const uint64_t disk = *available - std::min(*available, limits::kDiskReserveBytes);
  if (writes_.allowance() < std::min(quota, disk)) {
    return fmt::format("it has written {} of the {} that it may write a day",
                       format_bytes(writes_.today()), format_bytes(writes_.most_per_day()));
  }
  if (disk < quota) return fmt::format("its disk has {} left", format_bytes(*available));
  return fmt::format("{} of the {} that it may take are taken", format_bytes(charged_bytes()),
                     format_bytes(quota_bytes_));
}

Status GrainStore::put(const Digest& digest, ByteSpan grain) {
  if (Status valid = check_size(digest, grain); !valid) return valid;
  if (Digest found = sha256(grain); found != digest) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("grain {}: its SHA-256 is {}", digest.hex(), found.hex())};
  }
  return put_trusted(digest, grain);
}

Status GrainStore::put_trusted(const Digest& digest, ByteSpan grain) {
  if (Status valid = check_size(digest, grain); !valid) return valid;
  if (contains(digest)) return {};
  if (gone_) return Error{ErrorCode::kLimit, directory_ + ": the disk cannot be reached"};
  // Asked before anything is written: a disk that is filled to the brim hurts every program on the
  // machine.
  if (Status room = check_room(grain.size()); !room) return room;
  auto run = find_space(static_cast<uint32_t>(grain.size() / kPageBytes));
  if (!run) return run.error();
  if (Status written = write(digest, grain, *run); !written) {
    give_back(*run);
    bool full = written.error().code == ErrorCode::kLimit;
    auto left = storage_.free_bytes(directory_);
    if (!full || !left) return written;
    return written.error().in(
        fmt::format("{}: {} bytes wanted, the disk has {} left", directory_, grain.size(), *left));
  }
  if (unsynced_bytes_ < kFlushBytes) return {};
  return flush();
}

Result<PageRun> GrainStore::find_space(uint32_t pages) {
  if (auto run = space_.allocate(pages)) return *run;
  uint32_t number = segments_.empty() ? 0 : segments_.rbegin()->first + 1;
  if (number >= kMostSegments) {
    return Error{ErrorCode::kLimit, fmt::format("{}: no number is left for another segment; the "
                                                "last is {}",
                                                directory_, segment_path(number - 1))};
  }
  segments_.try_emplace(number);
  space_.release({number, 0, kSegmentPages});
  auto run = space_.allocate(pages);
  CHECK(run);
  return *run;
}

// The index names the grain only after all of it was written.
Status GrainStore::write(const Digest& digest, ByteSpan grain, const PageRun& run) {
  auto file = writer(run.segment);
  if (!file) return file.error();
  Segment& segment = segments_.at(run.segment);
  segment.unsynced = true;
  // Space is reserved first: a full disk shows before the first byte.
  if (Status space = (*file)->allocate(run.offset(), run.bytes()); !space) return space;
  if (Status written = (*file)->write_at(run.offset(), grain); !written) return written;
  GrainRecord record{run, 0, grain_checksum(grain)};
  if (Status noted = index_->put(digest, &record); !noted) return noted;
  records_[digest] = record;
  writes_.wrote(run.bytes() + GrainIndex::kEntryBytes);
  used_bytes_ += run.bytes();
  unsynced_bytes_ += run.bytes();
  return {};
}

void GrainStore::remove(const Digest& digest) {
  if (gone_) return;
  auto found = records_.find(digest);
  if (found == records_.end()) return;
  PageRun run = found->second.run;
  forget(digest);
  give_back(run);
}

// If the removal cannot be logged, the grain comes back when the store is next opened; its checksum
// tells whether it is still there.
void GrainStore::forget(const Digest& digest) {
  Digest name = digest;  // may live in the record
  auto found = records_.find(name);
  used_bytes_ -= found->second.run.bytes();
  records_.erase(found);
  (void)index_->remove(name);
  writes_.wrote(GrainIndex::kEntryBytes);
}

// To the disk and to later grains.
void GrainStore::give_back(const PageRun& run) {
  space_.release(run);
  auto file = writer(run.segment);
  if (!file || run.offset() >= (*file)->size()) return;
  segments_.at(run.segment).unsynced = true;
  Status punched = (*file)->punch(run.offset(), run.bytes());
  // Holes take room here, so waiting for a long one would waste the disk.
  if (!punched && punched.error().code == ErrorCode::kUnsupported) space_.reuse_every_hole();
}

// --- Scrubbing -----------------------------------------------------------------------------------

ScrubResult GrainStore::scrub(uint64_t most_bytes) {
  ScrubResult result;
  if (gone_) {
    result.round_complete = true;
    return result;
  }
  do {
    while (to_scrub_.empty()) {
      if (next_scrubbed_segment()) continue;
      result.round_complete = true;
      return result;
    }
    Place place = to_scrub_.back();
    to_scrub_.pop_back();
    auto found = records_.find(place.digest);
    bool there = found != records_.end() && found->second.run == place.run;
    if (there) scrub_grain(place, &result);
  } while (result.bytes_read < most_bytes);
  return result;
}

// Lists the grains of the next segment; false after the last one. Pages that were in quarantine for
// a whole round are given back then.
bool GrainStore::next_scrubbed_segment() {
  auto next = segments_.lower_bound(next_scrubbed_);
  if (next == segments_.end()) {
    auto end = quarantine_.begin() + static_cast<ptrdiff_t>(quarantined_before_round_);
    for (auto run = quarantine_.begin(); run != end; ++run) {
      quarantined_bytes_ -= run->bytes();
      give_back(*run);
    }
    quarantine_.erase(quarantine_.begin(), end);
    quarantined_before_round_ = quarantine_.size();
    next_scrubbed_ = 0;
    return false;
  }
  next_scrubbed_ = next->first + 1;
  for (const auto& [digest, record] : records_) {
    if (record.run.segment == next->first) to_scrub_.push_back({record.run, digest});
  }
  // Last first, since they are taken from the end: the disk is read in ascending order.
  std::sort(to_scrub_.begin(), to_scrub_.end(),
            [](const Place& a, const Place& b) { return a.run.page > b.run.page; });
  return true;
}

// A place that cannot be read twice in a row will not heal by waiting: that grain is dropped, too.
// Memory and descriptors that are short say nothing about the disk: it is looked at next time.
void GrainStore::scrub_grain(const Place& place, ScrubResult* result) {
  PageBuffer buffer(place.run.bytes());
  result->bytes_read += place.run.bytes();
  auto found = find(place.digest);
  const bool gone = !found && found.error().code == ErrorCode::kNotFound;
  if (!found && !gone) return;
  Status read = gone ? Status(found.error()) : found->file->read_at(found->offset, buffer.pages);
  if (!read && !gone) read = found->file->read_at(found->offset, buffer.pages);
  if (!read && read.error().code == ErrorCode::kLimit) return;
  if (!read && !reachable()) return;
  // SHA-256 and not the checksum: the scrub also finds what was wrong before the checksum was made.
  if (read && sha256(buffer.pages) == place.digest) return;
  std::string why = read ? "its SHA-256 is not its name" : read.error().message;
  result->findings.push_back(drop_altered(place.digest, why).message);
  result->lost.push_back(place.digest);
}

}  // namespace potluck
