#include "coordinator/cli/pool_control.h"

#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/directories.h"
#include "coordinator/cli/json_text.h"
#include "coordinator/cli/pool_json.h"
#include "coordinator/cli/qr_code.h"
#include "protocol/control_socket.h"

namespace potluck {
namespace {

constexpr Duration kAnswerPatience = std::chrono::seconds(20);
// Each is kept for a day; no household invites this many devices in one.
constexpr size_t kMostOpenInvitations = 256;

nlohmann::json error_json(const Error& error) {
  return {{"error", error.message}, {"not_found", error.code == ErrorCode::kNotFound}};
}

nlohmann::json list_waiting(Pool& pool) {
  nlohmann::json devices = nlohmann::json::array();
  for (const WaitingDevice& device : pool.waiting_devices()) {
    devices.push_back(describe_waiting(device));
  }
  return {{"waiting", devices}};
}

// Lets the device in that shows this code, or turns it away.
nlohmann::json decide(Pool& pool, const nlohmann::json& question, bool admits) {
  auto code = read_pairing_code(text_field(question, "code", ""));
  if (!code) return error_json({ErrorCode::kInvalidArgument, "expected a code of eight digits"});
  auto device = admits ? pool.admit(*code) : pool.refuse(*code);
  if (!device) return error_json(device.error());
  return {{admits ? "admitted" : "refused", describe_waiting(*device)}};
}

// The line that lets one device in, also as a picture that another one's camera reads.
nlohmann::json invite(Pool& pool) {
  if (pool.open_invitations() >= kMostOpenInvitations) {
    return error_json(
        {ErrorCode::kLimit, fmt::format("{} invitations are open already", kMostOpenInvitations)});
  }
  const std::string line = "potluck join " + pool.invite().token();
  nlohmann::json answer = {{"line", line}, {"qr", nullptr}};
  const std::vector<std::string> rows = qr_code(line);
  if (!rows.empty()) answer["qr"] = rows;
  return answer;
}

nlohmann::json list_devices_of(Pool& pool) {
  nlohmann::json devices = nlohmann::json::array();
  for (const PoolDevice& device : pool.devices()) devices.push_back(describe_device(device));
  return {{"devices", devices}};
}

nlohmann::json changed(const Result<PoolDevice>& device) {
  if (!device) return error_json(device.error());
  return {{"device", describe_device(*device)}};
}

nlohmann::json answer(Pool& pool, const nlohmann::json& question) {
  const std::string verb = text_field(question, "verb", "");
  if (verb == "waiting") return list_waiting(pool);
  if (verb == "admit" || verb == "refuse") return decide(pool, question, verb == "admit");
  if (verb == "invite") return invite(pool);
  if (verb == "devices") return list_devices_of(pool);
  const std::string device = text_field(question, "device", "");
  if (verb == "rename") {
    return changed(pool.rename_device(device, text_field(question, "name", "")));
  }
  if (verb == "revoke") return changed(pool.revoke_device(device));
  return error_json(
      {ErrorCode::kUnsupported, "this version of `serve` does not know how to do that"});
}

}  // namespace

std::function<std::string(const std::string&)> pool_control(Pool& pool) {
  return [&pool](const std::string& text) {
    auto question = read_json(text);
    return json_text(question ? answer(pool, *question) : error_json(question.error()));
  };
}

Result<nlohmann::json> ask_coordinator(const nlohmann::json& question, bool* runs) {
  const std::string directory = home_directory() + "/coordinator";
  auto text = ask_control(directory, json_text(question), kAnswerPatience);
  const bool nobody = !text && text.error().code == ErrorCode::kNotFound;
  if (runs != nullptr) *runs = !nobody;
  if (nobody) {
    return Error{
        ErrorCode::kNotFound,
        fmt::format("no `potluck serve` runs on this machine with the state in {}", directory)};
  }
  if (!text) return text.error();
  auto reply = read_json(*text);
  if (!reply) return reply.error().in("the answer of `potluck serve`");
  if (!reply->is_object() || !reply->contains("error")) return reply;
  const bool not_found = reply->value("not_found", false);
  return Error{not_found ? ErrorCode::kNotFound : ErrorCode::kRefused,
               text_field(*reply, "error", "?")};
}

}  // namespace potluck
