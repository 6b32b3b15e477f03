#include "engine/experts/entry_origin.h"

#include <fmt/format.h>

namespace potluck {

Error other_length(const Digest& entry, uint64_t found, uint64_t expected) {
  return {ErrorCode::kInvalidArgument, fmt::format("grain {} has {} bytes, the manifest expects {}",
                                                   entry.hex(), found, expected)};
}

}  // namespace potluck
