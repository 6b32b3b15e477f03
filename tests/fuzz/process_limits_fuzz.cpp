// Fuzzes the parser of the files that say what a process may use.
#include <cstddef>
#include <cstdint>

#include "engine/base/check.h"
#include "engine/base/process_limits.h"
#include "tests/fuzz/piecewise_files.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  potluck::test::PiecewiseFiles files({reinterpret_cast<const char*>(data), size});
  potluck::ProcessLimits limits = potluck::process_limits(files);
  CHECK((limits.available.bytes == UINT64_MAX) == limits.available.source.empty());
  CHECK(potluck::default_threads(limits) >= 1);
  CHECK(potluck::default_lent_memory(limits) <= limits.total.bytes / 2);
  return 0;
}
