// DeviceBody: the battery and the thermometer of a simulated device, as its system shows them: the
// small files from which the real HealthWatch learns of them. The battery loses charge while it is
// not plugged in, and gets it back four times as fast. One thread.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/system_files.h"

namespace potluck::sim {

class DeviceBody final : public SystemFiles {
 public:
  static constexpr int32_t kCool = 30;  // degrees of a battery that nothing warms

  // A full battery lasts so long; zero: there is none, and the device is always powered. The clock
  // must outlive the object.
  DeviceBody(Duration battery, const Clock& clock) : battery_(battery), clock_(clock) {}

  void plug(bool in);
  void heat(int32_t celsius) { celsius_ = celsius; }
  bool has_battery() const { return battery_ > Duration::zero(); }
  bool plugged() const { return plugged_; }
  double percent() const;  // of charge
  double lowest_percent() const { return std::min(lowest_, percent()); }

  std::optional<std::string> read(const std::string& path) const override;
  std::vector<std::string> list(const std::string& path) const override;

 private:
  const Duration battery_;
  const Clock& clock_;
  bool plugged_ = true;
  int32_t celsius_ = kCool;
  double percent_ = 100;  // at
  TimePoint at_{0};
  double lowest_ = 100;
};

}  // namespace potluck::sim
