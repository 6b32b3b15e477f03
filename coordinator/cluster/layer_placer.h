// LayerPlacer: places the units of one layer on workers, as numbers. Workers get counts in the
// ratio of their weights (give or take one, less where the disk is full), slices of one expert go
// to different workers, and what a worker already holds stays where the first two allow it. One
// object per layer; one thread.
#pragma once

#include <cstdint>
#include <vector>

namespace potluck {

// Units are numbered expert * slices + slice.
struct PlacerWorker {
  std::vector<uint32_t> holding;
  std::vector<uint32_t> copies;  // on its disk, too: moved there rather than elsewhere
  uint32_t weight = 1;           // 0: gets nothing
  uint32_t capacity = 0;         // units of this layer
  uint64_t load =
      0;  // units it got in earlier layers: who has fewer for its weight gets the odd one
};

class LayerPlacer {
 public:
  LayerPlacer(uint32_t experts, uint32_t slices, std::vector<PlacerWorker> workers);

  // The worker of every unit (an index), or -1 where no disk has room. Call once.
  std::vector<int32_t> place();

 private:
  // Of a chain of moves: `moved` goes from worker `from` to the one the step belongs to.
  struct Step {
    bool seen = false;
    int64_t from = -1;  // -1: the unit that is placed first of all
    uint32_t moved = 0;
  };

  uint32_t expert_of(uint32_t unit) const { return unit / slices_; }
  uint32_t worker_count() const { return static_cast<uint32_t>(workers_.size()); }
  bool has_room(uint32_t worker) const { return units_of_[worker].size() < quotas_[worker]; }
  uint32_t& siblings(uint32_t expert, uint32_t worker);
  void put(uint32_t unit, uint32_t worker);
  void take_away(uint32_t unit);

  void keep_holdings();
  void set_quotas();
  uint64_t fair_level() const;
  uint64_t share_at(uint64_t level, const PlacerWorker& worker) const;
  void set_sibling_limits();
  void release_surplus(uint32_t worker);
  int64_t unit_to_release(uint32_t worker);
  void place_unit(uint32_t unit);
  int64_t best_worker(uint32_t unit, bool crowded);
  uint32_t sibling_limit(uint32_t worker) const { return sibling_limits_[worker]; }
  bool make_room(uint32_t unit);
  int64_t find_room(uint32_t unit, std::vector<Step>& steps);

  uint32_t slices_;
  std::vector<PlacerWorker> workers_;
  std::vector<int32_t> owners_;                  // [units]
  std::vector<std::vector<uint32_t>> units_of_;  // [workers], unsorted
  std::vector<uint32_t> quotas_;                 // [workers]
  std::vector<uint32_t> siblings_;  // [experts, workers]: units of an expert at a worker
  std::vector<uint32_t> released_;  // [experts]: units that had to leave their worker
  uint32_t failed_searches_ = 0;
  uint32_t heaviest_ = 1;  // weight
  bool uneven_ = false;    // weights differ
  // [workers]: units of one expert that it may get
  std::vector<uint32_t> sibling_limits_;
  std::vector<bool> has_copy_;  // [workers, units]: holds a replica; empty if none does
};

}  // namespace potluck
