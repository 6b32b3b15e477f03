// `version`: versions of the program, of the arithmetic and of the wire.
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/flags.h"
#include "engine/kernels/kernels.h"
#include "protocol/message.h"

namespace potluck {
namespace {

Status version(bool json, const std::string& program, Output& out) {
  std::vector<std::string> kernels;
  for (const KernelTable* table : available_kernels()) kernels.emplace_back(table->name);
  if (json) {
    out.json({{"version", POTLUCK_VERSION},
              {"arithmetic", kArithmeticVersion},
              {"protocol", kProtocolVersion},
              {"kernels", kernels}});
    return {};
  }
  out.line(fmt::format("{} {}", program, POTLUCK_VERSION));
  out.line(fmt::format("arithmetic {}, protocol {}, kernels: {}", kArithmeticVersion,
                       kProtocolVersion, fmt::join(kernels, ", ")));
  return {};
}

}  // namespace

Command add_version(CLI::App& app, Environment& environment) {
  auto json = std::make_shared<bool>(false);
  CLI::App* parser = add_command(app, "version", "show versions");
  add_switch(parser, "--json", json.get(), "one JSON object");
  return {parser,
          [json, &environment] { return version(*json, environment.name, environment.out); }};
}

}  // namespace potluck
