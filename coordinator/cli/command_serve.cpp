// `potluck serve`: the coordinator of a pool of remote workers. Until the HTTP API is there, every
// line typed on standard input is a prompt.
#include <charconv>
#include <cstdio>

#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/engine_flags.h"
#include "coordinator/cli/line_reader.h"
#include "coordinator/cli/status_file.h"

namespace potluck {
namespace {

constexpr Duration kTurn = std::chrono::milliseconds(100);
constexpr Duration kStatusInterval = std::chrono::seconds(1);

struct ServeFlags {
  EngineFlags engine;
  std::string listen = "127.0.0.1:7700";
  std::string serve_rate;
};

// "HOST:PORT". The host ends up in the invitation, so it must be one that workers can reach.
Status parse_listen(const std::string& text, PoolOptions* options) {
  size_t colon = text.rfind(':');
  uint16_t port = 0;
  if (colon != std::string::npos) {
    const char* end = text.data() + text.size();
    auto [rest, failure] = std::from_chars(text.data() + colon + 1, end, port);
    if (failure != std::errc() || rest != end) colon = std::string::npos;
  }
  if (colon == std::string::npos || colon == 0) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("--listen: expected HOST:PORT, found '{}'", text)};
  }
  options->listen_host = text.substr(0, colon);
  options->port = port;
  if (options->listen_host == "0.0.0.0" || options->listen_host == "*") {
    return Error{ErrorCode::kInvalidArgument,
                 "--listen: name the one address of this machine that workers shall use, such as "
                 "192.168.1.10:7700"};
  }
  return {};
}

Status answer(Runtime& runtime, const std::string& prompt, const Environment& environment) {
  const Tokenizer* tokenizer = runtime.model().tokenizer();
  if (tokenizer == nullptr) {
    return Error{ErrorCode::kUnsupported, runtime.model().tokenizer_error()};
  }
  GenerationRequest request;
  request.prompt = tokenizer->prompt_prefix();
  auto encoded = tokenizer->encode(prompt, SpecialTokens::kAsText);
  if (!encoded) return encoded.error();
  request.prompt.insert(request.prompt.end(), encoded->begin(), encoded->end());
  request.sampling.seed = environment.entropy.next64() >> 32;
  StreamingDecoder decoder(*tokenizer);
  KvCache cache = runtime.new_cache();
  auto result = generate(runtime.generation(), request, &cache, [&](TokenId token) {
    fmt::print("{}", decoder.push(token));
    std::fflush(stdout);
    return !environment.stop;
  });
  fmt::print("{}\n", decoder.finish());
  std::fflush(stdout);
  return result ? Status() : Status(result.error());
}

void print_invitation(Pool& pool) {
  fmt::print("potluck join {}\n", pool.invite().token());
  std::fflush(stdout);
}

void serve_until_stopped(Runtime& runtime, const Environment& environment,
                         const std::string& state_directory, Terminal& terminal) {
  Pool& pool = *runtime.pool();
  LineReader prompts;
  TimePoint last_status = environment.clock.now() - kStatusInterval;
  while (!environment.stop) {
    if (pool.open_invitations() == 0) print_invitation(pool);
    if (environment.clock.now() - last_status >= kStatusInterval) {
      last_status = environment.clock.now();
      Status written = write_status(environment.storage, state_directory,
                                    describe_pool(runtime, environment.clock.unix_seconds()));
      if (!written) terminal.error(written.error().message);
    }
    std::optional<std::string> prompt = prompts.next(kTurn);
    if (!prompt.has_value() || prompt->empty()) continue;
    Status answered = answer(runtime, *prompt, environment);
    if (!answered) terminal.error(answered.error().message);
  }
}

Status serve(const ServeFlags& flags, const Environment& environment) {
  Terminal terminal(environment.clock, flags.engine.quiet);
  auto options = runtime_options(flags.engine, KvType::kF16, environment, &terminal);
  if (!options) return options.error();
  options->pool = true;
  PoolOptions& pool = options->pool_options;
  if (Status status = parse_listen(flags.listen, &pool); !status) return status;
  if (!flags.serve_rate.empty()) {
    Result<uint64_t> rate = parse_rate("--serve-rate", flags.serve_rate);
    if (!rate) return rate.error();
    pool.serve_rate = *rate;
  }
  pool.state_directory = home_directory() + "/coordinator";
  if (Status made = environment.storage.make_directories(pool.state_directory); !made) return made;
  auto lock = environment.storage.lock(pool.state_directory + "/lock");
  if (!lock) return lock.error().in("another coordinator runs with this POTLUCK_HOME");
  auto runtime = open_runtime(*options, environment, &terminal);
  if (!runtime) return runtime.error();
  terminal.notice(fmt::format("coordinator {} listens on {}; run this on another device:",
                              (*runtime)->pool()->key().brief(),
                              (*runtime)->pool()->join_endpoint()));
  serve_until_stopped(**runtime, environment, pool.state_directory, terminal);
  return {};
}

}  // namespace

Command add_serve(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<ServeFlags>();
  CLI::App* parser = app.add_subcommand("serve", "coordinate a pool of workers");
  add_engine_flags(parser, &flags->engine);
  parser->add_option("--listen", flags->listen, "address for workers, HOST:PORT (127.0.0.1:7700)")
      ->envname("POTLUCK_LISTEN");
  parser
      ->add_option("--serve-rate", flags->serve_rate,
                   "bytes per second of experts sent to workers, such as 20MiB/s; an eighth of it "
                   "while generating (default 1GiB/s)")
      ->envname("POTLUCK_SERVE_RATE");
  return {parser, [flags, &environment] { return serve(*flags, environment); }};
}

}  // namespace potluck
