// WorkerContext: what all sessions of a worker share. Owned by WorkerCore, must outlive them. One
// thread.
#pragma once

#include <vector>

#include "worker/grain_server.h"
#include "worker/manifest_fetch.h"
#include "worker/own_speed.h"
#include "worker/unit_compute.h"
#include "worker/unit_delivery.h"
#include "worker/worker_core.h"

namespace potluck {

struct WorkerContext {
  WorkerOptions options;
  std::vector<KernelDigest> kernels;  // what they compute
  GrainStore& store;
  ManifestStore* manifests;  // or null
  const Clock& clock;
  UnitCompute compute;
  std::vector<WorkerAction> actions;
  MakeRoom make_room;
  SaveManifest save_manifest;
  GrainServer server;
  OwnSpeed speed;
  HealthReport health{};  // without an epoch
};

}  // namespace potluck
