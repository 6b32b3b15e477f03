#include "engine/experts/grain_cutter.h"

#include <filesystem>

#include <gtest/gtest.h>

#include "engine/experts/manifest_builder.h"
#include "tests/support/test_files.h"
#include "tests/unit/engine/experts/expert_fixture.h"

namespace potluck {
namespace {

using test::ExpertFixture;
using test::FixtureLayer;
using test::SourceExpert;
using test::SourceMatrix;

using T = TensorType;

const FixtureLayer kCutLayers[] = {
    {0, 2, {48, 40, T::kF32, T::kF16, T::kBF16, true, {}}},
    {1, 3, {64, 320, T::kQ8_0, T::kQ4_0, T::kQ8_0, false, {}}},
    {3, 2, {256, 768, T::kQ4_K, T::kQ6_K, T::kQ4_K, true, {}}},  // chunks of 96: every phase
    {4, 2, {256, 768, T::kQ6_K, T::kQ4_K, T::kQ6_K, false, {}}},
    {7, 2, {32, 31, T::kQ4_0, T::kF32, T::kF16, true, {}}},
    {9, 1, {32, 2048, T::kF16, T::kQ8_0, T::kQ4_0, true, {}}},  // two chunks to a grain
};

ExpertFixture make_cut_fixture() {
  return {std::vector<FixtureLayer>(std::begin(kCutLayers), std::end(kCutLayers)), 11};
}

void expect_rows(const PanelMatrix& panels, const SourceMatrix& source, uint32_t first_row,
                 uint32_t first_column) {
  std::vector<float> expected = source.decode();
  std::vector<float> row(panels.shape.columns);
  for (uint32_t r = 0; r < panels.shape.rows; ++r) {
    unpack_row(panels, r, row.data());
    const float* from = expected.data() + uint64_t{first_row + r} * source.columns + first_column;
    ASSERT_EQ(std::memcmp(row.data(), from, row.size() * sizeof(float)), 0) << "row " << r;
  }
}

std::vector<float> floats_at(const ByteVector& grain, uint64_t offset, uint32_t count) {
  std::vector<float> values(count);
  std::memcpy(values.data(), grain.data() + offset, count * sizeof(float));
  return values;
}

void expect_grain(const ExpertFixture& fixture, GrainId id) {
  SCOPED_TRACE(testing::Message() << id.layer << "/" << id.expert << "/" << id.grain);
  const ExpertShape& shape = fixture.cutter().bank(id.layer)->shape;
  const ChunkPlan& plan = fixture.cutter().plan(id.layer);
  GrainLayout layout = grain_layout(shape, plan, id.grain);
  SourceExpert source = fixture.expert(id.layer, id.expert);
  ByteVector grain = fixture.cut(id);
  ASSERT_EQ(grain.size(), layout.bytes);
  expect_rows({layout.gate, grain.data()}, source.gate, layout.first_column, 0);
  expect_rows({layout.up, grain.data() + layout.up_offset}, source.up, layout.first_column, 0);
  for (uint32_t i = 0; i < layout.chunks; ++i) {
    DownChunk down = down_chunk(shape, plan, layout, layout.first_chunk + i);
    expect_rows({down.shape, grain.data() + down.offset}, source.down, 0, down.first_column);
  }
  if (!shape.biases) return;
  auto columns = [&](const std::vector<float>& bias) {
    auto begin = bias.begin() + layout.first_column;
    return std::vector<float>(begin, begin + layout.columns);
  };
  EXPECT_EQ(floats_at(grain, layout.gate_bias_offset, layout.columns), columns(source.gate_bias));
  EXPECT_EQ(floats_at(grain, layout.up_bias_offset, layout.columns), columns(source.up_bias));
  if (id.grain == 0) {
    EXPECT_EQ(floats_at(grain, layout.down_bias_offset, shape.hidden), source.down_bias);
  }
}

TEST(GrainCutter, GrainsDecodeToTheTensors) {
  ExpertFixture fixture = make_cut_fixture();
  for (const ExpertBank& bank : fixture.banks()) {
    for (uint16_t expert = 0; expert < bank.experts; ++expert) {
      for (uint16_t grain = 0; grain < fixture.cutter().plan(bank.layer).grains; ++grain) {
        expect_grain(fixture, {static_cast<uint16_t>(bank.layer), expert, grain});
      }
    }
  }
}

TEST(GrainCutter, WholeExpertsAreTheSameBytes) {
  ExpertFixture fixture = make_cut_fixture();
  const GrainCutter& cutter = fixture.cutter();
  for (const ExpertBank& bank : fixture.banks()) {
    for (uint16_t expert = 0; expert < bank.experts; ++expert) {
      ByteVector whole(cutter.expert_bytes(bank.layer), std::byte{0xdd});
      ASSERT_TRUE(cutter.cut_expert(bank.layer, expert, whole));
      ByteVector joined;
      for (uint16_t grain = 0; grain < cutter.plan(bank.layer).grains; ++grain) {
        ByteVector part = fixture.cut({static_cast<uint16_t>(bank.layer), expert, grain});
        joined.insert(joined.end(), part.begin(), part.end());
      }
      EXPECT_EQ(whole, joined);
    }
  }
}

TEST(GrainCutter, ManifestHoldsEveryGrainsDigest) {
  ExpertFixture fixture = make_cut_fixture();
  uint64_t last = 0;
  uint64_t total = 0;
  auto manifest = build_manifest(fixture.cutter(), "test model", [&](uint64_t done, uint64_t all) {
    EXPECT_GT(done, last);
    last = done;
    total = all;
  });
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(last, total);
  EXPECT_EQ(manifest->total_bytes(), total);
  EXPECT_EQ(manifest->model_name(), "test model");
  ASSERT_EQ(manifest->layers().size(), std::size(kCutLayers));
  for (const ManifestLayer& layer : manifest->layers()) {
    for (uint16_t expert = 0; expert < layer.experts; ++expert) {
      for (uint16_t grain = 0; grain < layer.plan.grains; ++grain) {
        GrainId id{static_cast<uint16_t>(layer.layer), expert, grain};
        ByteVector bytes = fixture.cut(id);
        EXPECT_EQ(manifest->grain_bytes(id), bytes.size());
        EXPECT_EQ(manifest->digest_of(id), sha256(bytes));
      }
    }
  }
  EXPECT_TRUE(Manifest::decode(manifest->encode()));
}

TEST(GrainCutter, KnowsLayersWithoutExperts) {
  ExpertFixture fixture = make_cut_fixture();
  EXPECT_EQ(fixture.cutter().bank(2), nullptr);
  EXPECT_EQ(fixture.cutter().bank(100), nullptr);
  EXPECT_EQ(fixture.cutter().bank(3), &fixture.banks()[2]);
}

TEST(CheckExpertBank, NamesWhatDoesNotFit) {
  ExpertFixture fixture = make_cut_fixture();
  const ExpertBank good = fixture.banks()[0];
  const GgufTensor& other = *fixture.banks()[1].gate;
  auto message = [&](auto change) {
    ExpertBank bank = good;
    change(bank);
    Status status = check_expert_bank(bank);
    return status ? std::string("accepted") : status.error().message;
  };
  EXPECT_EQ(message([](auto&) {}), "accepted");
  EXPECT_NE(message([](auto& b) { b.experts = 3; }).find("blk.0.ffn_gate"), std::string::npos);
  EXPECT_NE(message([](auto& b) { b.experts = 0; }), "accepted");
  EXPECT_NE(message([](auto& b) { b.layer = 1024; }), "accepted");
  EXPECT_NE(message([](auto& b) { b.up = nullptr; }).find("expert ups"), std::string::npos);
  EXPECT_NE(message([&](auto& b) { b.gate = &other; }).find(other.name), std::string::npos);
  EXPECT_NE(message([](auto& b) { b.shape.hidden = 64; }), "accepted");
  EXPECT_NE(message([](auto& b) { b.shape.down = T::kF32; }).find("BF16"), std::string::npos);
  EXPECT_NE(message([](auto& b) { b.down_bias = nullptr; }).find("down biases"), std::string::npos);
  EXPECT_NE(message([](auto& b) { b.down_bias = b.up_bias; }), "accepted");
  EXPECT_NE(message([](auto& b) { b.shape.biases = false; }).find("together"), std::string::npos);
  EXPECT_NE(message([](auto& b) { b.up_scale = b.up; }).find("a scale"), std::string::npos);
  EXPECT_NE(message([](auto& b) { b.shape.scales = true, b.up_scale = b.up; }), "accepted");
}

// Digests of grains of published files, computed by a separate program from the description in
// expert_shape.h and panel.h alone. They may never change: stores and manifests are full of them.
struct Golden {
  std::string path;
  ExpertShape shape;
  uint32_t experts;
  GrainId id;
  std::string digest;
};

ExpertBank bank_of(const GgufModel& model, const Golden& golden) {
  auto find = [&](const char* part) {
    return model.find(test::tensor_name(golden.id.layer, part));
  };
  return {golden.id.layer, golden.experts, golden.shape, find("gate"), find("up"),
          find("down"),    nullptr,        nullptr,      nullptr};
}

void expect_golden(const Golden& golden) {
  auto storage = make_system_storage();
  Result<GgufModel> model = GgufModel::open(*storage, golden.path);
  ASSERT_TRUE(model) << model.error().message;
  ExpertBank bank = bank_of(*model, golden);
  Status valid = check_expert_bank(bank);
  ASSERT_TRUE(valid) << valid.error().message;
  GrainCutter cutter(*model, {&bank, 1});
  ByteVector grain(cutter.grain_bytes(golden.id));
  ASSERT_TRUE(cutter.cut(golden.id, grain));
  EXPECT_EQ(sha256(grain).hex(), golden.digest) << golden.path;
}

TEST(GrainGolden, FloatWeights) {
  const ExpertShape shape{64, 64, T::kF16, T::kF16, T::kF16, false, {}};
  const std::string path = test::data_path("arch/qwen3moe/model.gguf");
  expect_golden({path,
                 shape,
                 8,
                 {0, 0, 0},
                 "58953b34b7b8b952be28e48582d655202bc744569bb0e3d278d07ed9aacc1cc7"});
  expect_golden({path,
                 shape,
                 8,
                 {2, 7, 1},
                 "275579c073c931f8078cf15aefad10b499f53c07bb30162efb7c711b59e83261"});
}

// Models that lie beside the repository on some machines.
void expect_golden_beside(const Golden& golden) {
  if (golden.path.empty()) GTEST_SKIP() << "the storyteller is not here";
  expect_golden(golden);
}

TEST(GrainGolden, QuantizedWeights) {
  const std::string path = test::shared_path("models/storyteller-Q4_K_M.gguf");
  ExpertShape shape{512, 256, T::kQ4_K, T::kQ4_K, T::kQ4_K, false, {}};
  expect_golden_beside({path,
                        shape,
                        24,
                        {0, 23, 7},
                        "88d612e9dee584da67c676d25d042f6179f8e0720795ef28f2dcd2fe67ff8387"});
  shape.down = T::kQ6_K;
  expect_golden_beside({path,
                        shape,
                        24,
                        {2, 5, 3},
                        "737207eb05f7237435437346b3490efcf10e048fb7061ac856d6bfdc69184170"});
}

TEST(GrainGolden, EightBitWeights) {
  const std::string path = test::shared_path("models/storyteller-Q8_0.gguf");
  const ExpertShape shape{512, 256, T::kQ8_0, T::kQ8_0, T::kQ8_0, false, {}};
  expect_golden_beside({path,
                        shape,
                        24,
                        {1, 11, 0},
                        "769e701b0cf240f4b05bccded9da195395beffa0662edd2a5436b377dc22ac25"});
}

// The bundled model; these two by the cutter itself, on the day when it passed the tests above.
TEST(GrainGolden, BundledModel) {
  const std::string path = test::taleteller_path();
  ExpertShape shape{512, 256, T::kQ4_K, T::kQ4_K, T::kQ4_K, false, {}};
  expect_golden({path,
                 shape,
                 24,
                 {0, 23, 7},
                 "3d72b8fcac4a255da9f0e885eb617134782ddd2767b6813f5d0cfb6bf021f175"});
  shape.down = T::kQ6_K;
  expect_golden({path,
                 shape,
                 24,
                 {2, 5, 3},
                 "ac1250fa26783d40421bc86b443475908d78f892cce55c496a4a3ddb0b36b4e2"});
}

// Every grain of the bundled model and the encoding of its manifest.
TEST(GrainGolden, WholeManifest) {
  auto storage = make_system_storage();
  Result<GgufModel> model = GgufModel::open(*storage, test::taleteller_path());
  ASSERT_TRUE(model) << model.error().message;
  std::vector<ExpertBank> banks;
  for (uint16_t layer = 0; layer < 6; ++layer) {
    T down = model->find(test::tensor_name(layer, "down"))->type;
    ExpertShape shape{512, 256, T::kQ4_K, T::kQ4_K, down, false, {}};
    banks.push_back(bank_of(*model, {"", shape, 24, {layer, 0, 0}, ""}));
  }
  Result<Manifest> manifest = build_manifest(GrainCutter(*model, banks), "taleteller");
  ASSERT_TRUE(manifest) << manifest.error().message;
  EXPECT_EQ(manifest->encode().size(), 37074u);
  EXPECT_EQ(manifest->digest().hex(),
            "63afb7c2149708f368aaecffc8b0c6fa57ac5543609b923d921ff94825962268");
}

}  // namespace
}  // namespace potluck
