// fetch_file(): one file of a pull, over several connections at once. See pull.h.
#pragma once

#include "coordinator/models/pull.h"

namespace potluck {

// Everything that is missing of file `index`. `fetched` grows by what arrives.
Status fetch_file(Storage& storage, PullFolder& folder, const PulledFile& file, size_t index,
                  const PullOptions& options, const std::function<void(uint64_t bytes)>& fetched);

}  // namespace potluck
