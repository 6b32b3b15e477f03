// `potluck pull`: fetches a model from a hub or any server into Potluck's folder.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/model_argument.h"
#include "coordinator/models/model_limits.h"
#include "coordinator/models/model_search.h"
#include "coordinator/models/pull.h"
#include "coordinator/models/pull_plan.h"
#include "coordinator/spread/source_storage.h"
#include "engine/base/format_bytes.h"

namespace potluck {
namespace {

// For servers that are no hub. Not a flag: others could read it in the list of processes.
constexpr const char* kServerTokenVariable = "POTLUCK_SOURCE_TOKEN";

struct PullFlags {
  std::string model;
  std::string hub;
  std::string revision;
  std::string sha256;
  std::string ca_file;
  uint32_t connections = 4;
  bool again = false;
  bool quiet = false;
  bool json = false;
};

HttpOptions http_options(const PullFlags& flags, const Environment& environment) {
  HttpOptions http;
  http.ca_file = flags.ca_file;
  http.stop = &environment.stop.requested();
  http.unix_seconds = [&clock = environment.clock] { return clock.unix_seconds(); };
  return http;
}

// The token for this address, if it may be sent there.
Result<std::string> token_for(const std::string& address, bool is_hub,
                              const Environment& environment) {
  Result<std::string> token = std::string();
  if (is_hub) {
    token = hub_token(environment.storage);
  } else if (const char* given = std::getenv(kServerTokenVariable)) {
    token = std::string(given);
  }
  if (!token || token->empty() || is_safe_for_token(address)) return token;
  environment.terminal.notice(
      fmt::format("the token is not sent to {}: it is not encrypted", shown_address(address)));
  return std::string();
}

Result<PullRecord> plan_pull(const PullFlags& flags, const Environment& environment,
                             HttpOptions* http) {
  const std::string hub = flags.hub.empty() ? hub_address() : flags.hub;
  std::optional<HubAddress> wanted;
  if (is_web_address(flags.model)) {
    wanted = parse_hub_address(flags.model, hub);
  } else if (auto name = parse_hub_name(flags.model)) {
    wanted = HubAddress{std::move(*name), "main"};
  } else {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("MODEL: expected user/repo, user/repo:QUANT or an http(s) address, "
                             "found '{}'",
                             flags.model)};
  }
  if (wanted && !flags.revision.empty()) wanted->revision = flags.revision;
  Result<std::string> token =
      token_for(wanted ? hub : flags.model, wanted.has_value(), environment);
  if (!token) return token.error();
  http->token = std::move(*token);
  if (wanted) return plan_hub_pull(hub, *wanted, *http);
  std::optional<Digest> digest;
  if (!flags.sha256.empty()) {
    Result<Digest> parsed = parse_digest(flags.sha256);
    if (!parsed) return parsed.error().in("--digest");
    digest = *parsed;
  }
  return plan_address_pull(flags.model, digest, *http);
}

// Another program may have fetched it already.
bool is_there_already(const PullFlags& flags, const Environment& environment) {
  if (flags.again || !flags.revision.empty()) return false;
  auto found = find_model(environment.storage, own_model_places(), flags.model,
                          flags.hub.empty() ? hub_address() : flags.hub);
  if (!found || !found->trouble.empty()) return false;
  environment.terminal.notice(
      fmt::format("{} is on this machine already ({}, {}); --again fetches "
                  "it nevertheless, if the hub has another one",
                  flags.model, place_name(found->kind), found->path()));
  if (flags.json) {
    environment.out.json({{"name", found->name},
                          {"paths", found->paths},
                          {"fetched_bytes", 0},
                          {"was_there", true}});
  } else {
    environment.out.line(found->path());
  }
  return true;
}

void report(const PullFlags& flags, const PullRecord& record, const PullResult& result,
            const Environment& environment) {
  for (const std::string& path : result.unverified) {
    environment.terminal.notice(
        fmt::format("{}: the server gives no SHA-256, so that only its length was checked "
                    "(--digest gives one)",
                    path));
  }
  if (flags.json) {
    environment.out.json({{"name", record.name},
                          {"paths", result.paths},
                          {"fetched_bytes", result.fetched_bytes},
                          {"was_there", result.was_there}});
    return;
  }
  for (const std::string& path : result.paths) environment.out.line(path);
  environment.terminal.notice("run it with: potluck run " + record.name);
}

Status pull(const PullFlags& flags, const Environment& environment) {
  Terminal& terminal = environment.terminal;
  if (is_there_already(flags, environment)) return {};
  PullOptions options;
  options.http = http_options(flags, environment);
  auto record = plan_pull(flags, environment, &options.http);
  if (!record) return record.error();
  terminal.notice(fmt::format("{}: {} in {} file{} from {}", record->name,
                              format_bytes(record->bytes()), record->files.size(),
                              record->files.size() == 1 ? "" : "s", record->source));
  ThreadPool threads(static_cast<int>(flags.connections));
  options.threads = &threads;
  options.clock = &environment.clock;
  options.progress = [&terminal](const char* stage, uint64_t done, uint64_t total) {
    terminal.progress(stage, done, total);
  };
  StopSignal::Watch watch(environment.stop);
  auto result = pull_model(environment.storage, models_directory(), *record, options);
  terminal.end_progress();
  if (!result && result.error().code == ErrorCode::kCancelled) {
    terminal.notice("what was fetched is kept; the same command goes on where it stopped");
  }
  if (!result) return result.error();
  report(flags, *record, *result, environment);
  return {};
}

}  // namespace

Command add_pull(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<PullFlags>();
  CLI::App* parser = add_command(app, "pull", "fetch a model; interrupted, it goes on");
  add_text(parser, "MODEL", &flags->model,
           "user/repo, user/repo:QUANT or user/repo:FILE.gguf on the hub, or an http(s) address of "
           "a GGUF file")
      .required();
  add_text(parser, "--hub", &flags->hub,
           "address of the hub (default: HF_ENDPOINT, or else https://huggingface.co)")
      .envname("POTLUCK_HUB");
  add_text(parser, "--revision", &flags->revision,
           "a branch, tag or commit of the repository (default: main)");
  add_text(parser, "--digest", &flags->sha256,
           "what the digest of the file has to be, for a server that does not say it");
  add_text(parser, "--ca-file", &flags->ca_file, "certificates to trust (default: the system's)")
      .envname("POTLUCK_CA_FILE");
  add_whole(parser, "--connections", &flags->connections, {1, limits::kPullConnections},
            "ranges that are fetched at the same time (default 4)")
      .envname("POTLUCK_CONNECTIONS");
  add_switch(parser, "--again", &flags->again, "ask the hub even if the model is on this machine");
  add_switch(parser, "--quiet", &flags->quiet, "errors only on standard error");
  add_switch(parser, "--json", &flags->json, "one JSON object");
  return {parser, [flags, &environment] { return pull(*flags, environment); }};
}

}  // namespace potluck
