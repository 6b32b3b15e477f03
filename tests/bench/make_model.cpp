// make_model: writes a GGUF file of random weights, of any architecture that Potluck reads and in
// any shape, for tests and benchmarks. See --help.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "tests/support/model_maker/writer.h"

namespace potluck::test {
namespace {

constexpr const char* kHelp =
    R"(Writes a GGUF file of random weights, for tests and benchmarks. Potluck and llama.cpp load it.
The same flags give the same bytes. A file appears under its name when it is complete.

  make_model small.gguf --preset small --format Q4_K_M
  make_model a3b.gguf --preset a3b --skew 1.0
  make_model my.gguf --preset olmoe --layers 16 --hidden 2048 --experts 64 --top-k 8 --format Q6_K

Weights decode to a mean of zero and the deviation with which every product gives values around 1,
so that logits are finite and spread in models of any depth. They mean nothing: such a model's text
is noise, and what it is asked for hardly matters for its speed.

--skew S: how often each expert of a layer is used follows Zipf's law with exponent S, in another
order in each layer (published models: about 1; 0 is uniform). An expert is used by at most 95 % of
the tokens. It holds over random tokens; not modeled is that the tokens of one text like the same
experts, so a cache fares worse than with a trained model of the same skew. Where a family chooses
experts from groups, the groups flatten it.)";

struct Size {
  const char* flag;
  uint32_t ModelConfig::*number;
  const char* description;
};

constexpr Size kSizes[] = {
    {"--layers", &ModelConfig::layers, "layers"},
    {"--hidden", &ModelConfig::hidden, "size of the hidden state"},
    {"--vocab", &ModelConfig::vocabulary, "tokens in the vocabulary"},
    {"--context", &ModelConfig::trained_context, "positions the model says it was trained with"},
    {"--heads", &ModelConfig::heads, "attention heads"},
    {"--kv-heads", &ModelConfig::kv_heads, "heads of keys and values"},
    {"--expert-width", &ModelConfig::expert_width, "width of a routed expert"},
    {"--shared-width", &ModelConfig::shared_width, "width of the shared expert"},
    {"--dense-layers", &ModelConfig::leading_dense_layers, "first layers without experts"},
    {"--ffn-width", &ModelConfig::ffn_width, "width of a dense layer's feed-forward part"},
    {"--window", &ModelConfig::sliding_window, "positions that a layer with a window sees"},
};

struct Flags {
  std::string path;
  std::string preset = "qwen3moe";
  bool quiet = false;
  bool sizes_only = false;
};

// Numbers that stand deeper in the configuration.
void add_nested_sizes(CLI::App& app, ModelConfig* config) {
  app.add_option("--experts", config->router.experts, "experts in a layer");
  app.add_option("--top-k", config->router.top_k, "experts that each token uses");
  app.add_option("--groups", config->router.groups, "groups of experts (deepseek-v3)");
  app.add_option("--groups-used", config->router.groups_used, "groups that a token may use");
  app.add_option("--rope-dims", config->rope.dimensions, "values of a head that rope turns");
  app.add_option("--latent-rank", config->latent.rank, "compressed keys and values (deepseek)");
  app.add_option("--query-rank", config->latent.query_rank, "compressed queries (deepseek-v3)");
  app.add_option("--plain-dims", config->latent.plain_dimensions,
                 "values of a head that rope leaves alone (deepseek)");
  app.add_option("--latent-value-dim", config->latent.value_dimensions,
                 "size of a head's output (deepseek)");
  app.add_option("--delta-key-heads", config->delta.key_heads, "of the delta net");
  app.add_option("--delta-value-heads", config->delta.value_heads, "of the delta net");
  app.add_option("--delta-key-dim", config->delta.key_dim, "of the delta net");
  app.add_option("--delta-value-dim", config->delta.value_dim, "of the delta net");
}

void add_sparse_sizes(CLI::App& app, ModelConfig* config) {
  app.add_option("--index-heads", config->indexer.heads, "of an indexer");
  app.add_option("--index-dims", config->indexer.dimensions, "of an indexer's head");
  app.add_option("--index-top-k", config->indexer.top_k, "what an indexer chooses");
  CompressedConfig* compressed = &config->compressed;
  app.add_option("--entry-query-rank", compressed->query_rank, "compressed queries (deepseek4)");
  app.add_option("--output-groups", compressed->output_groups, "groups of heads (deepseek4)");
  app.add_option("--output-rank", compressed->output_rank, "what a group becomes (deepseek4)");
  app.add_option("--ratios", compressed->ratios, "positions of an entry, by layer (deepseek4)")
      ->delimiter(',');
  app.add_option("--streams", config->hyper.streams, "hyper-connections (deepseek4)");
  app.add_option("--hash-layers", config->router.hash_layers,
                 "first layers whose experts tokens name (deepseek4)");
}

void add_head_size(CLI::App& app, ModelConfig* config) {
  auto set = [config](const uint32_t& size) {
    bool rope_turns_all = config->rope.dimensions == config->head_dim;
    config->head_dim = config->value_dim = size;
    if (rope_turns_all) config->rope.dimensions = size;
  };
  app.add_option_function<uint32_t>("--head-dim", set, "size of a head");
}

std::string preset_list() {
  std::string list = "\nPresets:\n";
  for (const Preset& preset : presets()) {
    list += fmt::format("  {:<23}{}\n", preset.name, preset.description);
  }
  return list;
}

// The preset must be known before the flags that change it are read.
Result<ModelShape> parse_preset(int argc, char** argv) {
  CLI::App app;
  app.allow_extras();
  app.set_help_flag();
  std::string preset = "qwen3moe";
  app.add_option("--preset", preset);
  app.parse(argc, argv);
  return make_shape(preset);
}

void add_flags(CLI::App& app, ModelShape* shape, Flags* flags) {
  app.add_option("FILE", flags->path, "the file to write")->required();
  app.add_option("--preset", flags->preset, "where the numbers come from (default qwen3moe)");
  app.add_option("--name", shape->config.name, "general.name (default: the preset's)");
  app.add_option("--format", shape->format,
                 "block format of all matrices, or Q4_K_M, Q5_K_M or MXFP4_MOE, mixed as llama.cpp "
                 "does");
  app.add_option("--tensor-format", shape->tensor_formats,
                 "PATTERN=FORMAT for some tensors: 'blk.*.ffn_down_exps.weight=Q6_K'; the last "
                 "that matches wins; replaces the preset's")
      ->allow_extra_args(false);
  app.add_option("--skew", shape->skew, "Zipf exponent of the experts' use (default 0)");
  app.add_option("--seed", shape->seed, "(default 1)");
  app.add_flag("--quiet", flags->quiet, "no progress");
  app.add_flag("--sizes-only", flags->sizes_only,
               "no weights but a hole, for `potluck plan` and `potluck show`");
  for (const Size& size : kSizes) {
    app.add_option(size.flag, shape->config.*size.number, size.description);
  }
  add_head_size(app, &shape->config);
  add_nested_sizes(app, &shape->config);
  add_sparse_sizes(app, &shape->config);
  app.footer(preset_list());
}

Progress make_progress(bool quiet) {
  if (quiet) return {};
  return [last = uint64_t{0}](uint64_t done, uint64_t total) mutable {
    uint64_t percent = 100 * done / std::max<uint64_t>(total, 1);
    if (percent == last) return;
    last = percent;
    fmt::print(stderr, "\r{} %{}", percent, percent == 100 ? "\n" : "");
    std::fflush(stderr);
  };
}

Status make(const Flags& flags, const ModelShape& shape) {
  Result<ModelPlan> plan = plan_model(shape);
  if (!plan) return plan.error();
  std::unique_ptr<Storage> storage = make_system_storage();
  Status written = flags.sizes_only
                       ? write_model_sizes(*plan, flags.path)
                       : write_model_file(*plan, *storage, flags.path, make_progress(flags.quiet));
  if (!written) return written;
  if (!flags.quiet) {
    fmt::print(stderr, "{}: {} tensors, {} bytes\n", flags.path, plan->tensors.size(),
               plan->file_bytes());
  }
  return {};
}

int run(int argc, char** argv) {
  CLI::App app(kHelp);
  try {
    Result<ModelShape> shape = parse_preset(argc, argv);
    if (!shape) {
      fmt::print(stderr, "{}\n", shape.error().message);
      return 2;
    }
    Flags flags;
    add_flags(app, &*shape, &flags);
    app.parse(argc, argv);
    Status made = make(flags, *shape);
    if (made) return 0;
    fmt::print(stderr, "{}\n", made.error().message);
    return made.error().code == ErrorCode::kInvalidArgument ? 2 : 1;
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
}

}  // namespace
}  // namespace potluck::test

int main(int argc, char** argv) {
  return potluck::test::run(argc, argv);
}
