#include "coordinator/cli/spread_flags.h"

#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>

#include "coordinator/cli/directories.h"
#include "coordinator/cli/engine_flags.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/model_argument.h"
#include "coordinator/serving/engine_setup.h"
#include "engine/gguf/split_name.h"

namespace potluck {
namespace {

// A bearer token for the server that has the model. Not a flag: others could read it in the list of
// processes.
constexpr const char* kTokenVariable = "POTLUCK_SOURCE_TOKEN";

// As the folder knows it: an address as it is, a path in full, so that it means the same from
// wherever the command is run. A name is the path of what it means; a path may lead nowhere at
// present.
std::string full_source(const std::string& model, const Environment& environment) {
  if (is_web_address(model)) return model;
  if (!environment.storage.exists(model)) {
    if (auto named = path_of_model(model, environment)) return full_source(*named, environment);
  }
  std::error_code error;
  const auto path = std::filesystem::absolute(model, error);
  return error ? model : path.lexically_normal().string();
}

std::string name_of_model(const std::string& model) {
  const std::string path = source_path(model);
  if (const auto split = parse_split_name(path)) return served_model_id(split->prefix);
  return served_model_id(path);
}

}  // namespace

void add_spread_flags(CLI::App* parser, SpreadFlags* flags) {
  add_switch(parser, "--spread", &flags->spread,
             "read MODEL, a path or an http(s) address, once, pass its experts on to the workers "
             "(at least two copies of each, unless --replicas says otherwise), and keep only the "
             "rest; from then on MODEL, or its name, is served without that file");
  add_text(parser, "--ca-file", &flags->ca_file,
           "certificates to trust where MODEL is an https address (default: the system's)")
      .envname("POTLUCK_CA_FILE");
  add_size(
      parser, "--spread-window", &flags->window,
      "memory for experts on their way from MODEL to the workers (default, and at most: 64MiB)")
      .envname("POTLUCK_SPREAD_WINDOW");
}

std::string spread_models_directory() {
  return home_directory() + "/coordinator/models";
}

Result<std::unique_ptr<SpreadModel>> find_spread_model(const std::string& model,
                                                       const SpreadFlags& flags, uint32_t replicas,
                                                       const Environment& environment) {
  SpreadOptions options;
  options.directory = spread_models_directory() + "/" + folder_name(name_of_model(model));
  options.replicas = replicas;
  if (!flags.window.empty()) {
    Result<uint64_t> size = parse_size("--spread-window", flags.window);
    if (!size) return size.error();
    options.window_bytes = *size;
  }
  options.http.ca_file = flags.ca_file;
  options.http.stop = &environment.stop.requested();
  options.http.unix_seconds = [&clock = environment.clock] { return clock.unix_seconds(); };
  if (const char* token = std::getenv(kTokenVariable)) options.http.token = token;
  const auto about = SpreadFolder(environment.storage, options.directory).about();
  const std::string source = full_source(model, environment);
  const bool by_name = model.find('/') == std::string::npos && about && !flags.spread &&
                       !environment.storage.exists(model);
  const bool known = by_name || (about && about->source == source);
  if (!known && !flags.spread) return std::unique_ptr<SpreadModel>();
  if (!by_name) options.source = source;
  if (!known) {
    if (auto made = environment.storage.make_directories(options.directory); !made) {
      return made.error();
    }
  }
  auto progress = [&](uint64_t done, uint64_t total) {
    environment.terminal.progress("reading the resident part", done, total);
  };
  auto spread = SpreadModel::open(environment.storage, options, progress);
  environment.terminal.end_progress();
  return spread;
}

}  // namespace potluck
