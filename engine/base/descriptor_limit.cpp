#include "engine/base/descriptor_limit.h"

#include <algorithm>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>

namespace potluck {
namespace {

// Two connections per worker of a full pool, the store's segments, and room for more.
constexpr rlim_t kUseful = 65'536;
// POSIX gives out the lowest free descriptor, so hardly any above this one are in use, and asking
// for each up to a limit of a million would take as many system calls.
constexpr uint64_t kCounted = 8192;

rlimit current_limit() {
  rlimit limit{kUseful, kUseful};
  (void)getrlimit(RLIMIT_NOFILE, &limit);
  return limit;
}

}  // namespace

void raise_descriptor_limit() {
  rlimit limit = current_limit();
  rlim_t wanted = std::min(limit.rlim_max, kUseful);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  // If the system does not let us, require_descriptors() says what is missing.
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

uint64_t free_descriptors() {
  uint64_t limit = current_limit().rlim_cur;
  uint64_t open = 0;
  for (uint64_t i = 0; i < std::min(limit, kCounted); ++i) {
    if (fcntl(static_cast<int>(i), F_GETFD) >= 0) ++open;
  }
  return limit - open;
}

Status require_descriptors(uint64_t count, const std::string& purpose) {
  uint64_t free = free_descriptors();
  if (free >= count) return {};
  return Error{ErrorCode::kLimit,
               fmt::format("{} needs {} more open files than there are now, and the limit of {} "
                           "leaves {}: raise it (ulimit -n {})",
                           purpose, count, current_limit().rlim_cur, free,
                           std::max<uint64_t>(1024, current_limit().rlim_cur + count))};
}

}  // namespace potluck
