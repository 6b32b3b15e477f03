#include "coordinator/cli/health_words.h"

#include <fmt/format.h>

#include "engine/base/format_bytes.h"

namespace potluck {

std::string lending_words(const WorkerHealth& health) {
  if (health.pause_seconds > 0) {
    return fmt::format("pauses in {} s: {}", health.pause_seconds, health.reason);
  }
  if (health.reason.empty()) return {};
  return fmt::format("lends {} % of its speed: {}", health.share, health.reason);
}

std::string memory_words(const DeviceUse& use, uint64_t ram_bytes) {
  if (use.cache_bytes == 0 || use.cache_bytes >= ram_bytes) return {};
  return fmt::format("memory is short: keeps {} of {} at present", format_bytes(use.cache_bytes),
                     format_bytes(ram_bytes));
}

std::string use_words(const DeviceUse& use) {
  std::string words;
  if (use.written_bytes > 0) {
    words = "wrote " + format_bytes(use.written_today);
    if (use.writes_per_day > 0) words += " of " + format_bytes(use.writes_per_day);
    words += fmt::format(" today, {} in all", format_bytes(use.written_bytes));
  }
  if (use.milliwatts == 0) return words;
  return words + fmt::format("{}takes {:.1f} W", words.empty() ? "" : "; ", use.milliwatts / 1e3);
}

}  // namespace potluck
