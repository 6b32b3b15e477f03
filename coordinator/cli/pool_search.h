// How `potluck join` without an invitation finds the pool that it is to join: asks the networks,
// and, where several answer, the person. One thread.
#pragma once

#include <string>

#include "coordinator/cli/commands.h"
#include "worker/beacon_search.h"

namespace potluck {

struct PoolSearch {
  std::string wanted;  // the name of a pool, or the beginning of its key; empty: any
  Duration patience = std::chrono::seconds(60);
  uint16_t port = kBeaconPort;
};

// kNotFound when none answers in time.
Result<FoundPool> search_pool(const PoolSearch& search, const Environment& environment);

// The pools that are meant by a name or the beginning of a key.
std::vector<FoundPool> pools_like(const std::vector<FoundPool>& found, const std::string& wanted);

}  // namespace potluck
