#include "worker/bulk_assembly.h"

#include <algorithm>

#include "engine/base/limits.h"

namespace potluck {

BulkAssembly::Step BulkAssembly::add(const BulkData& data, ByteSpan part) {
  bool inside = data.offset <= total_ && part.size() <= total_ - data.offset;
  if (data.total != total_ || part.empty() || !inside) return Step::kBad;
  if (data.offset != bytes_.size()) return Step::kIgnored;
  // A peer's word alone reserves no more than one part.
  if (bytes_.empty()) bytes_.reserve(std::min(total_, limits::kBulkPartBytes));
  bytes_.insert(bytes_.end(), part.begin(), part.end());
  return bytes_.size() == total_ ? Step::kComplete : Step::kTaken;
}

void BulkAssembly::restart() {
  bytes_ = {};
}

}  // namespace potluck
