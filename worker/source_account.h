// SourceAccount: how many bytes of experts came from where, and when the coordinator and the user
// are told. Owned by PoolSources, which hands in the sources that it counts. One thread.
#pragma once

#include <cstdint>
#include <optional>

#include "worker/coordinator_link.h"
#include "worker/fetch_sources.h"

namespace potluck {

class SourceAccount {
 public:
  // The coordinator learns so often where grains came from, while they come.
  static constexpr Duration kInterval = std::chrono::seconds(1);

  explicit SourceAccount(CoordinatorLink& link) : link_(link) {}

  void part_came(uint64_t bytes) { fetched_ += bytes; }
  // A grain is in the store.
  void grain_stored();
  // It was cut from the model file of this device.
  void grain_cut(uint64_t bytes) { file_ += bytes; }
  // The coordinator may have forgotten what it was told.
  void tell_again() { changed_ = true; }
  // What has happened is to be told with the next report().
  void tell_at_once() { at_once_ = true; }

  // `epoch`: that of the membership; none: nothing is told meanwhile. `done`: no more is to come
  // for now.
  void report(std::optional<uint64_t> epoch, const FetchSources& sources, bool done);
  // When report() has something to tell.
  std::optional<TimePoint> next_tick() const;

  uint64_t bytes_fetched() const { return fetched_; }  // also of grains that are not complete
  SourceBytes bytes(const FetchSources& sources) const;

 private:
  void send_report(uint64_t epoch, const FetchSources& sources);
  void tell_user(const FetchSources& sources);

  CoordinatorLink& link_;
  uint64_t fetched_ = 0;
  uint64_t file_ = 0;
  bool told_user_ = true;  // nothing came since
  bool changed_ = false;
  bool at_once_ = false;
  TimePoint reported_at_{0};
};

}  // namespace potluck
