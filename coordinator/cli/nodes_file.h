// The file of `potluck plan --nodes`: devices of a pool that need not exist, one table for each
// kind, in TOML:
//
//   [laptop]
//   count = 3
//   ram = "8GiB"            # for experts
//   disk = "200GiB"         # for experts
//   disk-rate = "2.5GB/s"
//   products = "25GB/s"     # weights multiplied with one row
//   round-trip = "250us"
//   link = "117MB/s"
//
// A table [coordinator] describes the device that computes attention. What is left out is assumed:
// 4 GiB of memory, room for everything on disk, gigabit Ethernet, and what the others do.
// Plain values; any thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/plan/cost_model.h"
#include "engine/base/storage.h"

namespace potluck {

struct DescribedPool {
  PlanPool pool;
  std::vector<std::string> names;  // of its devices, numbered where there are several of a kind
  bool has_coordinator = false;
  uint32_t slices = 0;  // that it runs with; 0: not known
  // Of a pool that runs: the part of every layer that each device holds.
  std::vector<double> held{};
};

// Errors name the file and the line.
Result<DescribedPool> parse_nodes(const std::string& path, std::string_view text);
Result<DescribedPool> read_nodes_file(Storage& storage, const std::string& path);

}  // namespace potluck
