// An append-only log of fixed-size entries. A torn or flipped entry costs itself: its neighbors
// have checksums and places of their own.
#include "engine/experts/grain_index.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>
#include <xxhash.h>

namespace potluck {
namespace {

constexpr size_t kEntryBytes = GrainIndex::kEntryBytes;
constexpr size_t kSummed = kEntryBytes - sizeof(uint64_t);
constexpr uint32_t kPut = 0x31504750;     // "PGP1"
constexpr uint32_t kRemove = 0x31524750;  // "PGR1"
// 4 MiB of the log at a time.
constexpr uint64_t kReadEntries = 64 * kKiB;
// A shorter log is not worth rewriting.
constexpr uint64_t kCompactFrom = 1024;

using Entry = std::array<std::byte, kEntryBytes>;

Entry make_entry(uint32_t kind, const Digest& digest, const GrainRecord& record) {
  Entry entry{};
  store(&entry[0], kind);
  store(&entry[4], digest.bytes);
  store(&entry[36], record.run.segment);
  store(&entry[40], record.run.page);
  store(&entry[44], record.run.pages);
  store(&entry[48], record.checksum);
  store(&entry[kSummed], static_cast<uint64_t>(XXH3_64bits(entry.data(), kSummed)));
  return entry;
}

bool intact(ByteSpan entry) {
  return load<uint64_t>(&entry[kSummed]) == XXH3_64bits(entry.data(), kSummed);
}

GrainRecord record_of(ByteSpan entry, uint64_t serial) {
  GrainRecord record;
  record.run = {load<uint32_t>(&entry[36]), load<uint32_t>(&entry[40]), load<uint32_t>(&entry[44])};
  record.serial = static_cast<uint32_t>(serial);
  record.checksum = load<uint64_t>(&entry[48]);
  return record;
}

// The checksum proves that we wrote the entry, not that we were right: an older version or a bug
// may have written what sizes and indexes memory here.
bool possible(const PageRun& run) {
  return run.pages > 0 && run.bytes() <= limits::kGrainBytes && run.segment < kMostSegments &&
         run.page < kSegmentPages && run.pages <= kSegmentPages - run.page;
}

}  // namespace

Result<std::unique_ptr<GrainIndex>> GrainIndex::open(Storage& storage, std::string path,
                                                     GrainRecords* records,
                                                     std::vector<LogEvent>* notices) {
  std::unique_ptr<GrainIndex> index(new GrainIndex(storage, std::move(path)));
  if (Status read = index->read(records, notices); !read) return read.error();
  auto file = storage.open_writable(index->path_, WriteMode::kBuffered);
  if (!file) return file.error();
  index->file_ = std::move(*file);
  uint64_t end = index->entries_ * kEntryBytes;
  index->may_lack_entries_ =
      index->entries_ == 0 || index->damaged_ > 0 || index->file_->size() > end;
  // Damage at the end is a write that a crash interrupted: new entries go there. Damage in the
  // middle is counted and left where it is.
  if (uint64_t size = index->file_->size(); size > end) {
    if (Status cut = index->file_->resize(end); !cut) return cut.error();
    notices->push_back(
        {LogLevel::kWarning,
         kStoreComponent,
         fmt::format("{}: cut off the last {} bytes, which were damaged; {} entries are left",
                     index->path_, size - end, index->entries_),
         {{"file", index->path_}, {"bytes", size - end}, {"entries", index->entries_}}});
  }
  return index;
}

Status GrainIndex::read(GrainRecords* records, std::vector<LogEvent>* notices) {
  auto file = storage_.open(path_, ReadMode::kBuffered);
  if (!file && file.error().code == ErrorCode::kNotFound) return {};
  if (!file) return file.error();
  if (Status read = read_entries(**file, records); !read) return read;
  if (damaged_ > 0) {
    notices->push_back({LogLevel::kWarning,
                        kStoreComponent,
                        fmt::format("{}: {} of {} entries are damaged and were left out", path_,
                                    damaged_, entries_),
                        {{"file", path_}, {"damaged", damaged_}, {"entries", entries_}}});
  }
  return {};
}

Status GrainIndex::read_entries(const ReadableFile& file, GrainRecords* records) {
  uint64_t total = file.size() / kEntryBytes;
  records->reserve(total);
  ByteVector chunk;
  uint64_t bad = 0;  // since the last good one
  for (uint64_t first = 0; first < total; first += kReadEntries) {
    uint64_t count = std::min(kReadEntries, total - first);
    chunk.resize(count * kEntryBytes);
    if (Status read = file.read_at(first * kEntryBytes, chunk); !read) return read;
    for (uint64_t i = 0; i < count; ++i) {
      ByteSpan entry = ByteSpan(chunk).subspan(i * kEntryBytes, kEntryBytes);
      if (!intact(entry)) {
        ++bad;
        continue;
      }
      entries_ = first + i;
      // Only now is it known that the bad ones were not the end.
      damaged_ += std::exchange(bad, 0);
      replay(entry, records);
      ++entries_;
    }
  }
  return {};
}

void GrainIndex::replay(ByteSpan entry, GrainRecords* records) {
  Digest digest{load<std::array<uint8_t, 32>>(&entry[4])};
  GrainRecord record = record_of(entry, entries_);
  uint32_t kind = load<uint32_t>(entry.data());
  if (kind == kPut && possible(record.run)) {
    (*records)[digest] = record;
  } else if (kind == kRemove) {
    records->erase(digest);
  } else {
    ++damaged_;
  }
}

// The end moves only once the whole entry is written: the next entry overwrites what a failed write
// left.
Status GrainIndex::append(ByteSpan entry) {
  if (Status written = file_->write_at(entries_ * kEntryBytes, entry); !written) return written;
  ++entries_;
  return {};
}

Status GrainIndex::put(const Digest& digest, GrainRecord* record) {
  record->serial = static_cast<uint32_t>(entries_);
  return append(make_entry(kPut, digest, *record));
}

Status GrainIndex::remove(const Digest& digest) {
  return append(make_entry(kRemove, digest, {}));
}

Status GrainIndex::compact(const GrainRecords& records) {
  if (entries_ < kCompactFrom || records.size() >= entries_ / 2) return {};
  ByteVector log(records.size() * kEntryBytes);
  auto out = log.begin();
  for (const auto& [digest, record] : records) {
    Entry entry = make_entry(kPut, digest, record);
    out = std::copy(entry.begin(), entry.end(), out);
  }
  // The old log stays until the new one is on the disk. The open file would go on writing into the
  // old one, so it is opened anew.
  if (Status written = storage_.write_atomic(path_, log); !written) return written;
  auto file = storage_.open_writable(path_, WriteMode::kBuffered);
  if (!file) return file.error();
  file_ = std::move(*file);
  entries_ = records.size();
  return {};
}

}  // namespace potluck
