// Free runs are kept twice, by place to join neighbors and by length to find the longest.
#include "engine/experts/segment_space.h"

#include <algorithm>

#include "engine/base/check.h"

namespace potluck {

void SegmentSpace::insert(Place place, uint32_t pages) {
  free_.emplace(place, pages);
  by_length_.insert({pages, place});
}

void SegmentSpace::erase(FreeRuns::iterator run) {
  by_length_.erase({run->second, run->first});
  free_.erase(run);
}

void SegmentSpace::release(PageRun run) {
  if (run.pages == 0) return;
  CHECK(run.end() <= kSegmentPages);
  auto after = free_.lower_bound({run.segment, run.page});
  if (after != free_.end() && after->first.first == run.segment) {
    CHECK(after->first.second >= run.end());
    if (after->first.second == run.end()) {
      run.pages += after->second;
      auto joined = after++;
      erase(joined);
    }
  }
  if (after != free_.begin()) {
    auto before = std::prev(after);
    if (before->first.first == run.segment) {
      uint32_t end = before->first.second + before->second;
      CHECK(end <= run.page);
      if (end == run.page) {
        run.page = before->first.second;
        run.pages += before->second;
        erase(before);
      }
    }
  }
  insert({run.segment, run.page}, run.pages);
}

PageRun SegmentSpace::take_front(FreeRuns::iterator run, uint32_t pages) {
  auto [place, length] = *run;
  erase(run);
  if (length > pages) insert({place.first, place.second + pages}, length - pages);
  next_ = {place.first, place.second + pages};
  return {place.first, place.second, pages};
}

std::optional<PageRun> SegmentSpace::allocate(uint32_t pages) {
  auto next = free_.find(next_);
  if (next != free_.end() && next->second >= pages) return take_front(next, pages);
  if (by_length_.empty()) return std::nullopt;
  auto [longest, place] = *by_length_.rbegin();
  // The longest, not the best fit: the next grains follow into the same run and can be read
  // together.
  if (longest < std::max(pages, least_reused_)) return std::nullopt;
  return take_front(free_.find(place), pages);
}

}  // namespace potluck
