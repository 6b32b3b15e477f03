// The program `potluck-worker`: what a device needs that only computes, and no more.
#include "coordinator/cli/program_main.h"

namespace potluck {
namespace {

Program worker_program(Environment& environment) {
  // Without a coordinator's catalog of models, only their paths are known.
  environment.model_path = [](const std::string& text) { return Result<std::string>(text); };
  return {"potluck-worker",
          "Potluck, the worker alone: this device computes for a pool",
          "",
          {add_join, add_leave, add_worker_doctor, add_version, add_completion, add_man}};
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  return potluck::program_main(argc, argv, potluck::worker_program);
}
