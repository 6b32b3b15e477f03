#include "coordinator/dispatch/trust_book.h"

#include <algorithm>

namespace potluck {

bool TrustBook::wants_check(const PeerKey& worker) {
  double rate = check_rate(worker);
  if (rate <= 0 || rate >= 1) return rate >= 1;
  return random_.uniform(position_++) < rate;
}

void TrustBook::found_right(const PeerKey& worker) {
  TrustRecord& record = records_[worker];
  ++record.valid;
  ++record.compared;
}

void TrustBook::found_wrong(const PeerKey& worker) {
  TrustRecord& record = records_[worker];
  record.valid = 0;
  ++record.compared;
  ++record.mismatches;
}

TrustRecord TrustBook::record(const PeerKey& worker) const {
  auto found = records_.find(worker);
  return found == records_.end() ? TrustRecord{} : found->second;
}

double TrustBook::check_rate(const PeerKey& worker) const {
  if (mode_ == VerifyMode::kOff) return 0;
  if (mode_ == VerifyMode::kAll || on_probation(worker)) return 1;
  return std::max(kLeastRate,
                  static_cast<double>(kProbation) / static_cast<double>(record(worker).valid));
}

}  // namespace potluck
