// Where a store keeps a grain on disk, for tests that damage it: read from the store's index, as
// the next start would. One thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/experts/grain_index.h"

namespace potluck::test {

struct GrainOnDisk {
  std::string path;
  uint64_t offset = 0;
  uint64_t bytes = 0;
};

inline GrainRecords records_on_disk(Storage& storage, const std::string& directory) {
  GrainRecords records;
  std::vector<LogEvent> notices;
  auto index = GrainIndex::open(storage, directory + "/index", &records, &notices);
  CHECK(index.ok());
  return records;
}

inline std::optional<GrainOnDisk> grain_on_disk(Storage& storage, const std::string& directory,
                                                const Digest& digest) {
  GrainRecords records = records_on_disk(storage, directory);
  auto found = records.find(digest);
  if (found == records.end()) return std::nullopt;
  const PageRun& run = found->second.run;
  return GrainOnDisk{fmt::format("{}/segments/{:06}.grains", directory, run.segment), run.offset(),
                     run.bytes()};
}

}  // namespace potluck::test
