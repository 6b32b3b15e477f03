// StorageProfile: how the flash of phones and small computers reads, by kind, for pools that are
// described and not measured. The rates are those of ordinary devices, well below what their
// interfaces allow: an SD card of UHS-I 104 MB/s, eMMC 5.1 400 MB/s (JEDEC JESD84-B51), UFS 2.1
// with two lanes 1.2 GB/s, UFS 3.1 2.9 GB/s, UFS 4.0 5.8 GB/s (JESD220). Plain values; any thread.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "engine/base/bytes.h"
#include "engine/base/clock.h"

namespace potluck {

struct StorageProfile {
  std::string_view name;
  double most_bytes_per_second = 0;  // of large reads, when cool
  uint32_t lanes = 1;                // requests that it works on at a time
  Duration request{0};               // before the first byte of one
  double hot = 1;                    // the part of the rate that is left when it is hot

  // What a request costs beyond its bytes, with as many under way as there are lanes.
  Duration overhead() const { return request / lanes; }
  // Of requests of that size.
  double bytes_per_second(uint64_t request_bytes) const;
};

// What experts are read by.
inline constexpr uint64_t kProfileReadBytes = kMiB;

std::span<const StorageProfile> storage_profiles();
// Null: there is none of this name.
const StorageProfile* find_storage_profile(std::string_view name);
// "sd, emmc, ..".
std::string storage_profile_names();
// The one whose rate is nearest, by ratio; null for what is faster than all of them.
const StorageProfile* storage_like(double bytes_per_second);

}  // namespace potluck
