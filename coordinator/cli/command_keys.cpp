// `potluck keys`: the keys of the HTTP API, which are made here and kept as their hashes alone, and
// those of devices (device_keys.h), which are theirs and let them in.
#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/api_flags.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/device_keys.h"
#include "coordinator/cli/flags.h"
#include "coordinator/serving/http/api_key_file.h"
#include "engine/base/printable.h"

namespace potluck {
namespace {

constexpr Duration kLockPatience = std::chrono::seconds(5);
constexpr Duration kLockPause = std::chrono::milliseconds(20);

// About devices; the others are about the API.
constexpr std::array<std::string_view, 3> kDeviceActions = {"devices", "rename", "revoke"};

struct KeysFlags {
  std::string action = "list";
  std::string name;
  std::string new_name;
  std::string file;  // empty: this machine's own
  bool own_file = false;
  bool local = false;
  bool json = false;
};

// Changes take milliseconds: another process that is at it will be done soon.
template <class T>
Result<T> once_unlocked(const Environment& environment, const std::function<Result<T>()>& change) {
  const TimePoint deadline = environment.clock.now() + kLockPatience;
  for (;;) {
    Result<T> done = change();
    const bool busy = !done && done.error().code == ErrorCode::kRefused;
    if (!busy || environment.clock.now() >= deadline || environment.stop.requested()) return done;
    environment.stop.wait(kLockPause);
  }
}

Status list_keys(const KeysFlags& flags, const ApiKeyFile& file, const Environment& environment) {
  const auto keys = file.read();
  if (!keys) return keys.error();
  if (!keys->required() && !flags.own_file) {
    return Error{ErrorCode::kNotFound, flags.file + ": there is no such file"};
  }
  if (flags.json) {
    nlohmann::json list = nlohmann::json::array();
    for (const ApiKey& key : keys->list()) {
      list.push_back(
          {{"name", key.name},
           {"created", key.created.empty() ? nlohmann::json() : nlohmann::json(key.created)},
           {"local", key.local},
           {"sha256", key.digest.hex()}});
    }
    environment.out.json(
        {{"file", flags.file}, {"required", keys->required()}, {"api_keys", list}});
    return {};
  }
  for (const ApiKey& key : keys->list()) {
    environment.out.line(fmt::format("{:<20}  {}{}", key.created.empty() ? "-" : key.created,
                                     key.name, key.local ? "  (stays in this pool)" : ""));
  }
  if (!keys->required()) {
    environment.terminal.notice(fmt::format(
        "{}: there is no such file, so everyone who reaches the API may use it", flags.file));
  } else if (keys->list().empty()) {
    environment.terminal.notice(
        fmt::format("{}: there is no key in it, so the API answers no one", flags.file));
  }
  return {};
}

Status add_key(const KeysFlags& flags, ApiKeyFile& file, const Environment& environment) {
  const int64_t now = environment.clock.unix_seconds();
  const auto key = once_unlocked<std::string>(
      environment, [&] { return file.add(flags.name, now, environment.entropy, flags.local); });
  if (!key) return key.error();
  environment.terminal.notice("this is the only time that the key is shown:");
  if (flags.json) {
    environment.out.json({{"name", flags.name}, {"key", *key}});
  } else {
    environment.out.line(*key);
  }
  return {};
}

Status remove_key(const KeysFlags& flags, ApiKeyFile& file, const Environment& environment) {
  const auto left = once_unlocked<size_t>(environment, [&] { return file.remove(flags.name); });
  if (!left) return left.error();
  if (flags.json) environment.out.json({{"name", flags.name}, {"keys_left", *left}});
  if (*left == 0) {
    environment.terminal.notice(fmt::format(
        "{}: no key is left, so the API answers no one; without the file, everyone", flags.file));
  }
  return {};
}

// Which words an action takes.
Status check_words(const KeysFlags& flags) {
  const bool device = flags.action == "rename" || flags.action == "revoke";
  const bool named = device || flags.action == "add" || flags.action == "remove";
  const bool renames = flags.action == "rename";
  auto fault = [&](const std::string& what) {
    return Error{ErrorCode::kInvalidArgument, fmt::format("keys {}: {}", flags.action, what)};
  };
  if (named && flags.name.empty()) {
    return fault(device ? "expected the name of a device, or the beginning of its key"
                        : "expected a name");
  }
  if (!named && !flags.name.empty()) {
    return fault(fmt::format("expected no name, found '{}'", printable(flags.name)));
  }
  if (flags.local && flags.action != "add") return fault("--local is about keys that are added");
  if (renames && flags.new_name.empty()) return fault("expected a new name behind the device's");
  if (!renames && !flags.new_name.empty()) {
    return fault(fmt::format("expected one name, found '{}' as well", printable(flags.new_name)));
  }
  return {};
}

Status run_keys(KeysFlags flags, const Environment& environment) {
  if (Status fits = check_words(flags); !fits) return fits;
  if (std::find(kDeviceActions.begin(), kDeviceActions.end(), flags.action) !=
      kDeviceActions.end()) {
    return run_device_keys({flags.action, flags.name, flags.new_name, flags.json}, environment);
  }
  flags.own_file = flags.file.empty();
  if (flags.own_file) {
    flags.file = own_key_file();
    const std::string directory = flags.file.substr(0, flags.file.rfind('/'));
    if (flags.action == "add") {
      if (Status made = environment.storage.make_directories(directory); !made) return made;
    }
  }
  ApiKeyFile file(&environment.storage, flags.file);
  if (flags.action == "list") return list_keys(flags, file, environment);
  if (flags.action == "add") return add_key(flags, file, environment);
  return remove_key(flags, file, environment);
}

}  // namespace

Command add_keys(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<KeysFlags>();
  CLI::App* parser =
      add_command(app, "keys", "keys of the HTTP API, and of the devices in the pool");
  add_choice(parser, "action", &flags->action,
             {"list", "add", "remove", "devices", "rename", "revoke"},
             "list (default), add or remove a key of the HTTP API; or list the devices that may "
             "connect (devices), rename one, or revoke its key; 'serve' follows within a second");
  add_text(parser, "name", &flags->name,
           "whose key of the API it is: requests are counted by it; or a device, by its name or "
           "the beginning of its key");
  add_text(parser, "new-name", &flags->new_name,
           "with rename: what the device is called from now on");
  add_text(parser, "--api-key-file", &flags->file,
           "the file that 'serve --api-key-file' has (default: the one that 'serve' has without)")
      .envname("POTLUCK_API_KEY_FILE");
  add_switch(parser, "--local", &flags->local,
             "with add: what is asked with this key never leaves this pool, whatever [[upstream]] "
             "tables say");
  add_switch(parser, "--json", &flags->json, "one JSON object");
  return {parser, [flags, &environment] { return run_keys(*flags, environment); }};
}

}  // namespace potluck
