// Fuzzes the reader of what a device says of its condition: files of /sys and /proc, and the file
// that its owner writes. Whatever they say, what is read is in its range, and a share is a
// percentage.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "engine/base/check.h"
#include "tests/fuzz/piecewise_files.h"
#include "worker/health_policy.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  potluck::test::PiecewiseFiles files({reinterpret_cast<const char*>(data), size});
  const potluck::DeviceHealth health = potluck::read_health(files, "health.json");
  CHECK(health.battery_percent.value_or(0) <= 100);
  CHECK(std::abs(health.celsius.value_or(0)) <= 125);
  CHECK(std::abs(health.battery_celsius.value_or(0)) <= 125);
  CHECK(health.memory_stall.value_or(0) <= 100);
  potluck::HealthPolicy policy({});
  CHECK(policy.judge(health, 0, potluck::TimePoint{0}).share <= 100);
  return 0;
}
