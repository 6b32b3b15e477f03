// `potluck tokenize`: token ids of a text, nothing added.
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "coordinator/cli/commands.h"
#include "coordinator/cli/flags.h"
#include "coordinator/cli/model_argument.h"
#include "coordinator/cli/terminal.h"
#include "engine/base/limits.h"
#include "engine/model/model.h"

namespace potluck {
namespace {

struct TokenizeFlags {
  std::string model;
  std::optional<std::string> text;
  std::string file;
  bool special = false;
  bool json = false;
};

Result<std::string> read_text(const TokenizeFlags& flags, Storage& storage) {
  if (flags.text.has_value()) return *flags.text;
  Result<ByteVector> bytes = read_file(storage, flags.file, limits::kPromptBytes);
  if (!bytes) return bytes.error();
  return std::string(as_text(*bytes));
}

Status tokenize(const TokenizeFlags& flags, const Environment& environment) {
  Result<std::string> text = read_text(flags, environment.storage);
  if (!text) return text.error();
  Result<std::string> path = path_of_model(flags.model, environment);
  if (!path) return path.error();
  Result<GgufModel> model = GgufModel::open(environment.storage, *path);
  if (!model) return model.error();
  auto tokenizer = make_tokenizer(model->metadata());
  if (!tokenizer) return tokenizer.error().in(*path);
  Terminal& terminal = environment.terminal;
  for (const std::string& note : notes_of(*model, tokenizer->get())) terminal.notice(note);
  auto ids =
      (*tokenizer)->encode(*text, flags.special ? SpecialTokens::kParse : SpecialTokens::kAsText);
  if (!ids) return ids.error();
  if (flags.json) {
    environment.out.json({{"ids", *ids}});
  } else {
    environment.out.line(fmt::format("{}", fmt::join(*ids, " ")));
  }
  return {};
}

}  // namespace

Command add_tokenize(CLI::App& app, Environment& environment) {
  auto flags = std::make_shared<TokenizeFlags>();
  CLI::App* parser = add_command(app, "tokenize", "show the token ids of a text");
  add_text(parser, "MODEL", &flags->model, kModelHelp).required();
  CLI::App* source = add_one_of(parser, "source");
  add_text(source, "--text", &flags->text, "the text");
  add_text(source, "--file", &flags->file, "a file with the text");
  add_switch(parser, "--special", &flags->special, "names of special tokens become those tokens");
  add_switch(parser, "--json", &flags->json, "one JSON object");
  return {parser, [flags, &environment] { return tokenize(*flags, environment); }};
}

}  // namespace potluck
