// SpreadBook: which experts of a model are known, which of them the coordinator has in memory to
// give away, and what has to be read from the source next. It looks at the cluster and decides; it
// reads and sends nothing. One thread.
//
//   unknown --read, hashed, recorded--> known and in memory --every unit has its copies--> with the
//   workers --no device has it any more--> read again, if the source can be reached
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "coordinator/cluster/cluster_state.h"
#include "engine/base/clock.h"
#include "engine/experts/manifest.h"

namespace potluck {

struct ExpertName {
  uint16_t layer = 0;
  uint16_t expert = 0;

  auto operator<=>(const ExpertName&) const = default;
};

// Expert data that the coordinator has in memory at a time, laid out; while it is cut, once more.
// With the 32 MiB that delivery keeps, and what the allocator does not give back at once (50 MiB
// were seen), it stays below 256 MiB. An expert larger than a window is one by itself.
inline constexpr uint64_t kSpreadWindowBytes = 64 * kMiB;
inline constexpr uint64_t kLargestSpreadExpert = 96 * kMiB;

class SpreadBook {
 public:
  // Units that no device has are read again when nothing has moved for so long: workers greet
  // within seconds after a restart.
  static constexpr Duration kGrace = std::chrono::seconds(10);
  // The same while devices are away that may be members: what they hold may come back.
  static constexpr Duration kLongGrace = std::chrono::minutes(2);

  // `outline`: every layer, with its experts (digests aside); must outlive the book. `copies`: of
  // each unit, on different workers.
  SpreadBook(const Manifest& outline, uint32_t slices, uint32_t copies,
             uint64_t window_bytes = kSpreadWindowBytes);

  // The first `experts` of the layer are known.
  void know(uint32_t layer, uint32_t experts);
  uint32_t known(uint32_t layer) const;
  // The coordinator has these in memory; they replace what it had.
  void hold(std::vector<ExpertName> experts);

  struct Step {
    enum class Kind {
      kWait,      // for workers to get what is in memory, or to come back
      kRead,      // `experts`: they are next
      kComplete,  // every unit has its copies
    };
    Kind kind = Kind::kWait;
    std::vector<ExpertName> experts;
    bool fresh = true;  // kRead: unknown until now; else they are lost and read again
  };
  // `all_here`: every device that may be a member is one.
  Step next(const ClusterState& cluster, bool all_here, TimePoint now);

  // As next() saw it.
  struct Counts {
    uint64_t known = 0;    // experts
    uint64_t total = 0;    // experts
    uint64_t scarce = 0;   // known units with fewer copies than wanted
    uint64_t missing = 0;  // known units that no device has, and that are not in memory
  };
  const Counts& counts() const { return counts_; }
  // Names of missing units, of the first ones: "layer 3 expert 17".
  std::vector<std::string> missing_names() const;
  uint64_t expert_bytes(ExpertName name) const;

 private:
  struct Layer {
    const ManifestLayer* outline;
    uint32_t known = 0;
  };

  void look(const ClusterState& cluster);
  std::vector<ExpertName> next_unknown() const;
  bool moved(const ClusterState& cluster);
  const Layer* find(uint32_t layer) const;

  std::vector<Layer> layers_;  // ascending
  uint32_t slices_;
  uint32_t copies_;
  uint64_t window_bytes_;
  std::set<ExpertName> held_;
  Counts counts_;
  bool held_scarce_ = false;
  std::vector<ExpertName> missing_;  // as many as are read at once
  // What tells whether anything moves.
  uint64_t seen_ready_ = 0;
  size_t seen_workers_ = 0;
  std::optional<TimePoint> still_since_;
};

}  // namespace potluck
