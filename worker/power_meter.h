// PowerMeter: how much power a device takes, where it tells: what its batteries give while nothing
// charges them, else what its processor's counters of energy say (RAPL, which most systems show to
// root alone). A processor's counter leaves out display, disk and radio; a battery has all of it.
// One thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/system_files.h"

namespace potluck {

class PowerMeter {
 public:
  // `files` must outlive the object. `file`: as of read_health(), or empty; it may say "current"
  // (microamperes) and "voltage" (millivolts) of the battery while it is "UNPLUGGED".
  PowerMeter(const SystemFiles& files, std::string file) : files_(files), file_(std::move(file)) {}

  // Milliwatts at present, a mean over the last looks; 0: not known. A counter needs two looks.
  uint32_t look(TimePoint now);

 private:
  struct Counter {
    uint64_t microjoules = 0;
    uint64_t range = 0;  // where it begins anew; 0: not known
  };
  std::optional<double> from_batteries() const;
  std::optional<double> from_owner() const;
  std::optional<double> from_counter(TimePoint now);
  std::optional<Counter> read_counters() const;

  const SystemFiles& files_;
  std::string file_;
  std::optional<Counter> counter_;
  TimePoint counted_at_{0};
  double mean_ = 0;  // milliwatts; 0: none yet
};

}  // namespace potluck
