// Which processors of a device a program runs on, and how much it stands back behind others. Phones
// and newer laptops have big cores, which are fast, and little ones, which take far less power for
// the same work. Plain functions.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/result.h"
#include "engine/base/system_files.h"

namespace potluck {

enum class CoreKind { kAll, kBig, kLittle };

// "all", "big" or "little"; the error names `flag`.
Result<CoreKind> parse_core_kind(const std::string& flag, std::string_view text);

struct CoreChoice {
  std::vector<uint32_t> cores;  // ascend; none: no difference is known, so all of them
  // What told them apart, or why nothing does; for people.
  std::string reason;
};

// By what the kernel says of its processors: their capacity (arm64), else which ones it lists as
// performance and efficiency cores (hybrid x86), else their highest frequency. Little are those
// with less than 70 % of the largest figure; cores that differ less are alike. Any thread.
CoreChoice choose_cores(const SystemFiles& files, CoreKind kind);

// From now on the calling thread, and those that it starts, run on these alone. kUnsupported where
// the system refuses.
Status stay_on(const std::vector<uint32_t>& cores);

// From now on the calling thread, and those that it starts, get what others leave of processor and
// disk: nice 19, idle class of input and output. Returns what the system refused, empty if nothing.
std::string stand_back();

}  // namespace potluck
