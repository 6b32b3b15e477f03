// SessionBench: what a part of a session needs to run by itself: a link whose actions the test
// reads, a clock that only it moves, a store in memory and a sample model. Test code; one thread.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "engine/base/check.h"
#include "tests/support/numbered_key.h"
#include "tests/unit/worker/sample_model.h"
#include "worker/unit_delivery.h"

namespace potluck::test {

class SessionBench : public testing::Test {
 protected:
  static constexpr uint64_t kEpoch = 7;

  static ManualClock clock_at(TimePoint time) {
    ManualClock clock;
    clock.set(time);
    return clock;
  }
  static std::unique_ptr<GrainStore> open_store(Storage& storage) {
    auto opened = GrainStore::open(storage, "store", 64 * kMiB);
    CHECK(opened.ok());
    return std::move(*opened);
  }

  // Messages of one kind to this peer, in order; each is given once.
  template <class T>
  std::vector<T> sent(const PeerKey& to) {
    std::vector<T> found;
    std::erase_if(actions, [&](WorkerAction& action) {
      auto* send = std::get_if<SendMessage>(&action);
      T* message = send == nullptr ? nullptr : std::get_if<T>(&send->message);
      if (message == nullptr || send->peer != to) return false;
      found.push_back(std::move(*message));
      return true;
    });
    return found;
  }
  template <class T>
  std::vector<T> sent() {
    return sent<T>(coordinator);
  }
  // All notices since the last look, one per line.
  std::string notices() {
    std::string text;
    std::erase_if(actions, [&](WorkerAction& action) {
      auto* notice = std::get_if<Notice>(&action);
      if (notice != nullptr) text += notice->text + "\n";
      return notice != nullptr;
    });
    return text;
  }

  Assignment assignment(uint64_t version, std::vector<UnitId> units) const {
    return {kEpoch, version, 1, std::move(units)};
  }
  std::vector<GrainId> grains_of(UnitId unit) const {
    std::vector<GrainId> grains;
    uint32_t count = manifest.layer(unit.layer)->plan.grains;
    for (uint32_t i = 0; i < count; ++i) {
      grains.push_back({unit.layer, unit.expert, static_cast<uint16_t>(i)});
    }
    return grains;
  }

  static constexpr UnitId kFirst{SampleModel::kSuperBlocks, 0, 0};
  static constexpr UnitId kSecond{SampleModel::kBlocks, 1, 0};

  PeerKey coordinator = numbered_key(1);
  ManualClock clock = clock_at(std::chrono::hours(1));
  std::vector<WorkerAction> actions;
  CoordinatorLink link{coordinator, clock, actions};
  MemoryStorage disk;
  std::unique_ptr<GrainStore> store = open_store(disk);
  SampleModel model{1};
  const Manifest& manifest = model.manifest();
  bool room_can_be_made = true;
  MakeRoom make_room = [this](uint64_t) { return room_can_be_made; };
  UnitDelivery delivery{*store, make_room, 64 * kMiB, link};
};

}  // namespace potluck::test
