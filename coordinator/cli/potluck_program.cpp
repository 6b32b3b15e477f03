#include "coordinator/cli/potluck_program.h"

#include "coordinator/cli/first_offer.h"
#include "coordinator/cli/model_argument.h"
#include "coordinator/cli/upstream_config.h"

namespace potluck {

Program potluck_program(Environment& environment) {
  environment.upstreams = std::make_shared<std::vector<UpstreamTable>>();
  environment.model_path = [&environment](const std::string& text) {
    return path_of_model(text, environment);
  };
  Program program{
      "potluck",
      "Potluck: old devices together run Mixture-of-Experts models",
      "Without arguments, at a terminal, it asks which model to use, who may join and "
      "where to listen, and starts.",
      {add_run,      add_serve,  add_join,    add_admit,    add_leave,      add_eval, add_bench,
       add_tokenize, add_show,   add_plan,    add_simulate, add_keys,       add_list, add_pull,
       add_rm,       add_status, add_version, add_doctor,   add_completion, add_man}};
  program.take_tables = [tables = environment.upstreams](const std::string& path,
                                                         const std::vector<Setting>& settings) {
    auto read = read_upstreams(path, settings);
    if (!read) return Status(read.error());
    *tables = std::move(*read);
    return Status();
  };
  program.print_tables = [tables = environment.upstreams](const std::string& path) {
    return printed_upstreams(path, *tables);
  };
  program.ask = [&environment] { return run_first_questions(environment); };
  return program;
}

}  // namespace potluck
