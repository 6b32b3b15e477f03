// `potluck version`: versions of the program, of the arithmetic and of the wire.
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "engine/kernels/kernels.h"
#include "protocol/message.h"

namespace potluck {
namespace {

Status version(bool json) {
  std::vector<std::string> kernels;
  for (const KernelTable* table : available_kernels()) kernels.emplace_back(table->name);
  if (json) {
    nlohmann::json report = {{"version", POTLUCK_VERSION},
                             {"arithmetic", kArithmeticVersion},
                             {"protocol", kProtocolVersion},
                             {"kernels", kernels}};
    fmt::print("{}\n", report.dump());
    return {};
  }
  fmt::print("potluck {}\narithmetic {}, protocol {}, kernels: {}\n", POTLUCK_VERSION,
             kArithmeticVersion, kProtocolVersion, fmt::join(kernels, ", "));
  return {};
}

}  // namespace

Command add_version(CLI::App& app, Environment&) {
  auto json = std::make_shared<bool>(false);
  CLI::App* parser = app.add_subcommand("version", "show versions");
  parser->add_flag("--json", *json, "one JSON object");
  return {parser, [json] { return version(*json); }};
}

}  // namespace potluck
