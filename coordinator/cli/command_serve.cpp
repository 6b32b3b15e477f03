// `potluck serve`: the coordinator of a pool of remote workers, and the HTTP API of its model.
// Every line typed on standard input is a message of one conversation, as in `potluck run`, except
// one that asks for an invitation.
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/announcement.h"
#include "coordinator/cli/api_flags.h"
#include "coordinator/cli/commands.h"
#include "coordinator/cli/conversation.h"
#include "coordinator/cli/directories.h"
#include "coordinator/cli/engine_flags.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/housekeeping.h"
#include "coordinator/cli/model_argument.h"
#include "coordinator/cli/pool_metrics.h"
#include "coordinator/cli/spread_flags.h"
#include "coordinator/cli/upstream_config.h"
#include "coordinator/runtime/pool_spread.h"
#include "coordinator/serving/engine_setup.h"
#include "coordinator/serving/engine_thread.h"
#include "coordinator/serving/http/web_file.h"
#include "coordinator/serving/pending_service.h"
#include "coordinator/upstream/curl_caller.h"
#include "coordinator/upstream/hybrid_service.h"
#include "engine/base/format_bytes.h"

namespace potluck {
namespace {

constexpr Duration kTurn = std::chrono::milliseconds(100);

// While the experts of one step are away, the attention of another one is computed.
constexpr uint32_t kSteps = 2;

// What earlier conversations may take on disk.
constexpr uint64_t kSessionQuota = 16 * kGiB;
constexpr uint32_t kLongestSave = 24 * 3600;

constexpr uint32_t kInvitationsAtOnce = 64;
// On a line of their own, these are no prompts.
constexpr std::string_view kRelease = "release";
// Alone, or with a code behind it.
constexpr std::string_view kAdmit = "admit";

struct ServeFlags {
  EngineFlags engine;
  std::string listen = "*:7700";
  std::vector<std::string> advertise;
  std::string name;
  bool no_beacon = false;
  uint16_t beacon_port = kBeaconPort;
  uint32_t invitations = 1;
  std::string serve_rate;
  std::string session_directory;
  std::string session_quota;
  uint32_t session_save_seconds = 20;
  SpreadFlags spread;
  ApiFlags api;
  ChatFlags chat;
};

Status set_listen(const std::string& text, PoolOptions* options) {
  Result<ListenAddress> address = parse_listen_address(text);
  if (!address) return address.error().in("--listen");
  Result<ListenPlace> place = find_listen_place(address->host, this_machine());
  if (!place) return place.error().in("--listen");
  options->listen = std::move(*place);
  options->port = address->port;
  return {};
}

Status set_advertised(const std::vector<std::string>& hosts, PoolOptions* options) {
  if (hosts.size() > Invitation::kMostEndpoints) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--advertise: expected at most {} of them, found {}",
                             Invitation::kMostEndpoints, hosts.size())};
  }
  for (const std::string& host : hosts) {
    Result<AdvertisedHost> advertised = parse_advertised_host(host);
    if (!advertised) return advertised.error().in("--advertise");
    options->advertised.push_back(std::move(*advertised));
  }
  return {};
}

// "admit 1234-5678", and "admit" for a list. Anything else that begins so is a prompt.
bool obey_admit(Pool& pool, const std::string& message, const Environment& environment) {
  if (!message.starts_with(kAdmit)) return false;
  const std::string rest = message.substr(kAdmit.size());
  if (rest.empty()) {
    const std::vector<WaitingDevice> waiting = pool.waiting_devices();
    for (const WaitingDevice& device : waiting) {
      environment.terminal.notice(
          fmt::format("{} waits: {} ({})", device.code, device.name, device.key.brief()));
    }
    if (waiting.empty()) environment.terminal.notice("no device waits to be admitted");
    return true;
  }
  auto code = read_pairing_code(rest);
  if (!code || rest.front() != ' ') return false;
  auto admitted = pool.admit(*code);
  if (!admitted) environment.terminal.error(admitted.error().message);
  return true;
}

void serve_until_stopped(Runtime& runtime, Answerer& answerer, Housekeeping& housekeeping,
                         const Environment& environment) {
  Terminal& terminal = environment.terminal;
  ConversationOptions options;
  options.request.sampling.seed = environment.entropy.next64() >> 32;
  options.request.cancel = &environment.stop.requested();
  options.request.engine_runs = true;
  options.model = runtime.model().config().name;
  options.counters = [&] { return runtime.counters(); };
  options.meanwhile = [&] { housekeeping.look(); };
  options.commands[std::string(kInvite)] = [&] {
    print_invitation(*runtime.pool(), environment.out);
  };
  options.commands[std::string(kRelease)] = [&] {
    terminal.notice(
        fmt::format("{} workers let out of quarantine", runtime.pool()->release_quarantined()));
  };
  options.other_command = [&](const std::string& message) {
    return obey_admit(*runtime.pool(), message, environment);
  };
  const auto input = standard_input(terminal);
  converse(answerer, *input, options, environment, terminal);
  // Standard input has ended; the pool has not.
  while (!environment.stop.requested()) {
    housekeeping.look();
    environment.stop.wait(kTurn);
  }
}

// The port is open from the start, so that clients and those who watch over them find a server that
// is loading instead of none.
struct Api {
  std::shared_ptr<PoolMetrics> metrics;
  std::unique_ptr<PendingService> service;
  // Null where no request may leave this pool. What goes first is what others work with last.
  std::unique_ptr<HybridService> hybrid;
  std::unique_ptr<CurlCaller> caller;
  std::unique_ptr<ApiServer> server;
};

// Where the configuration lets requests leave this pool, and says so.
Status open_upstreams(const Environment& environment, LogSink* log, Api* api) {
  auto upstreams = load_upstreams(*environment.upstreams, environment.storage);
  if (!upstreams) return upstreams.error();
  if (upstreams->empty()) return {};
  auto caller = CurlCaller::start();
  if (!caller) return caller.error();
  for (const Upstream& upstream : *upstreams) {
    environment.terminal.notice(describe_upstream(upstream));
  }
  api->caller = std::move(*caller);
  api->hybrid = std::make_unique<HybridService>(api->service.get(), std::move(*upstreams),
                                                api->caller.get(), &environment.clock, log);
  return {};
}

Result<Api> open_api(const ServeFlags& flags, const std::string& id, const Environment& environment,
                     LogSink* log) {
  ServedModel announced;
  announced.id = id;
  announced.created = environment.clock.unix_seconds();
  Api api;
  api.service = std::make_unique<PendingService>(std::move(announced));
  api.metrics = std::make_shared<PoolMetrics>();
  if (Status opened = open_upstreams(environment, log, &api); !opened) return opened.error();
  ApiServerOptions options = api_options(flags.api);
  options.more_metrics = [metrics = api.metrics](bool with_devices, MetricText* text) {
    metrics->write(with_devices, text);
  };
  if (!flags.api.no_dashboard) options.pages = web_files();
  CompletionService* service = api.service.get();
  if (api.hybrid != nullptr) service = api.hybrid.get();
  auto server = ApiServer::start(options, service, environment.storage, &environment.clock,
                                 &environment.entropy, &environment.terminal);
  if (!server) return server.error();
  environment.terminal.notice(
      fmt::format("the API at {} answers once the model is loaded", (*server)->url()));
  api.server = std::move(*server);
  return api;
}

// Null where the model is served from its file.
Result<std::unique_ptr<SpreadModel>> use_spread_model(const ServeFlags& flags,
                                                      const Environment& environment,
                                                      RuntimeOptions* options) {
  auto spread =
      find_spread_model(flags.engine.model, flags.spread, flags.engine.replicas, environment);
  if (!spread || *spread == nullptr) return spread;
  PoolOptions& pool = options->pool_options;
  if (flags.engine.share_model) {
    return Error{ErrorCode::kInvalidArgument,
                 "--share-model: expected with a model file, found one that is spread"};
  }
  if (!flags.engine.own_experts.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 "--own-experts: expected with a model file, found one whose experts are with the "
                 "workers alone"};
  }
  options->model_path = (*spread)->model_path();
  pool.spread = spread->get();
  pool.replicas = (*spread)->about().replicas;
  pool.records_directory.clear();
  return spread;
}

// Devices join meanwhile, and get experts as they are read. kCancelled when the user stops it.
Status wait_until_spread(Pool& pool, uint32_t replicas, PendingService& service,
                         Announcement* announced, Housekeeping& housekeeping,
                         const Environment& environment) {
  Terminal& terminal = environment.terminal;
  auto progress = pool.spread_progress();
  if (!progress || progress->complete) return {};
  StopSignal::Watch watch(environment.stop);
  announced->once();
  terminal.notice(fmt::format(
      "passing {} experts on, {} of each: the API answers once all are with the workers. "
      "Interrupted, it goes on where it stopped",
      progress->counts.total, replicas));
  while (!environment.stop.requested()) {
    progress = pool.spread_progress();
    if (progress->complete) return terminal.end_progress(), Status();
    terminal.progress("passing experts on", progress->counts.known, progress->counts.total);
    service.report("passing experts on", progress->counts.known, progress->counts.total);
    housekeeping.look();
    environment.stop.wait(kTurn);
  }
  return Error{ErrorCode::kCancelled, "stopped before every expert was with the workers"};
}

// Answers API clients and the terminal until the user stops the program. The engine runs on a
// thread of its own.
Status answer_everyone(const ServeFlags& flags, Runtime& runtime, Answerer& answerer,
                       Housekeeping& housekeeping, Api api, Announcement* announced,
                       const Environment& environment) {
  Terminal& terminal = environment.terminal;
  CompletionEngine& engine = answerer.engine();
  // In this order, so that whatever is announced works: first the engine, then the API that hands
  // it requests, then the invitations. The server goes first at the end, since it calls the engine.
  auto thread = EngineThread::start(&engine);
  if (!thread) return thread.error();
  api.service->open(&engine);
  const std::unique_ptr<ApiServer> server = std::move(api.server);
  // Before the first line is printed: a program that reads it may answer with a signal at once.
  StopSignal::Watch watch(environment.stop);
  terminal.notice("listening on " + server->url());
  announced->once();
  serve_until_stopped(runtime, answerer, housekeeping, environment);
  // The engine first: it takes no further requests, and the API only waits for those under way.
  engine.drain();
  if (!server->drain(std::chrono::seconds(flags.api.drain_seconds))) {
    terminal.notice(
        fmt::format("requests were cut off that were not answered {} s after the end "
                    "was asked for (--drain-timeout)",
                    flags.api.drain_seconds));
  }
  return {};
}

Result<RuntimeOptions> serve_options(const ServeFlags& flags, const Environment& environment) {
  if (Status status = check_chat_flags(flags.chat); !status) return status.error();
  if (Status status = check_api_flags(flags.api, environment.storage, environment.clock); !status) {
    return status.error();
  }
  auto options = runtime_options(flags.engine, KvType::kF16, environment, &environment.terminal);
  if (!options) return options.error();
  options->pool = true;
  options->steps = kSteps;
  options->logit_rows = EngineOptions().most_active;
  PoolOptions& pool = options->pool_options;
  if (Status status = set_listen(flags.listen, &pool); !status) return status.error();
  if (Status status = set_advertised(flags.advertise, &pool); !status) return status.error();
  if (!flags.serve_rate.empty()) {
    Result<uint64_t> rate = parse_rate("--serve-rate", flags.serve_rate);
    if (!rate) return rate.error();
    pool.serve_rate = *rate;
  }
  pool.state_directory = home_directory() + "/coordinator";
  pool.name = flags.name.empty() ? host_name("potluck") : flags.name;
  pool.beacon = !flags.no_beacon;
  pool.beacon_port = flags.beacon_port;
  return options;
}

// Null where none is asked for.
Result<std::unique_ptr<PrefixStore>> open_sessions(const ServeFlags& flags, const Runtime& runtime,
                                                   const Environment& environment) {
  if (flags.session_directory.empty()) return std::unique_ptr<PrefixStore>();
  uint64_t quota = kSessionQuota;
  if (!flags.session_quota.empty()) {
    Result<uint64_t> size = parse_size("--session-quota", flags.session_quota);
    if (!size) return size.error();
    quota = *size;
  }
  auto store = open_prefix_store(runtime, environment.storage, flags.session_directory, quota,
                                 &environment.terminal);
  if (!store) return store.error().in("--session-dir");
  return store;
}

void save_sessions(CompletionEngine& engine, uint32_t seconds, Terminal& terminal) {
  const SavedPrefixes saved = engine.save(std::chrono::seconds(seconds));
  if (saved.left_bytes == 0) return;
  terminal.notice(
      fmt::format("{} of earlier conversations, those used longest ago, were not written to "
                  "--session-dir within {} s (--session-save-timeout), and are computed again; "
                  "{} were written",
                  format_bytes(saved.left_bytes), seconds, format_bytes(saved.written_bytes)));
}

// Once it is announced, the server calls the pool: it ends first, wherever serve() returns.
class EndsFirst {
 public:
  explicit EndsFirst(std::unique_ptr<ApiServer>* server) : server_(*server) {}
  ~EndsFirst() { server_.reset(); }
  EndsFirst(const EndsFirst&) = delete;
  EndsFirst& operator=(const EndsFirst&) = delete;

 private:
  std::unique_ptr<ApiServer>& server_;
};

Status serve(const ServeFlags& flags, const Environment& environment) {
  Terminal& terminal = environment.terminal;
  auto options = serve_options(flags, environment);
  if (!options) return options.error();
  const std::string& state = options->pool_options.state_directory;
  if (Status made = environment.storage.make_directories(state); !made) return made;
  // Keys, members and epoch are here. A second coordinator with the same ones would look to workers
  // like a restart of the first.
  auto lock = environment.storage.lock(state + "/lock");
  if (!lock) return lock.error().in("another coordinator runs with this POTLUCK_HOME");
  // A model that was spread needs no file.
  auto found = find_named_model(flags.engine.model, environment);
  const std::string id = found ? id_of_model(*found) : served_model_id(flags.engine.model);
  EventHistory events(&terminal, &environment.clock);
  auto api = open_api(flags, id, environment, &events);
  if (!api) return api.error();
  auto spread = use_spread_model(flags, environment, &*options);
  if (!spread) return spread.error();
  if (*spread == nullptr) {
    if (!found) return found.error();
    use_model(*found, flags.engine, &*options);
  }
  options->pool_options.log = &events;
  auto runtime = open_runtime(
      *options, environment, *spread != nullptr ? (*spread)->storage() : environment.storage,
      &terminal,
      [&service = *api->service](const std::string& stage, uint64_t done, uint64_t total) {
        service.report(stage, done, total);
      });
  if (!runtime) return runtime.error();
  DashboardRoutes& dashboard = api->server->dashboard();
  Housekeeping housekeeping(**runtime, *api->metrics, dashboard, events, options->pool_options,
                            environment);
  Announcement announced(**runtime, *options, *api->server, flags.invitations, environment);
  const EndsFirst ends_first(&api->server);
  if (*spread != nullptr) {
    Status done = wait_until_spread(*(*runtime)->pool(), options->pool_options.replicas,
                                    *api->service, &announced, housekeeping, environment);
    if (!done) return environment.stop.requested() ? Status() : done;
  }
  auto sessions = open_sessions(flags, **runtime, environment);
  if (!sessions) return sessions.error();
  auto answerer = Answerer::open(**runtime, flags.chat, environment, terminal, sessions->get(),
                                 *spread == nullptr ? id : std::string());
  if (!answerer) return answerer.error();
  Status answered = answer_everyone(flags, **runtime, **answerer, housekeeping, std::move(*api),
                                    &announced, environment);
  if (!answered) return answered;
  save_sessions((*answerer)->engine(), flags.session_save_seconds, terminal);
  return (*runtime)->finish_trace();
}

}  // namespace

Command add_serve(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* parser = add_command(app, "serve", "coordinate a pool of workers");
  add_engine_flags(parser, &flags->engine);
  flags->engine.finds_model = true;
  add_speculation_flag(parser, &flags->engine);
  add_text(parser, "--listen", &flags->listen,
           "where workers reach this machine, HOST:PORT: an address, a host name, a network "
           "interface, or * for all interfaces (*:7700)")
      .envname("POTLUCK_LISTEN");
  add_text(parser, "--advertise", &flags->advertise,
           "a further HOST or HOST:PORT by which workers reach this machine, for one behind a NAT "
           "or in a container; PORT and the two behind it lead to the three of --listen (may be "
           "given several times)")
      .envname("POTLUCK_ADVERTISE");
  add_text(parser, "--name", &flags->name,
           "what people call this coordinator (default: this machine's host name)");
  add_switch(parser, "--no-beacon", &flags->no_beacon,
             "answer no device that looks for a coordinator on this network: only invitations let "
             "devices in");
  add_whole(parser, "--beacon-port", &flags->beacon_port, {1, UINT16_MAX},
            "UDP port at which devices ask (default 7700)")
      .envname("POTLUCK_BEACON_PORT");
  add_whole(parser, "--invitations", &flags->invitations, {0, kInvitationsAtOnce},
            "devices to invite at the start; type \"invite\" for more later (default 1)")
      .envname("POTLUCK_INVITATIONS");
  add_rate(parser, "--serve-rate", &flags->serve_rate,
           "bytes per second of experts sent to workers, such as 20MiB/s; an eighth of it while "
           "generating (default 1GiB/s)")
      .envname("POTLUCK_SERVE_RATE");
  add_text(parser, "--session-dir", &flags->session_directory,
           "directory for what was computed of earlier conversations: used when memory is short, "
           "and after a restart (default: nothing is kept on disk)")
      .envname("POTLUCK_SESSION_DIR");
  add_size(parser, "--session-quota", &flags->session_quota,
           "what one model may take of that directory, such as 8GiB (default 16GiB)")
      .envname("POTLUCK_SESSION_QUOTA");
  add_whole(parser, "--session-save-timeout", &flags->session_save_seconds, {0, kLongestSave},
            "seconds that writing to that directory may take when serve ends (default 20)")
      .envname("POTLUCK_SESSION_SAVE_TIMEOUT");
  add_spread_flags(parser, &flags->spread);
  add_api_flags(parser, &flags->api);
  add_chat_flags(parser, &flags->chat);
  return {parser, [flags, &environment] { return serve(*flags, environment); }};
}

}  // namespace potluck
