// A spreader over a real model, whose coordinator's process ends at every change that it makes on
// disk: what was recorded stays, and nothing of it is read again.
#include "coordinator/spread/spreader.h"

#include <gtest/gtest.h>

#include "coordinator/spread/spread_model.h"
#include "engine/base/memory_storage.h"
#include "engine/experts/manifest_builder.h"
#include "engine/model/model.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

// What the test's Storage has of the system's: the model file alone.
class WithModel final : public ForwardingStorage {
 public:
  WithModel(Storage& disk, Storage& system, std::string path)
      : ForwardingStorage(disk), system_(system), path_(std::move(path)) {}
  Result<std::unique_ptr<ReadableFile>> open(const std::string& path, ReadMode mode) override {
    if (path != path_) return next().open(path, mode);
    if (gone_) return Error{ErrorCode::kIo, path + ": it was pulled out"};
    return system_.open(path, mode);
  }
  void pull_out() { gone_ = true; }

 private:
  Storage& system_;
  std::string path_;
  bool gone_ = false;
};

class SpreaderTest : public testing::Test {
 protected:
  SpreaderTest() {
    SeededEntropy entropy(3);
    key_.emplace(SigningKey::generate(entropy));
  }

  SpreadOptions options() const { return {"kept/m", path_, 0, kSpreadWindowBytes, {}}; }
  Result<std::unique_ptr<SpreadModel>> open(Storage& storage) {
    return SpreadModel::open(storage, options(), {});
  }

  // Reads windows of one expert until all are known, as far as the disk allows.
  Status spread_all(Storage& storage, uint64_t* windows) {
    auto spread = open(storage);
    if (!spread) return spread.error();
    auto model = Model::open((*spread)->storage(), (*spread)->model_path());
    if (!model) return model.error();
    const Manifest outline = outline_of((*model)->cutter(), "m");
    ExpertWindow window((*model)->cutter());
    Spreader spreader((*spread)->folder(), (*spread)->source(), outline, *key_, 1, 1, window, 1);
    if (Status begun = spreader.begin(); !begun) return begun;
    for (const ManifestLayer& layer : outline.layers()) {
      const ManifestLayer* known = spreader.manifest().manifest.layer(layer.layer);
      for (uint32_t expert = known == nullptr ? 0 : known->experts; expert < layer.experts;
           ++expert) {
        const ExpertName name{static_cast<uint16_t>(layer.layer), static_cast<uint16_t>(expert)};
        auto cuts = spreader.read({&name, 1});
        if (!cuts) return cuts.error();
        if (Status recorded = spreader.record(*cuts); !recorded) return recorded;
        ++*windows;
      }
    }
    if (Status begun = spreader.begin(); !begun) return begun;
    manifest_ = spreader.manifest().signed_manifest;
    return spreader.complete();
  }

  SignedManifest whole_manifest() {
    auto model = Model::open(*system_, path_);
    EXPECT_TRUE(model);
    auto manifest = build_manifest((*model)->cutter(), "m");
    EXPECT_TRUE(manifest);
    return sign_manifest(*manifest, *key_);
  }

  std::string path_ = test::data_path("arch/qwen3moe/model.gguf");
  std::unique_ptr<Storage> system_ = make_system_storage();
  std::optional<SigningKey> key_;
  MemoryStorage disk_;
  WithModel storage_{disk_, *system_, path_};
  SignedManifest manifest_;
};

TEST_F(SpreaderTest, TheManifestIsThatOfTheWholeFile) {
  uint64_t windows = 0;
  ASSERT_TRUE(spread_all(storage_, &windows));
  EXPECT_EQ(manifest_.body, whole_manifest().body);
  EXPECT_EQ(manifest_.signature, whole_manifest().signature);
  auto spread = open(storage_);
  ASSERT_TRUE(spread);
  EXPECT_TRUE((*spread)->folder().complete());
}

TEST_F(SpreaderTest, AFullDiskAtAnyChangeOnlyInterrupts) {
  uint64_t windows = 0;
  test::FaultyStorage faulty(storage_);
  uint64_t interrupted = 0;
  for (uint64_t passing = 0; passing < 400; ++passing) {
    faulty.fail_writes("kept", 1, passing);
    Status done = spread_all(faulty, &windows);
    if (done) break;
    EXPECT_EQ(done.error().code, ErrorCode::kLimit) << done.error().message;
    disk_.cut_power(passing);
    ++interrupted;
    faulty.heal();
  }
  EXPECT_GT(interrupted, 3u);
  faulty.heal();
  ASSERT_TRUE(spread_all(faulty, &windows));
  EXPECT_EQ(manifest_.body, whole_manifest().body);
  const auto outline = whole_manifest();
  auto manifest = verify_manifest(outline, key_->public_key());
  ASSERT_TRUE(manifest);
  uint64_t experts = 0;
  for (const ManifestLayer& layer : manifest->layers()) experts += layer.experts;
  EXPECT_LE(windows, experts) << "what was recorded is not read again";
}

TEST_F(SpreaderTest, WhatIsCompleteNeedsNoSource) {
  uint64_t windows = 0;
  ASSERT_TRUE(spread_all(storage_, &windows));
  storage_.pull_out();
  auto spread = open(storage_);
  ASSERT_TRUE(spread) << spread.error().message;
  auto model = Model::load((*spread)->storage(), (*spread)->model_path(), {});
  ASSERT_TRUE(model) << model.error().message;
  EXPECT_NE((*model)->tokenizer(), nullptr);
  // The last one: of the first, a little is kept behind the header.
  const ExpertBank& bank = (*model)->banks().back();
  Buffer expert((*model)->cutter().expert_bytes(bank.layer));
  EXPECT_FALSE((*model)->cutter().cut_expert(bank.layer, bank.experts - 1, expert.span()))
      << "never zeros";
  auto read = (*spread)->source().read(std::vector<ExpertName>{{0, 0}});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, ErrorCode::kIo);
}

TEST_F(SpreaderTest, ADamagedListOfDigestsIsReadAgain) {
  uint64_t windows = 0;
  ASSERT_TRUE(spread_all(storage_, &windows));
  const uint64_t all = windows;
  ASSERT_TRUE(disk_.remove("kept/m/manifest"));
  auto names = disk_.list("kept/m/layers");
  ASSERT_TRUE(names);
  disk_.flip_bit("kept/m/layers/" + names->front(), 1);
  windows = 0;
  ASSERT_TRUE(spread_all(storage_, &windows));
  EXPECT_GT(windows, 0u);
  EXPECT_LT(windows, all);
  EXPECT_EQ(manifest_.body, whole_manifest().body);
}

TEST_F(SpreaderTest, AnotherFileUnderTheSameNameIsAnError) {
  ASSERT_TRUE(open(storage_));
  SpreadOptions other = options();
  other.source = "/elsewhere/model.gguf";
  auto spread = SpreadModel::open(storage_, other, {});
  ASSERT_FALSE(spread);
  EXPECT_NE(spread.error().message.find(path_), std::string::npos) << spread.error().message;
}

}  // namespace
}  // namespace potluck
