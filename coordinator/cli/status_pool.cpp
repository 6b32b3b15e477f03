#include "coordinator/cli/status_pool.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "coordinator/cli/directories.h"
#include "coordinator/cli/facts_json.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/status_file.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

// The coordinator's own experts, beside those of its workers.
void add_own_device(const nlohmann::json& own, DescribedPool* described) {
  if (!own.is_object() || own.empty()) return;
  DeviceFacts facts = facts_of_json(object_field(own, "facts"));
  facts.ram_bytes = static_cast<uint64_t>(std::max<int64_t>(0, whole_field(own, "ram_bytes")));
  facts.disk_bytes = facts.ram_bytes;  // it keeps what fits into memory
  facts.local = true;
  described->pool.devices.push_back(std::move(facts));
  described->names.push_back("the coordinator");
  described->held.push_back(0);  // it is not observed
}

// Of units, their parts of all.
void make_parts(std::vector<double>* units) {
  double all = 0;
  for (double count : *units) all += count;
  for (double& count : *units) count /= std::max(1.0, all);
}

}  // namespace

// The workers of this machine's coordinator, with the facts it knew last.
Result<DescribedPool> pool_of_status(const Environment& environment) {
  auto status = read_status(environment.storage, home_directory() + "/coordinator");
  if (!status) return status.error().in("no --nodes FILE is given");
  DescribedPool described;
  for (const nlohmann::json& worker : list_field(*status, "workers")) {
    DeviceFacts facts = facts_of_json(object_field(worker, "facts"));
    facts.ram_bytes = static_cast<uint64_t>(std::max<int64_t>(0, whole_field(worker, "ram_bytes")));
    facts.disk_bytes =
        static_cast<uint64_t>(std::max<int64_t>(0, whole_field(worker, "disk_bytes")));
    described.held.push_back(
        static_cast<double>(std::max<int64_t>(0, whole_field(worker, "units_assigned"))));
    described.pool.devices.push_back(std::move(facts));
    described.names.push_back(text_field(worker, "name", "?"));
  }
  make_parts(&described.held);
  add_own_device(object_field(*status, "own"), &described);
  described.slices = static_cast<uint32_t>(
      std::clamp<int64_t>(whole_field(*status, "slices"), 0, limits::kSlices));
  return described;
}

Result<DescribedPool> pool_to_plan(const std::string& nodes, const Environment& environment) {
  return nodes.empty() ? pool_of_status(environment) : read_nodes_file(environment.storage, nodes);
}

}  // namespace potluck
