// Bounds on what caches, servers and pulls can make this program keep or do, each with its reason.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/bytes.h"

namespace potluck::limits {

// Files and folders of all caches that a search looks at: thousands of models.
inline constexpr size_t kCacheEntries = 50'000;
// A hub's answer about a repository: some 300 bytes a file; those of the largest have 10,000 files.
inline constexpr uint64_t kHubAnswerBytes = 8 * kMiB;
inline constexpr size_t kHubFiles = 20'000;
// One file of a model: ten times the largest published model in one file.
inline constexpr uint64_t kModelFileBytes = uint64_t{16} << 40;
// Connections to one server at once: more are taken for an attack, and bring little.
inline constexpr uint32_t kPullConnections = 16;

}  // namespace potluck::limits
