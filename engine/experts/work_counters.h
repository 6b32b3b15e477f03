// What computing experts took: counted by the cache, the store and the kernels, carried by every
// reply of a worker, summed by the coordinator. A counter is a member and its row in counters();
// one that a worker is to report is also a field of the schema and a row of
// visit_timings() in protocol/message_fields.h.
#pragma once

#include <cstdint>
#include <tuple>

#include "engine/base/counters.h"

namespace potluck {

struct WorkCounters {
  uint64_t compute = 0;  // nanoseconds
  uint64_t disk = 0;     // nanoseconds spent waiting for it
  uint64_t disk_bytes = 0;
  uint64_t cache_hits = 0;  // grains; one may still be on its way, prefetched
  uint64_t cache_misses = 0;
  uint64_t prefetched_bytes = 0;   // read because a later layer was likely to need them
  uint64_t prefetches_used = 0;    // grains of those that it did need
  uint64_t prefetches_wasted = 0;  // grains dropped without having been needed

  bool operator==(const WorkCounters&) const = default;

  static constexpr auto counters() {
    using Set = WorkCounters;
    return std::tuple(Counter{"compute_ns", &Set::compute}, Counter{"disk_ns", &Set::disk},
                      Counter{"disk_bytes", &Set::disk_bytes},
                      Counter{"cache_hits", &Set::cache_hits},
                      Counter{"cache_misses", &Set::cache_misses},
                      Counter{"prefetched_bytes", &Set::prefetched_bytes},
                      Counter{"prefetches_used", &Set::prefetches_used},
                      Counter{"prefetches_wasted", &Set::prefetches_wasted});
  }
};

// Of one store and its cache.
struct StoreCounters {
  WorkCounters work;
  uint64_t prefetches = 0;      // grains read ahead of time
  uint64_t corrupt_grains = 0;  // found altered on disk
  uint64_t reading = 0;         // nanoseconds from a wave's first read until its last one was done

  static constexpr auto counters() {
    using Set = StoreCounters;
    return std::tuple(CounterGroup{&Set::work}, Counter{"prefetches", &Set::prefetches},
                      Counter{"corrupt_grains", &Set::corrupt_grains},
                      Counter{"disk_reading_ns", &Set::reading});
  }
};

}  // namespace potluck
