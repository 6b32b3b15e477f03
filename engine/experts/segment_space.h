// SegmentSpace: which pages of the store's segment files are free. Pure bookkeeping in pages of 4
// KiB. Runs that are allocated one after another lie one after another where that is possible, so
// that grains which are put together can be read together. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "engine/base/limits.h"

namespace potluck {

inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint32_t kSegmentPages = static_cast<uint32_t>(limits::kSegmentBytes / kPageBytes);
// Numbers of segments stay below: an index or a file name that says more is not ours.
inline constexpr uint32_t kMostSegments = 1024 * 1024;

// Pages [page, page + pages) of a segment.
struct PageRun {
  uint32_t segment = 0;
  uint32_t page = 0;
  uint32_t pages = 0;

  uint32_t end() const { return page + pages; }
  uint64_t offset() const { return page * kPageBytes; }
  uint64_t bytes() const { return pages * kPageBytes; }
  bool operator==(const PageRun&) const = default;
};

class SegmentSpace {
 public:
  // These pages may be used from now on; none of them was free already.
  void release(PageRun run);

  // Right behind the run that was allocated last, if there is room; else the front of the longest
  // free run. Nothing if that is shorter than the run wanted or than the least run worth reusing: a
  // new segment keeps more grains together, and holes take no room on the disk.
  std::optional<PageRun> allocate(uint32_t pages);

  // On file systems that cannot punch holes these take room, and any that fits is used.
  void reuse_every_hole() { least_reused_ = 1; }

 private:
  using Place = std::pair<uint32_t, uint32_t>;  // segment, page
  using FreeRuns = std::map<Place, uint32_t>;   // pages, by place

  void insert(Place place, uint32_t pages);
  void erase(FreeRuns::iterator run);
  PageRun take_front(FreeRuns::iterator run, uint32_t pages);

  FreeRuns free_;
  std::set<std::pair<uint32_t, Place>> by_length_;
  Place next_{0, 0};              // behind the run that was allocated last
  uint32_t least_reused_ = 1024;  // pages: 4 MiB, a few grains
};

}  // namespace potluck
