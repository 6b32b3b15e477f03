#include "coordinator/cli/device_keys.h"

#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/directories.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/pool_control.h"
#include "coordinator/cli/pool_json.h"

namespace potluck {
namespace {

// As `serve` would do it. Only while none runs: it has the list in memory, and writes it.
Result<nlohmann::json> do_without_coordinator(const DeviceKeysFlags& flags,
                                              const Environment& environment) {
  Storage& storage = environment.storage;
  const std::string state = home_directory() + "/coordinator";
  if (Status made = storage.make_directories(state); !made) return made.error();
  auto lock = storage.lock(state + "/lock");
  if (!lock) return lock.error();
  auto list = AllowList::load(storage, state + "/members");
  if (!list) return list.error();
  if (flags.action == "devices") {
    nlohmann::json devices = nlohmann::json::array();
    for (const PoolDevice& device : list_devices(*list)) {
      devices.push_back(describe_device(device));
    }
    return nlohmann::json{{"devices", devices}};
  }
  auto device = flags.action == "rename" ? rename_device(*list, flags.device, flags.new_name)
                                         : revoke_device(*list, flags.device);
  if (!device) return device.error();
  return nlohmann::json{{"device", describe_device(*device)}};
}

Result<nlohmann::json> do_it(const DeviceKeysFlags& flags, const Environment& environment) {
  nlohmann::json question = {{"verb", flags.action}};
  if (!flags.device.empty()) question["device"] = flags.device;
  if (!flags.new_name.empty()) question["name"] = flags.new_name;
  bool runs = true;
  auto answer = ask_coordinator(question, &runs);
  return runs ? answer : do_without_coordinator(flags, environment);
}

void print_devices(const nlohmann::json& devices, const Environment& environment) {
  for (const nlohmann::json& device : devices) {
    const std::string name = text_field(device, "name", "?");
    const std::string itself = text_field(device, "calls_itself", name.c_str());
    environment.out.line(
        fmt::format("{}  {:<20}  {}{}", text_field(device, "key", "?"), name.empty() ? "-" : name,
                    device.value("member", false) ? "connected" : "away",
                    itself == name ? "" : fmt::format(", calls itself {}", itself)));
  }
  if (devices.empty()) environment.terminal.notice("no device may connect to this coordinator yet");
}

}  // namespace

Status run_device_keys(const DeviceKeysFlags& flags, const Environment& environment) {
  auto answer = do_it(flags, environment);
  if (!answer) return answer.error();
  if (flags.json) {
    environment.out.json(*answer);
    return {};
  }
  if (flags.action == "devices") {
    print_devices(list_field(*answer, "devices"), environment);
    return {};
  }
  const nlohmann::json device = object_field(*answer, "device");
  const std::string who =
      fmt::format("{} ({})", text_field(device, "name", "?"), text_field(device, "key", "?"));
  environment.out.line(flags.action == "rename" ? fmt::format("{} is now {}", who, flags.new_name)
                                                : fmt::format("revoked {}", who));
  return {};
}

}  // namespace potluck
