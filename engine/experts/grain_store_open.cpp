// Opening a store: what the index says is compared with the segments that are there.
#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "engine/experts/grain_store.h"

namespace potluck {
namespace {

constexpr std::string_view kSuffix = ".grains";

std::string segment_name(uint32_t number) {
  return fmt::format("{:06}{}", number, kSuffix);
}

// Nothing for a name that we would not give.
std::optional<uint32_t> segment_number(const std::string& name) {
  uint32_t number = 0;
  (void)std::from_chars(name.data(), name.data() + name.size(), number);
  // Printed back and compared: files of other programs are neither read nor removed.
  if (segment_name(number) != name || number >= kMostSegments) return std::nullopt;
  return number;
}

struct Claim {
  PageRun run;
  uint32_t serial;
  const Digest* digest;  // in the records

  bool overlaps(const Claim& other) const {
    return run.segment == other.run.segment && run.page < other.run.end() &&
           other.run.page < run.end();
  }
};

using SegmentSizes = std::map<uint32_t, uint32_t>;  // in whole pages

// Sizes tell what the file system kept of each segment; nothing else in them is believed without a
// checksum.
Result<SegmentSizes> segment_sizes(Storage& storage, const std::string& directory) {
  auto names = storage.list(directory);
  if (!names) return names.error();
  SegmentSizes sizes;
  for (const std::string& name : *names) {
    std::optional<uint32_t> number = segment_number(name);
    if (!number) continue;
    auto file = storage.open(fmt::format("{}/{}", directory, name), ReadMode::kBuffered);
    if (!file) return file.error();
    uint64_t pages = (*file)->size() / kPageBytes;
    sizes[*number] = static_cast<uint32_t>(std::min<uint64_t>(pages, kSegmentPages));
  }
  return sizes;
}

std::vector<Claim> sorted_claims(const GrainRecords& records) {
  std::vector<Claim> claims;
  claims.reserve(records.size());
  for (const auto& [digest, record] : records) {
    claims.push_back({record.run, record.serial, &digest});
  }
  std::sort(claims.begin(), claims.end(), [](const Claim& a, const Claim& b) {
    return std::pair(a.run.segment, a.run.page) < std::pair(b.run.segment, b.run.page);
  });
  return claims;
}

// Takes out of `claims`, and returns, those that reach beyond their segment, and the older one of
// two that overlap: the entry that removed it was lost.
std::vector<Digest> take_unsound(const SegmentSizes& sizes, std::vector<Claim>* claims) {
  std::vector<Digest> lost;
  std::vector<Claim> sound;
  sound.reserve(claims->size());
  for (const Claim& claim : *claims) {
    auto size = sizes.find(claim.run.segment);
    bool valid = size != sizes.end() && claim.run.end() <= size->second;
    // Sorted by place, so only the last sound ones can overlap. The higher serial number was
    // written later, and its bytes are the ones there.
    while (valid && !sound.empty() && sound.back().overlaps(claim)) {
      valid = sound.back().serial < claim.serial;
      if (!valid) break;
      lost.push_back(*sound.back().digest);
      sound.pop_back();
    }
    if (valid) {
      sound.push_back(claim);
    } else {
      lost.push_back(*claim.digest);
    }
  }
  *claims = std::move(sound);
  return lost;
}

}  // namespace

std::string GrainStore::segment_path(uint32_t number) const {
  return directory_ + "/segments/" + segment_name(number);
}

Status GrainStore::open_files() {
  for (const char* part : {"/segments", "/manifests"}) {
    if (Status made = storage_.make_directories(directory_ + part); !made) return made;
  }
  // Before anything is read: the other owner may be writing the index this very moment.
  auto lock = storage_.lock(directory_ + "/lock");
  if (!lock) return lock.error();
  lock_ = std::move(*lock);
  writes_.load(&notices_);
  auto index = GrainIndex::open(storage_, directory_ + "/index", &records_, &notices_);
  if (!index) return index.error();
  index_ = std::move(*index);
  if (Status adopted = adopt_segments(); !adopted) return adopted;
  if (Status compacted = index_->compact(records_); !compacted) {
    warn(compacted.error().in("the index was not tidied").message,
         {{"store", directory_}, {"reason", compacted.error().message}});
  }
  return {};
}

Status GrainStore::adopt_segments() {
  auto sizes = segment_sizes(storage_, directory_ + "/segments");
  if (!sizes) return sizes.error();
  std::vector<Claim> claims = sorted_claims(records_);
  std::vector<Digest> lost = take_unsound(*sizes, &claims);
  if (!lost.empty()) {
    warn(fmt::format("{}: {} of {} grains were dropped: their place is not in the segments or "
                     "was used again",
                     directory_, lost.size(), records_.size()),
         {{"store", directory_}, {"grains_lost", lost.size()}, {"grains", records_.size()}});
  }
  for (const Digest& digest : lost) {
    records_.erase(digest);
    (void)index_->remove(digest);  // else they are dropped again next time
  }
  std::vector<PageRun> nameless;
  auto claim = claims.begin();
  for (const auto& [number, pages] : *sizes) {
    segments_.try_emplace(number);
    uint32_t end = 0;
    for (; claim != claims.end() && claim->run.segment == number; ++claim) {
      space_.release({number, end, claim->run.page - end});
      end = claim->run.end();
      used_bytes_ += claim->run.bytes();
    }
    if (end > 0) space_.release({number, end, kSegmentPages - end});
    if (Status cut = cut_or_remove(number, pages, end); !cut) return cut;
    if (pages > end) nameless.push_back({number, end, pages - end});
  }
  warn_of_nameless(nameless);
  return {};
}

// With a whole index these are holes and writes that never finished. Else they may have been all
// the grains there were: bytes whose names and lengths nothing knows any more.
void GrainStore::warn_of_nameless(const std::vector<PageRun>& removed) {
  if (removed.empty() || !index_->may_lack_entries()) return;
  uint64_t bytes = 0;
  for (const PageRun& run : removed) bytes += run.bytes();
  warn(fmt::format("{}/index was missing, empty or damaged: {} bytes that it does not name were "
                   "removed from {} segments, {} to {}",
                   directory_, bytes, removed.size(), segment_path(removed.front().segment),
                   segment_path(removed.back().segment)),
       {{"store", directory_}, {"bytes", bytes}, {"segments", removed.size()}});
}

// Behind the last grain there are only holes and writes that never finished.
Status GrainStore::cut_or_remove(uint32_t segment, uint32_t pages, uint32_t used_pages) {
  if (used_pages == 0) {
    segments_.erase(segment);
    return storage_.remove(segment_path(segment));
  }
  if (pages == used_pages) return {};
  auto file = writer(segment);
  if (!file) return file.error();
  return (*file)->resize(used_pages * kPageBytes);
}

}  // namespace potluck
