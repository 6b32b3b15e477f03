// Every block format on every family: what the engine reads of such files is the same for all
// instruction sets, of which the scalar one is the definition; what is no weight is refused by
// name.
#include <algorithm>

#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "engine/kernels/block_format.h"
#include "tests/support/gguf_edit.h"
#include "tests/unit/support/model_maker/made_model.h"

namespace potluck::test {
namespace {

// Room for the longest blocks.
ModelShape wide_shape(std::string_view preset) {
  ModelShape shape = must_shape(preset);
  ModelConfig& c = shape.config;
  const uint32_t longest = 256;
  c.hidden = longest;
  c.router.experts = std::min(c.router.experts, 4u);
  c.router.groups = std::min(c.router.groups, 2u);
  c.router.groups_used = std::min(c.router.groups_used, c.router.groups);
  if (c.expert_width > 0) c.expert_width = longest;
  if (c.shared_width > 0) c.shared_width = longest;
  if (c.ffn_width > 0) c.ffn_width = longest;
  for (uint32_t& width : c.layer_ffn_widths) width = longest;
  if (c.latent_width > 0) c.latent_width = longest;
  return shape;
}

// A model in memory, with all that runs it.
class Loaded {
 public:
  explicit Loaded(const ModelPlan& plan) {
    CHECK(storage_.write_atomic("made.gguf", make_bytes(plan)).ok());
    model_ = must(Model::load(storage_, "made.gguf", {}));
    source_ = must(ResidentSource::load(model_->cutter(), {}));
  }

  std::vector<float> logits(const KernelTable& kernels, uint32_t tokens) const {
    ThreadPool pool(1);
    ExpertCompute compute(kernels, pool);
    LocalExecutor executor(model_->cutter(), *source_, compute);
    Forward forward(*model_, kernels, pool);
    KvCache cache(model_->config(), KvType::kF32, tokens);
    std::vector<ForwardRow> rows;
    for (TokenId token : some_tokens(tokens, model_->config().vocabulary)) {
      rows.push_back({token, static_cast<uint32_t>(rows.size()), &cache, true});
    }
    Status ran = run_step(forward, rows, executor);
    EXPECT_TRUE(ran.ok()) << ran.error().message;
    if (!ran) return {};
    std::span<const float> last = forward.logits(tokens - 1);
    return {last.begin(), last.end()};
  }

 private:
  template <class T>
  static T must(Result<T> result) {
    if (!result) check_failed(result.error().message.c_str(), __FILE__, __LINE__);
    return std::move(*result);
  }

  MemoryStorage storage_;
  std::unique_ptr<Model> model_;
  std::unique_ptr<GrainSource> source_;
};

// Formats of few bits: random weights of one sign make logits that are larger than others.
void expect_one_result(const ModelPlan& plan) {
  constexpr uint32_t kTokens = 3;
  const Loaded loaded(plan);
  std::vector<float> expected;
  for (const KernelTable* kernels : available_kernels()) {
    const std::vector<float> logits = loaded.logits(*kernels, kTokens);
    if (expected.empty()) expected = logits;
    EXPECT_EQ(logits, expected) << kernels->name;
  }
  const double deviation = deviation_of(expected);  // false for a NaN
  EXPECT_TRUE(deviation > 0.1 && deviation < 10) << deviation;
}

std::string type_name(size_t index) {
  return std::string(block_formats()[index % block_formats().size()].name);
}

class EveryFormat : public ::testing::TestWithParam<std::string> {};

// Layer by layer another format, until each was one.
TEST_P(EveryFormat, OfExpertsGivesOneResult) {
  ModelShape shape = wide_shape(GetParam());
  uint32_t banks = 0;
  for (uint32_t layer = 0; layer < shape.config.layers; ++layer) {
    banks += shape.config.has_experts(layer) ? 1 : 0;
  }
  if (banks == 0) GTEST_SKIP() << "a dense family";
  for (size_t first = 0; first < block_formats().size(); first += banks) {
    shape.tensor_formats.clear();
    size_t format = first;
    for (uint32_t layer = 0; layer < shape.config.layers; ++layer) {
      if (!shape.config.has_experts(layer)) continue;
      shape.tensor_formats.push_back("blk." + std::to_string(layer) +
                                     ".ffn_*_exps.weight=" + type_name(format++));
    }
    SCOPED_TRACE(shape.tensor_formats.front());
    expect_one_result(must_plan(shape));
  }
}

// Every matrix has another format than the one before it.
TEST_P(EveryFormat, OfAllMatricesMixedGivesOneResult) {
  ModelShape shape = wide_shape(GetParam());
  const ModelPlan plan = must_plan(shape);
  for (size_t first : {0, 9, 18}) {
    shape.tensor_formats.clear();
    size_t next = first;
    for (const TensorPlan& tensor : plan.tensors) {
      if (tensor.values || tensor.indices) continue;
      auto fits = [&](const std::string& name) {
        return tensor.dimensions[0] % find_fill_format(name)->block_elements == 0;
      };
      while (!fits(type_name(next))) ++next;
      shape.tensor_formats.push_back(tensor.name + "=" + type_name(next++));
    }
    SCOPED_TRACE(shape.tensor_formats.front());
    expect_one_result(must_plan(shape));
  }
}

// What becomes of the file if this tensor is of another type. Empty: it was loaded.
std::string refusal(Bytes file, const std::string& tensor, uint32_t type) {
  change_type(&file, tensor, type);
  MemoryStorage storage;
  CHECK(storage.write_atomic("made.gguf", file).ok());
  auto model = Model::load(storage, "made.gguf", {});
  return model ? std::string() : model.error().message;
}

// Of each kind of tensor one: numbers that are no weights, and weights that are no numbers of
// experts.
TEST_P(EveryFormat, RefusesWholeNumbersForWeightsByName) {
  constexpr uint32_t kF32 = 0;
  constexpr uint32_t kI32 = 26;
  ModelShape shape = must_shape(GetParam());
  shape.format = "F32";
  const ModelPlan plan = must_plan(shape);
  const ByteVector made = make_bytes(plan);
  const Bytes file(made.begin(), made.end());
  for (const TensorPlan& tensor : plan.tensors) {
    if (tensor.name.starts_with("blk.") && !tensor.name.starts_with("blk.1.")) continue;
    const std::string message = refusal(file, tensor.name, tensor.indices ? kF32 : kI32);
    // Gate and up in one tensor are two to all that follows.
    std::string name = tensor.name;
    if (const size_t at = name.find("gate_up_exps"); at != std::string::npos) {
      name.replace(at, 12, "gate_exps");
    }
    EXPECT_NE(message.find(name), std::string::npos) << name << ": " << message;
    EXPECT_NE(message.find("I32"), std::string::npos) << name << ": " << message;
  }
}

// The types that no file has any more, or none ever had.
TEST_P(EveryFormat, RefusesUnknownTypesOfExpertsByName) {
  const ModelShape shape = must_shape(GetParam());
  if (shape.config.router.experts == 0) GTEST_SKIP() << "a dense family";
  const ModelPlan plan = must_plan(shape);
  const ByteVector made = make_bytes(plan);
  const auto experts = std::ranges::find_if(plan.tensors, [](const TensorPlan& tensor) {
    return tensor.name.find("_exps.weight") != std::string::npos;
  });
  for (uint32_t type : {4u, 9u, 31u, 999u}) {
    const std::string message = refusal({made.begin(), made.end()}, experts->name, type);
    EXPECT_NE(message.find(experts->name), std::string::npos) << message;
    EXPECT_NE(message.find("expected one of the types"), std::string::npos) << message;
  }
}

INSTANTIATE_TEST_SUITE_P(Families, EveryFormat, ::testing::ValuesIn(tiny_presets()),
                         [](const auto& test) {
                           std::string name = test.param;
                           std::ranges::replace(name, '-', '_');
                           return name;
                         });

// Gemma 4's learned scales and those of NVFP4 have one name and are one thing: with four times the
// scale, experts give what they give with four times the weights.
TEST(ExpertScales, MultiplyOnce) {
  ModelShape shape = must_shape("gemma4");
  shape.tensor_formats = {"*ffn_down_exps.weight=F32"};
  auto logits = [&](float scale, double factor) {
    ModelPlan plan = must_plan(shape);
    for (TensorPlan& tensor : plan.tensors) {
      if (tensor.name.ends_with("ffn_down_exps.weight")) tensor.deviation *= factor;
      if (!tensor.name.ends_with("ffn_down_exps.scale")) continue;
      tensor.values = [scale, count = tensor.dimensions[0]] {
        return std::vector<float>(count, scale);
      };
    }
    return Loaded(plan).logits(*available_kernels().front(), 3);
  };
  EXPECT_EQ(logits(4, 1), logits(1, 4));
  EXPECT_NE(logits(4, 1), logits(1, 1));
}

TEST(ExpertScales, MustBeThereWhereTheFamilyHasThem) {
  ModelShape shape = must_shape("gemma4");
  shape.config.expert_scales = false;
  MemoryStorage storage;
  CHECK(storage.write_atomic("made.gguf", make_bytes(must_plan(shape))).ok());
  auto model = Model::load(storage, "made.gguf", {});
  ASSERT_FALSE(model.ok());
  EXPECT_NE(model.error().message.find("tensor blk.0.ffn_down_exps.scale is missing"),
            std::string::npos)
      << model.error().message;
}

}  // namespace
}  // namespace potluck::test
