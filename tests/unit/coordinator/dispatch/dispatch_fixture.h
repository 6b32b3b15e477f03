// DispatchFixture: a dispatcher over a pool that exists as events only. One thread.
#pragma once

#include <deque>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/coordinator/cluster/sample_pool.h"
#include "tests/unit/coordinator/dispatch/sample_work.h"

namespace potluck::test {

inline constexpr uint64_t kSampleEpoch = 23;

class DispatchFixture {
 public:
  explicit DispatchFixture(uint32_t slice_count = 2, uint32_t hidden = 64,
                           const DispatchOptions& options = {})
      : slices(slice_count),
        manifest(sample_manifest(2, 8, hidden)),
        dispatcher(kSampleEpoch, slices, manifest, cluster, clock, options) {}

  // A worker that has these units ready.
  void add_worker(uint8_t number, const std::vector<UnitId>& units) {
    cluster.apply(WorkerJoined{peer(number), number, "w" + std::to_string(number), "", 0, 0});
    cluster.apply(UnitsAssigned{peer(number), number, units});
    cluster.apply(UnitsReady{peer(number), units});
  }

  // All units of both layers whose expert is in [first, end).
  std::vector<UnitId> units(uint16_t first, uint16_t end) const {
    std::vector<UnitId> list;
    for (const ManifestLayer& layer : manifest.layers()) {
      for (uint16_t expert = first; expert < end; ++expert) {
        for (uint16_t slice = 0; slice < slices; ++slice) {
          list.push_back({static_cast<uint16_t>(layer.layer), expert, slice});
        }
      }
    }
    return list;
  }
  std::vector<UnitId> all_units() const { return units(0, 8); }

  void lose(uint8_t number) {
    cluster.apply(WorkerLost{peer(number), "test"});
    dispatcher.on_worker_lost(peer(number));
  }

  // A worker that is there is lost; one that is not joins, by the test's own `join`.
  template <class Join>
  void come_or_go(uint8_t number, const Join& join) {
    if (cluster.worker(peer(number)) != nullptr) {
      lose(number);
    } else {
      join(number);
    }
  }

  void deliver(const PeerKey& from, const Answer& answer) {
    dispatcher.on_partial(from, answer.partial, answer.tensor);
  }
  void answer(const OutgoingMessage& outgoing) {
    deliver(outgoing.peer, answer_to(manifest, outgoing));
  }
  // Also what is asked because of the answers.
  void answer_all() {
    for (auto asked = dispatcher.take_outgoing(); !asked.empty();
         asked = dispatcher.take_outgoing()) {
      for (const OutgoingMessage& outgoing : asked) answer(outgoing);
    }
  }
  void run_local_work() {
    while (auto work = dispatcher.take_local_work()) {
      compute_locally(manifest, *work);
      if (work->check != 0) {
        EXPECT_FALSE(dispatcher.check_done(work->check, true));
      } else {
        dispatcher.local_done(work->ticket);
      }
    }
  }
  // Batches of one call that are answered after so long: the worker is known from then on.
  void teach(size_t batches, Duration took, uint32_t layer = 0) {
    for (size_t i = 0; i < batches; ++i) {
      NumberedBatch work(manifest, layer, 1, 1, i);
      uint64_t ticket = dispatcher.submit(work.batch(), &work.sums);
      auto asked = dispatcher.take_outgoing();
      clock.advance(took);
      for (const OutgoingMessage& outgoing : asked) answer(outgoing);
      run_local_work();
      EXPECT_TRUE(dispatcher.done(ticket));
      EXPECT_EQ(work.sums.sums, work.expected());
      dispatcher.forget(ticket);
    }
  }
  const DispatchStatistics& statistics() const { return dispatcher.statistics(); }

  uint32_t slices;
  Manifest manifest;
  ClusterState cluster;
  ManualClock clock;
  Dispatcher dispatcher;
};

}  // namespace potluck::test
