#include "engine/base/bytes.h"

#include <fmt/format.h>

namespace potluck {

Error ByteReader::truncated(uint64_t wanted) const {
  return {ErrorCode::kCorrupt, fmt::format("truncated: {} bytes wanted at offset {}, {} left",
                                           wanted, position_, remaining())};
}

}  // namespace potluck
