// WriteLedger: how many bytes a store has written, ever and today. Flash wears out by being
// written, so an owner may want to know, and to bound it. Kept in a small text file of the store's
// folder over restarts; a crash forgets what was written since the last save(). Days begin at
// midnight UTC. Owned by GrainStore; one thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/log_sink.h"
#include "engine/base/storage.h"

namespace potluck {

struct WriteRules {
  const Clock* clock = nullptr;  // tells the day; null: no account is kept
  uint64_t most_per_day = 0;     // bytes; 0: any number
};

class WriteLedger {
 public:
  static constexpr uint64_t kAny = ~uint64_t{0};

  // `storage` and the clock must outlive the object.
  WriteLedger(Storage& storage, std::string path, const WriteRules& rules)
      : storage_(storage), path_(std::move(path)), rules_(rules) {}

  // Reads what an earlier life of the store has written. A ledger that cannot be understood is
  // begun anew, and `notices` says so.
  void load(std::vector<LogEvent>* notices);
  Status save();

  void wrote(uint64_t bytes);
  uint64_t total() const { return total_; }
  uint64_t today() const;
  uint64_t most_per_day() const { return rules_.most_per_day; }
  // What may still be written today; kAny without a bound.
  uint64_t allowance() const;

 private:
  int64_t day_now() const;

  Storage& storage_;
  std::string path_;
  WriteRules rules_;
  uint64_t total_ = 0;
  int64_t day_ = 0;           // of which
  uint64_t on_that_day_ = 0;  // so much was written
  bool changed_ = false;
};

}  // namespace potluck
