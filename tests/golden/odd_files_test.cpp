// Files of old and careless converters give the same bits as those they should have been, and
// numbers that make no sense are refused or computed with, but never undefined.
#include <cmath>
#include <limits>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "tests/golden/golden_support.h"
#include "tests/golden/streamed.h"
#include "tests/support/gguf_edit.h"
#include "tests/support/temporary_directory.h"

namespace potluck::test {
namespace {

class OddFile : public ::testing::TestWithParam<const char*> {
 protected:
  std::string path() const { return data_path(std::string("arch/") + GetParam() + "/model.gguf"); }
  std::vector<TokenId> prompt() const {
    const std::string reference = std::string("arch/") + GetParam() + "/reference.json";
    return load_json(data_path(reference))["prompt"].get<std::vector<TokenId>>();
  }
  GoldenRun run(const std::string& file, const SoloOptions& options = {}) const {
    SoloEngine engine(file, options);
    return run_golden(engine, prompt(), 8, 512);
  }
};

// The prompt and two tokens more, or an error: with bad numbers that is right, too.
void compute_some(const Model& model, std::span<const TokenId> prompt) {
  ThreadPool threads(1);
  auto source = ResidentSource::load(model.cutter(), {});
  ASSERT_TRUE(source.ok());
  const KernelTable& kernels = **select_kernels("");
  ExpertCompute compute(kernels, threads);
  LocalExecutor executor(model.cutter(), **source, compute);
  Forward forward(model, kernels, threads);
  KvCache cache(model.config(), KvType::kF32, static_cast<uint32_t>(prompt.size()) + 2);
  ScoringRun run{model.config(), forward, executor, cache, 512, {}};
  auto score = score_tokens(run, prompt);
  if (!score) return;
  (void)continue_greedily(run, score->last_logits, 2);
}

INSTANTIATE_TEST_SUITE_P(OddFiles, OddFile, ::testing::ValuesIn(kFixtures),
                         [](const auto& test) { return test_name(test.param); });

TEST_P(OddFile, ExpertsApartGiveTheSameBits) {
  auto storage = make_system_storage();
  auto model = GgufModel::open(*storage, path());
  ASSERT_TRUE(model.ok());
  const std::vector<GgufBuilder::Tensor> tensors = tensors_with_experts_apart(*model);
  if (tensors.size() == model->tensors().size()) GTEST_SKIP() << "a dense model";
  TemporaryDirectory directory;
  const Bytes file = file_bytes(path());
  GgufBuilder whole = with_metadata_of(file, *model);
  for (const GgufBuilder::Tensor& tensor : tensors) whole.tensor(tensor);
  ASSERT_TRUE(storage->write_atomic(directory / "old.gguf", whole.build()).ok());
  const std::string expected = run(path()).digest();
  EXPECT_EQ(run(directory / "old.gguf").digest(), expected);
  EXPECT_EQ(run(directory / "old.gguf", streamed_options(false)).digest(), expected);
}

TEST_P(OddFile, ExpertsApartInSeveralFilesGiveTheSameBits) {
  auto storage = make_system_storage();
  auto model = GgufModel::open(*storage, path());
  ASSERT_TRUE(model.ok());
  TemporaryDirectory directory;
  const std::vector<GgufBuilder::Tensor> tensors = tensors_with_experts_apart(*model);
  const Bytes file = file_bytes(path());
  constexpr uint16_t kParts = 3;
  for (uint16_t part = 0; part < kParts; ++part) {
    GgufBuilder builder = part == 0 ? with_metadata_of(file, *model) : GgufBuilder();
    builder.value<uint16_t>("split.no", part).value<uint16_t>("split.count", kParts);
    builder.value<int32_t>("split.tensors.count", static_cast<int32_t>(tensors.size()));
    builder.claim_pairs((part == 0 ? model->metadata().keys().size() : 0) + 3);
    for (size_t i = part; i < tensors.size(); i += kParts) builder.tensor(tensors[i]);
    const std::string name = fmt::format("old-0000{}-of-0000{}.gguf", part + 1, kParts);
    ASSERT_TRUE(storage->write_atomic(directory / name, builder.build()).ok());
  }
  const std::string expected = run(path()).digest();
  EXPECT_EQ(run(directory / "old-00001-of-00003.gguf").digest(), expected);
  if (tensors.size() == model->tensors().size()) return;  // a dense model
  const SoloOptions streamed = streamed_options(false);
  EXPECT_EQ(run(directory / "old-00001-of-00003.gguf", streamed).digest(), expected);
}

// The same of whole numbers, up to where the model is loaded: with other sizes its tensors do not
// fit, but nothing may be divided by 0 or overflow on the way.
TEST_P(OddFile, AnyCountOfTheMetadataIsRefusedOrLoaded) {
  MemoryStorage storage;
  const Bytes good = file_bytes(path());
  auto metadata = GgufModel::open(*make_system_storage(), path())->metadata();
  uint32_t refused = 0;
  for (const std::string& key : metadata.keys()) {
    for (uint32_t odd : {0u, 1u, 2u, 3u, 5u, 64u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
      Bytes file = good;
      if (key.starts_with("tokenizer.") || !change_count(&file, key, odd)) break;
      ASSERT_TRUE(storage.write_atomic("odd.gguf", file).ok());
      auto model = Model::load(storage, "odd.gguf", {});
      if (model) continue;
      EXPECT_THAT(model.error().message, ::testing::HasSubstr("odd.gguf"));
      ++refused;
    }
  }
  EXPECT_GT(refused, 20u);
}

// Every float of the metadata that a model goes by, one by one, at what no honest file has.
TEST_P(OddFile, AnyFloatOfTheMetadataIsRefusedOrComputedWith) {
  using Limits = std::numeric_limits<float>;
  constexpr float kOdd[] = {Limits::quiet_NaN(),
                            Limits::infinity(),
                            -Limits::infinity(),
                            Limits::denorm_min(),
                            Limits::max(),
                            Limits::lowest(),
                            Limits::min(),
                            0.0F,
                            -0.0F,
                            -1.0F,
                            1.0F,
                            1e-30F,
                            1e30F,
                            3e9F,
                            0.5F};
  MemoryStorage storage;
  const Bytes good = file_bytes(path());
  const std::vector<TokenId> tokens = prompt();
  uint32_t refused = 0;
  uint32_t computed = 0;
  auto metadata = GgufModel::open(*make_system_storage(), path())->metadata();
  for (const std::string& key : metadata.keys()) {
    for (float odd : kOdd) {
      Bytes file = good;
      if (key.starts_with("tokenizer.") || !change_float(&file, key, odd)) break;
      ASSERT_TRUE(storage.write_atomic("odd.gguf", file).ok());
      auto model = Model::load(storage, "odd.gguf", {});
      if (!model) {
        EXPECT_THAT(model.error().message, ::testing::HasSubstr("odd.gguf"));
        ++refused;
        continue;
      }
      ++computed;
      compute_some(**model, tokens);
    }
  }
  EXPECT_GT(refused, 0U);
  EXPECT_GT(computed, 0U);
}

}  // namespace
}  // namespace potluck::test
