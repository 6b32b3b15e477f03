// The commands of the programs `potluck` and `potluck-worker`: one file each. A command adds its
// subcommand with its flags to the parser (through flags.h) and returns what runs it. Exit codes: 0
// done, 1 failed, 2 wrong use, 130 and 143 ended by Ctrl-C and SIGTERM, 141 the reader of standard
// output has gone; 3 to 5 of `simulate` alone (command_simulate.cpp).
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/cli/cli11_fwd.h"
#include "coordinator/cli/output.h"
#include "coordinator/cli/stop_signal.h"
#include "coordinator/cli/terminal.h"
#include "engine/base/clock.h"
#include "engine/base/process_limits.h"
#include "engine/base/random.h"
#include "engine/base/storage.h"

namespace potluck {

struct UpstreamTable;  // upstream_config.h

// What main() made and hands to every command.
struct Environment {
  Storage& storage;
  const Clock& clock;
  Entropy& entropy;
  const SystemFiles& system;
  Output& out;          // standard output: results
  std::string program;  // path of this binary, to start worker processes
  StopSignal& stop;     // Ctrl-C and SIGTERM
  Terminal& terminal;   // standard error and the log
  int failed = 1;       // what the program ends with if the command fails; a command may set it
  std::string name = "potluck";  // of this program, as people type it
  // The path of the model that a text means.
  std::function<Result<std::string>(const std::string& text)> model_path = {};
  // Of the configuration file; null in programs that take none.
  std::shared_ptr<std::vector<UpstreamTable>> upstreams = {};
};

using CommandAction = std::function<Status()>;

struct Command {
  CLI::App* parser;
  CommandAction run;
};

Command add_run(CLI::App& app, Environment& environment);
Command add_serve(CLI::App& app, Environment& environment);
Command add_join(CLI::App& app, Environment& environment);
Command add_admit(CLI::App& app, Environment& environment);
Command add_leave(CLI::App& app, Environment& environment);
Command add_eval(CLI::App& app, Environment& environment);
Command add_bench(CLI::App& app, Environment& environment);
Command add_tokenize(CLI::App& app, Environment& environment);
Command add_show(CLI::App& app, Environment& environment);
Command add_plan(CLI::App& app, Environment& environment);
Command add_simulate(CLI::App& app, Environment& environment);
Command add_keys(CLI::App& app, Environment& environment);
Command add_list(CLI::App& app, Environment& environment);
Command add_pull(CLI::App& app, Environment& environment);
Command add_rm(CLI::App& app, Environment& environment);
Command add_status(CLI::App& app, Environment& environment);
Command add_version(CLI::App& app, Environment& environment);
Command add_doctor(CLI::App& app, Environment& environment);
// Without what only a coordinator's machine needs.
Command add_worker_doctor(CLI::App& app, Environment& environment);
Command add_completion(CLI::App& app, Environment& environment);
Command add_man(CLI::App& app, Environment& environment);

}  // namespace potluck
