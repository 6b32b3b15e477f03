// PoolScenario: what `potluck simulate` runs: devices, a model, questions, and what happens to the
// devices over time. Everything else that happens is drawn from a seed. Its maker keeps to
// the limits below. Plain values; any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "simulator/liar.h"
#include "simulator/sim_network.h"
#include "simulator/synthetic_file.h"

#include "coordinator/dispatch/trust_book.h"
#include "engine/base/clock.h"
#include "engine/base/limits.h"
#include "engine/base/storage_profile.h"
#include "worker/health_policy.h"

namespace potluck::sim {

// Devices of a scenario, those that join later included: as many as a real pool takes.
inline constexpr size_t kScenarioDevices = limits::kWorkers;
// Events, with every repetition.
inline constexpr size_t kScenarioEvents = 10'000;
inline constexpr Duration kScenarioTime = std::chrono::hours(24 * 7);
inline constexpr uint32_t kScenarioTokens = 10'000;
// Of experts in a model that is really computed: a second of work per token at most.
inline constexpr uint64_t kScenarioWeights = 256 * kMiB;

// Devices that are alike.
struct DeviceKind {
  std::string name;
  uint32_t count = 1;
  uint64_t ram_bytes = kGiB;
  uint64_t disk_bytes = 1024 * kGiB;
  uint64_t disk_rate = kGiB;      // bytes per second
  uint64_t products = 20 * kGiB;  // bytes of weights per second, multiplied with one row
  // Instead of a rate: flash of this kind, which may be slow when it is hot; or null.
  const StorageProfile* storage = nullptr;
  LinkOptions link;
  // A full battery lasts so long; zero: the device is always powered.
  Duration battery{0};
  // What its owner allows, if anything is said of it: it is then watched like a real device.
  std::optional<HealthLimits> limits{};
  uint64_t writes_per_day = 0;  // bytes; 0: any number
};

enum class EventKind {
  kCrash,               // the process ends, and its peers see it
  kPowerCut,            // the device is gone, and its peers are not told
  kSleep,               // it is suspended; its clock stands still
  kStall,               // it does nothing
  kLinkDown,            // its connections break and cannot be made
  kOneWay,              // what it sends does not arrive
  kDeaf,                // what is sent to it does not arrive
  kDiskFull,            // its store can write nothing
  kDiskErrors,          // `count` reads fail
  kBitRot,              // `count` bits on its disk are flipped
  kThrottle,            // it computes `factor` times as long
  kCalendar,            // its calendar is wrong by `factor` hours
  kLie,                 // from now on one answer in `count` is wrong
  kJoin,                // `count` more of this kind join at once
  kSlowPeer,            // a member that takes work, answers nothing and reads byte by byte
  kCoordinatorRestart,  // the coordinator ends, and starts again
  kCoordinatorStall,
  kUnplug,     // nothing charges it
  kHeat,       // its battery has `celsius` degrees, and its flash is slow
  kStoreGone,  // its store cannot be reached: a card that was pulled out
};

struct ScenarioEvent {
  EventKind kind = EventKind::kCrash;
  Duration at{0};
  Duration lasts{0};  // zero: for good
  // "phone 2": that one; "phone": one of this kind, drawn; "*": every device.
  std::string device;
  uint64_t count = 1;
  double factor = 4;
  int32_t celsius = 45;
  LieKind lie = LieKind::kFlipBit;
};

// How experts are chosen where no router computes it. The defaults are what three models of 30 to
// 120 billion parameters with 128 experts did in conversations: skews of 0.99 to 1.07; of a token's
// experts 0.19 to 0.37 were those of the token before, where chance gives 0.08 to 0.22.
struct RouteOptions {
  // Popularity: use of the expert of rank r is proportional to r^-skew.
  double skew = 1.0;
  // Part of a token's experts that the token before used in the same layer, beyond chance.
  double repeats = 0.2;
  // Part of the next layer's experts that are guessed right.
  double guessed = 0.6;
};

struct PoolScenario {
  std::string name;
  // With weights: tokens are computed, and compared with the solo run's. Without: sizes alone.
  bool has_weights = true;
  SyntheticShape model;
  // With weights: reading and computing take as long as if an expert had so many bytes. 0: as long
  // as its own take.
  uint64_t as_if_expert_bytes = 0;
  uint32_t slices = 0;  // 0: one with weights, else what the planner finds best
  uint32_t replicas = 2;
  VerifyMode verify = VerifyMode::kSample;
  // The coordinator's part of a layer; zero: as long as its products take.
  Duration attention{0};
  uint64_t coordinator_products = 20 * kGiB;
  uint64_t coordinator_disk_rate = kGiB;
  std::vector<DeviceKind> devices;
  std::vector<ScenarioEvent> events;
  uint32_t questions = 1;
  Duration first_question{0};  // after the pool was ready
  Duration every{0};           // between the beginnings of two
  uint32_t prompt = 8;         // tokens; without weights there is none
  uint32_t tokens = 32;        // of each answer
  // Nothing may take longer: to be ready, one answer, to be whole again after the last fault.
  Duration patience{std::chrono::minutes(10)};
  RouteOptions routes;
};

}  // namespace potluck::sim
