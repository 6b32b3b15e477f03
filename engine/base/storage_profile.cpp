#include "engine/base/storage_profile.h"

#include <array>
#include <cmath>

namespace potluck {
namespace {

using std::chrono::microseconds;

constexpr std::array<StorageProfile, 5> kProfiles{{{"sd", 80e6, 1, microseconds(600), 0.8},
                                                   {"emmc", 300e6, 1, microseconds(250), 0.6},
                                                   {"ufs2", 800e6, 2, microseconds(200), 0.5},
                                                   {"ufs3", 1500e6, 2, microseconds(150), 0.5},
                                                   {"ufs4", 2000e6, 4, microseconds(150), 0.5}}};
// Beyond the fastest by so much it is something else.
constexpr double kFaster = 1.3;

}  // namespace

double StorageProfile::bytes_per_second(uint64_t request_bytes) const {
  const auto bytes = static_cast<double>(request_bytes);
  return bytes / (bytes / most_bytes_per_second + in_seconds(overhead()));
}

std::span<const StorageProfile> storage_profiles() {
  return kProfiles;
}

const StorageProfile* find_storage_profile(std::string_view name) {
  for (const StorageProfile& profile : kProfiles) {
    if (profile.name == name) return &profile;
  }
  return nullptr;
}

std::string storage_profile_names() {
  std::string names;
  for (const StorageProfile& profile : kProfiles) {
    names += (names.empty() ? "" : ", ") + std::string(profile.name);
  }
  return names;
}

const StorageProfile* storage_like(double bytes_per_second) {
  if (!(bytes_per_second > 0)) return nullptr;
  if (bytes_per_second > kFaster * kProfiles.back().most_bytes_per_second) return nullptr;
  const StorageProfile* nearest = nullptr;
  double least = HUGE_VAL;
  for (const StorageProfile& profile : kProfiles) {
    const double rate = profile.bytes_per_second(kProfileReadBytes);
    const double distance = std::abs(std::log(rate / bytes_per_second));
    if (distance < least) nearest = &profile;
    least = std::min(least, distance);
  }
  return nearest;
}

}  // namespace potluck
