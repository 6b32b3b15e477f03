// What of a machine can only be tried: clock, ports, Wi-Fi, the way to the coordinator. The seam
// between `potluck doctor` and the system. Nothing fails: what cannot be found out is unknown. One
// thread.
#pragma once

#include "coordinator/cli/doctor_facts.h"
#include "engine/base/clock.h"

namespace potluck {

class DoctorProbes {
 public:
  virtual ~DoctorProbes() = default;

  // Whether a time server sets the clock, as the kernel knows it.
  virtual std::optional<bool> clock_kept() = 0;
  // Whether a program could listen there now, on all interfaces.
  virtual std::optional<bool> port_free(uint16_t port, bool udp) = 0;
  virtual std::optional<bool> saves_power(const std::string& interface) = 0;
  // Connects some times and closes again. With `local_only`, addresses outside of private networks
  // are not asked.
  virtual LinkFact measure_link(const std::string& host, uint16_t port, bool local_only) = 0;
  // Seconds since 1970 by the Date of an answer over HTTP. Addresses as above.
  virtual std::optional<int64_t> remote_clock(const std::string& host, uint16_t port,
                                              bool local_only) = 0;
};

// The Date of the head of an answer, in seconds since 1970; nothing if it has none.
std::optional<int64_t> date_in(const std::string& head);

class SystemProbes final : public DoctorProbes {
 public:
  static constexpr uint32_t kTries = 20;
  // For one of them. After so many in a row without an answer it gives up.
  static constexpr Duration kPatience = std::chrono::seconds(3);
  static constexpr uint32_t kSilent = 2;

  explicit SystemProbes(const Clock& clock) : clock_(clock) {}

  std::optional<bool> clock_kept() override;
  std::optional<bool> port_free(uint16_t port, bool udp) override;
  std::optional<bool> saves_power(const std::string& interface) override;
  LinkFact measure_link(const std::string& host, uint16_t port, bool local_only) override;
  std::optional<int64_t> remote_clock(const std::string& host, uint16_t port,
                                      bool local_only) override;

 private:
  const Clock& clock_;
};

}  // namespace potluck
