// What is said about memory before anything is loaded, against what is taken then: of every family.
#include "engine/model/step_memory.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <malloc.h>

#include "engine/experts/expert_compute.h"
#include "engine/model/model.h"
#include "engine/model/step_run.h"
#include "tests/support/sanitizers.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

uint64_t heap_bytes() {
  struct mallinfo2 heap = mallinfo2();
  return heap.uordblks + heap.hblkhd;
}

std::vector<std::string> families() {
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(test::data_path("arch"))) {
    paths.push_back(entry.path() / "model.gguf");
  }
  return paths;
}

// What a step of `rows` rows leaves taken: all scratch, of layer loop and executor.
uint64_t taken_by_step(const Model& model, GrainSource& source, KvCache& cache, uint32_t rows) {
  ThreadPool pool(3);
  const KernelTable& kernels = **select_kernels("");
  uint64_t before = heap_bytes();
  ExpertCompute compute(kernels, pool);
  LocalExecutor executor(model.cutter(), source, compute);
  Forward forward(model, kernels, pool);
  std::vector<ForwardRow> wanted;
  for (uint32_t i = 0; i < rows; ++i)
    wanted.push_back({static_cast<int32_t>(i % 7), i, &cache, true});
  cache.set_length(0);
  EXPECT_TRUE(run_step(forward, wanted, executor));
  cache.set_length(0);
  return heap_bytes() - before;
}

TEST(StepMemory, BoundsWhatAStepTakes) {
  if (POTLUCK_SANITIZED) GTEST_SKIP() << "a sanitizer has a heap of its own";
  auto storage = make_system_storage();
  constexpr uint32_t kFew = 32;
  constexpr uint32_t kMany = 192;
  for (const std::string& path : families()) {
    auto model = Model::load(*storage, path, {});
    ASSERT_TRUE(model) << model.error().message;
    auto source = ResidentSource::load((*model)->cutter(), {});
    ASSERT_TRUE(source) << source.error().message;
    EXPECT_EQ((*source)->bytes(), ResidentSource::bytes_for((*model)->cutter())) << path;
    const ModelConfig& config = (*model)->config();
    KvCache cache(config, KvType::kF16, kMany);
    (void)taken_by_step(**model, **source, cache, kMany);  // the cache's own log and versions
    uint64_t few = taken_by_step(**model, **source, cache, kFew);
    uint64_t many = taken_by_step(**model, **source, cache, kMany);
    uint64_t bound = step_memory(config, {kMany, kMany, 3}) - step_memory(config, {kFew, kFew, 3});
    EXPECT_LE(many, few + bound) << path;
    EXPECT_GE(3 * (many - few), bound) << path << ": the bound is far too careful";
  }
}

TEST(StepMemory, GrowsWithEverything) {
  ModelConfig config;
  config.hidden = 2048;
  config.vocabulary = 150'000;
  config.heads = 32;
  config.kv_heads = 4;
  config.head_dim = config.value_dim = 128;
  config.router.experts = 128;
  config.router.top_k = 8;
  uint64_t base = step_memory(config, {512, 1, 2});
  EXPECT_GT(step_memory(config, {4096, 1, 2}), base);
  EXPECT_GT(step_memory(config, {512, 512, 2}), base + 250 * kMiB);
  EXPECT_GT(step_memory(config, {512, 1, 8}), base);
  // No more rows can want logits than there are.
  EXPECT_EQ(step_memory(config, {1, 512, 2}), step_memory(config, {1, 1, 2}));
}

TEST(MeasureWeights, SaysWhatLoadingTakes) {
  if (POTLUCK_SANITIZED) GTEST_SKIP() << "a sanitizer has a heap of its own";
  auto storage = make_system_storage();
  for (const std::string& path : families()) {
    auto model = Model::open(*storage, path);
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_TRUE((*model)->weights().layers.empty());
    uint64_t before = heap_bytes();
    ASSERT_TRUE((*model)->load_weights({}));
    uint64_t taken = heap_bytes() - before;
    uint64_t said = (*model)->weight_bytes();
    // Small tensors have their alignment and the heap's own notes beside them.
    EXPECT_GE(taken + 4 * kKiB, said) << path;
    EXPECT_LE(taken, said + said / 2 + 64 * kKiB) << path;
  }
}

}  // namespace
}  // namespace potluck
