#include "worker/bulk_assembly.h"

#include <algorithm>

#include "engine/base/limits.h"

namespace potluck {

BulkAssembly::Step BulkAssembly::add(const BulkData& data, ByteSpan part) {
  // As a subtraction: offset plus length could overflow.
  bool inside = data.offset <= total_ && part.size() <= total_ - data.offset;
  if (data.total != total_ || part.empty() || !inside) return Step::kBad;
  uint64_t end = data.offset + part.size();
  if (end <= bytes_.size()) return Step::kIgnored;
  // Parts of one connection come in the order in which they were asked for, so what lies before
  // this one is lost.
  if (data.offset > bytes_.size()) {
    ask_again();
    return Step::kGap;
  }
  // A peer's word alone reserves no more than one part, and nothing more than the whole.
  if (bytes_.capacity() < end) {
    uint64_t more = std::max<uint64_t>(2 * bytes_.capacity(), limits::kBulkPartBytes);
    bytes_.reserve(std::min(total_, std::max(end, more)));
  }
  ByteSpan fresh = part.subspan(bytes_.size() - data.offset);
  bytes_.insert(bytes_.end(), fresh.begin(), fresh.end());
  asked_ = std::max<uint64_t>(asked_, bytes_.size());
  return bytes_.size() == total_ ? Step::kComplete : Step::kTaken;
}

void BulkAssembly::restart() {
  bytes_ = {};
  asked_ = 0;
}

ByteVector BulkAssembly::take() {
  ByteVector bytes = std::move(bytes_);
  restart();
  return bytes;
}

}  // namespace potluck
