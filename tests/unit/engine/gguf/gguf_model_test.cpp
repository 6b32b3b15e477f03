// What well-formed files say, from handwritten bytes and from the fixtures.
#include <bit>

#include <gtest/gtest.h>

#include "engine/base/hash.h"
#include "engine/base/memory_storage.h"
#include "engine/base/random.h"
#include "engine/gguf/gguf.h"
#include "tests/support/gguf_builder.h"
#include "tests/support/gguf_touch.h"
#include "tests/support/test_files.h"

namespace potluck {
namespace {

using test::GgufBuilder;

Result<GgufModel> open_bytes(MemoryStorage& storage, const test::Bytes& bytes) {
  EXPECT_TRUE(storage.write_atomic("model.gguf", bytes).ok());
  return GgufModel::open(storage, "model.gguf");
}

GgufModel open_valid(const GgufBuilder& builder) {
  MemoryStorage storage;
  auto model = open_bytes(storage, builder.build());
  EXPECT_TRUE(model.ok()) << model.error().message;
  return std::move(*model);
}

TEST(GgufModel, ReadsEveryTypeOfMetadata) {
  GgufBuilder builder;
  builder.value<uint8_t>("u8", 200).value<int8_t>("i8", -100).value<uint16_t>("u16", 60'000);
  builder.value<int16_t>("i16", -30'000).value<uint32_t>("u32", 4'000'000'000u);
  builder.value<int32_t>("i32", -2'000'000'000).value<uint64_t>("u64", UINT64_MAX);
  builder.value<int64_t>("i64", INT64_MIN).value<float>("f32", 0.1F).value<double>("f64", 0.1);
  builder.value<bool>("yes", true).value<bool>("no", false).text("text", "caf\xc3\xa9");
  GgufModel model = open_valid(builder);
  const GgufMetadata& metadata = model.metadata();
  EXPECT_EQ(std::get<uint64_t>(*metadata.find("u8")), 200u);
  EXPECT_EQ(std::get<int64_t>(*metadata.find("i8")), -100);
  EXPECT_EQ(std::get<uint64_t>(*metadata.find("u16")), 60'000u);
  EXPECT_EQ(std::get<int64_t>(*metadata.find("i16")), -30'000);
  EXPECT_EQ(std::get<uint64_t>(*metadata.find("u32")), 4'000'000'000u);
  EXPECT_EQ(std::get<int64_t>(*metadata.find("i32")), -2'000'000'000);
  EXPECT_EQ(std::get<uint64_t>(*metadata.find("u64")), UINT64_MAX);
  EXPECT_EQ(std::get<int64_t>(*metadata.find("i64")), INT64_MIN);
  EXPECT_EQ(std::get<double>(*metadata.find("f32")), static_cast<double>(0.1F));
  EXPECT_EQ(std::get<double>(*metadata.find("f64")), 0.1);
  EXPECT_TRUE(std::get<bool>(*metadata.find("yes")));
  EXPECT_FALSE(std::get<bool>(*metadata.find("no")));
  EXPECT_EQ(*metadata.text("text"), "caf\xc3\xa9");
  EXPECT_EQ(metadata.keys().size(), 13u);
  EXPECT_EQ(metadata.keys().front(), "u8");
  EXPECT_EQ(metadata.keys().back(), "text");
}

template <class Stored, class Kept>
void expect_array(std::vector<Stored> stored, const std::vector<Kept>& kept) {
  GgufModel model = open_valid(GgufBuilder().array<Stored>("a", stored).text("after", "a"));
  const auto& array = std::get<MetadataArray>(*model.metadata().find("a"));
  EXPECT_EQ(std::get<std::vector<Kept>>(array), kept);
  EXPECT_EQ(*model.metadata().text("after"), "a");
}

TEST(GgufModel, ReadsArraysOfEveryType) {
  expect_array<uint8_t, uint64_t>({0, 255}, {0, 255});
  expect_array<int8_t, int64_t>({-128, 127}, {-128, 127});
  expect_array<uint16_t, uint64_t>({65535}, {65535});
  expect_array<int16_t, int64_t>({-32768}, {-32768});
  expect_array<uint32_t, uint64_t>({UINT32_MAX}, {UINT32_MAX});
  expect_array<int32_t, int64_t>({INT32_MIN, 3}, {INT32_MIN, 3});
  expect_array<uint64_t, uint64_t>({UINT64_MAX}, {UINT64_MAX});
  expect_array<int64_t, int64_t>({INT64_MIN}, {INT64_MIN});
  expect_array<float, double>({0.5F, -2.0F}, {0.5, -2.0});
  expect_array<double, double>({0.1}, {0.1});
  expect_array<bool, bool>({true, false, true}, {true, false, true});
  expect_array<std::string, std::string>({"", "two", std::string("a\0b", 3)},
                                         {"", "two", std::string("a\0b", 3)});
  expect_array<uint32_t, uint64_t>({}, {});
}

TEST(GgufModel, DescribesTensors) {
  GgufBuilder builder;
  builder.floats("vector", {3}, {1, 2, 3});
  builder.floats("matrix", {2, 3}, {1, 2, 3, 4, 5, 6});
  builder.tensor({"bank", 8, {32, 2, 2, 1}, test::Bytes(4 * 34), std::nullopt});
  MemoryStorage storage;
  test::Bytes bytes = builder.build();
  auto model = open_bytes(storage, bytes);
  ASSERT_TRUE(model.ok()) << model.error().message;
  ASSERT_EQ(model->tensors().size(), 3u);
  EXPECT_EQ(model->path(), "model.gguf");
  EXPECT_EQ(model->version(), 3u);
  EXPECT_EQ(model->file_bytes(), bytes.size());
  const GgufTensor& vector = model->tensors()[0];
  EXPECT_EQ(vector.rank, 1u);
  EXPECT_EQ(vector.dimensions, (std::array<uint64_t, 4>{3, 1, 1, 1}));
  EXPECT_EQ(vector.bytes, 12u);
  EXPECT_EQ(vector.offset % 32, 0u);
  EXPECT_EQ(vector.shape_text(), "3");
  const GgufTensor* matrix = model->find("matrix");
  ASSERT_NE(matrix, nullptr);
  EXPECT_EQ(matrix->columns(), 2u);
  EXPECT_EQ(matrix->rows(), 3u);
  EXPECT_EQ(matrix->row_bytes(), 8u);
  EXPECT_EQ(matrix->count(), 6u);
  EXPECT_EQ(matrix->offset, vector.offset + 32);
  const GgufTensor* bank = model->find("bank");
  ASSERT_NE(bank, nullptr);
  EXPECT_EQ(bank->type, TensorType::kQ8_0);
  EXPECT_EQ(bank->row_bytes(), 34u);
  EXPECT_EQ(bank->bytes, 136u);
  EXPECT_EQ(bank->shape_text(), "32 x 2 x 2 x 1");
  EXPECT_EQ(bank->offset + bank->bytes, bytes.size());
  EXPECT_EQ(model->find("matri"), nullptr);
}

TEST(GgufModel, ReadsRangesAndWholeTensors) {
  std::vector<float> values{1, -2, 3.5F, 4};
  GgufModel model = open_valid(GgufBuilder().floats("pad", {1}, {9}).floats("t", {2, 2}, values));
  const GgufTensor& tensor = *model.find("t");
  EXPECT_EQ(*model.read_all(tensor), test::bytes_of(values));
  EXPECT_EQ(*model.read_floats(tensor), values);
  ByteVector part(4);
  ASSERT_TRUE(model.read(tensor, 8, part).ok());
  EXPECT_EQ(load<float>(part.data()), 3.5F);
  EXPECT_TRUE(model.read(tensor, 16, {}).ok());
}

TEST(GgufModelDeathTest, ReadingBeyondATensorIsAProgrammingError) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  GgufModel model = open_valid(GgufBuilder().floats("t", {2}, {1, 2}));
  ByteVector part(4);
  EXPECT_DEATH((void)model.read(model.tensors()[0], 5, part), "CHECK");
  EXPECT_DEATH((void)model.read(model.tensors()[0], UINT64_MAX - 1, part), "CHECK");
}

// More than one piece of a megabyte, with a piece that is no multiple of the block's 34 bytes.
TEST(GgufModel, DecodesLargeQuantizedTensorsPieceByPiece) {
  constexpr uint64_t kRows = 40'000;
  test::GgufBytes blocks;
  for (uint64_t row = 0; row < kRows; ++row) {
    blocks.put<uint16_t>(0x3800);  // the scale, 0.5 as a half
    for (int i = 0; i < 32; ++i) blocks.put(static_cast<int8_t>((row * 7 + i) % 200 - 100));
  }
  GgufModel model = open_valid(GgufBuilder().tensor({"t", 8, {32, kRows}, blocks.bytes(), {}}));
  auto floats = model.read_floats(model.tensors()[0]);
  ASSERT_TRUE(floats.ok());
  ASSERT_EQ(floats->size(), 32 * kRows);
  for (uint64_t row = 0; row < kRows; ++row) {
    for (uint64_t i = 0; i < 32; ++i) {
      float expected = 0.5F * static_cast<float>(static_cast<int>((row * 7 + i) % 200) - 100);
      ASSERT_EQ((*floats)[row * 32 + i], expected) << "row " << row << ", column " << i;
    }
  }
}

TEST(GgufModel, ReadsVersion2AndOtherAlignments) {
  EXPECT_EQ(open_valid(GgufBuilder().version(2).floats("t", {1}, {5})).version(), 2u);
  for (uint32_t alignment : {1u, 8u, 64u, 4096u, 65536u}) {
    GgufBuilder builder;
    builder.alignment(alignment).floats("a", {3}, {1, 2, 3}).floats("b", {2}, {4, 5});
    GgufModel model = open_valid(builder);
    EXPECT_EQ(model.tensors()[0].offset % alignment, 0u);
    EXPECT_EQ(*model.read_floats(*model.find("a")), (std::vector<float>{1, 2, 3}));
    EXPECT_EQ(*model.read_floats(*model.find("b")), (std::vector<float>{4, 5}));
  }
}

TEST(GgufModel, AcceptsEmptyModelsAndGapsBetweenTensors) {
  EXPECT_TRUE(open_valid(GgufBuilder()).tensors().empty());
  EXPECT_TRUE(open_valid(GgufBuilder().text("general.architecture", "x")).tensors().empty());
  GgufBuilder builder;
  builder.floats("a", {1}, {1});
  builder.tensor({"unused space", 0, {1}, test::Bytes(100), std::nullopt});
  builder.floats("b", {1}, {2});
  EXPECT_EQ(*open_valid(builder).read_floats(*open_valid(builder).find("b")),
            std::vector<float>{2});
}

// Tokens that end at every position relative to the reader's window.
TEST(GgufModel, ReadsHeadersOfManyMegabytes) {
  std::vector<std::string> tokens;
  std::vector<float> scores;
  for (size_t i = 0; i < 150'000; ++i) {
    tokens.push_back(std::string(i % 23, 'a') + std::to_string(i));
    scores.push_back(static_cast<float>(i));
  }
  std::string chat_template(3 * kMiB, 't');
  GgufBuilder builder;
  builder.array("tokens", tokens).text("template", chat_template).array("scores", scores);
  builder.floats("t", {2}, {1, 2});
  GgufModel model = open_valid(builder);
  EXPECT_EQ(*model.metadata().texts("tokens"), tokens);
  EXPECT_EQ(*model.metadata().text("template"), chat_template);
  EXPECT_EQ(model.metadata().numbers("scores")->back(), 149'999.0);
  EXPECT_EQ(*model.read_floats(model.tensors()[0]), (std::vector<float>{1, 2}));
}

TEST(GgufModel, ReportsReadErrorsWithTheTensorsName) {
  MemoryStorage storage;
  auto model = open_bytes(storage, GgufBuilder().floats("blk.0.x", {2}, {1, 2}).build());
  ASSERT_TRUE(model.ok());
  storage.truncate("model.gguf", model->file_bytes() - 1);
  auto bytes = model->read_all(model->tensors()[0]);
  ASSERT_FALSE(bytes.ok());
  EXPECT_EQ(bytes.error().code, ErrorCode::kIo);
  EXPECT_NE(bytes.error().message.find("blk.0.x"), std::string::npos);
  EXPECT_NE(bytes.error().message.find("model.gguf"), std::string::npos);
  EXPECT_FALSE(model->read_floats(model->tensors()[0]).ok());
}

TEST(GgufModel, ReportsStorageErrorsWhileOpening) {
  MemoryStorage storage;
  EXPECT_EQ(GgufModel::open(storage, "none.gguf").error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(storage.write_atomic("m.gguf", GgufBuilder().build()).ok());
  storage.fail_reads(1);
  auto model = GgufModel::open(storage, "m.gguf");
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.error().code, ErrorCode::kIo);
  EXPECT_EQ(model.error().message, "m.gguf: cannot read: injected fault");
}

// The expected figures were taken from the file with a separate reader.
TEST(GgufFixture, Qwen3MoeIsReadInFull) {
  auto storage = make_system_storage();
  auto model = GgufModel::open(*storage, test::data_path("arch/qwen3moe/model.gguf"));
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->version(), 3u);
  EXPECT_EQ(model->file_bytes(), 891'296u);
  EXPECT_EQ(model->tensors().size(), 39u);
  const GgufMetadata& metadata = model->metadata();
  EXPECT_EQ(metadata.keys().size(), 26u);
  EXPECT_EQ(*metadata.text("general.architecture"), "qwen3moe");
  EXPECT_EQ(*metadata.integer("qwen3moe.block_count"), 3u);
  EXPECT_EQ(*metadata.number("qwen3moe.rope.freq_base"), 1e6);
  EXPECT_EQ(metadata.texts("tokenizer.ggml.tokens")->at(511), "\xc4\xa0int");
  EXPECT_EQ(metadata.integers("tokenizer.ggml.token_type")->at(2), 3);
  EXPECT_EQ(metadata.texts("tokenizer.ggml.merges")->size(), 253u);
  const GgufTensor* bank = model->find("blk.1.ffn_gate_exps.weight");
  ASSERT_NE(bank, nullptr);
  EXPECT_EQ(bank->type, TensorType::kF16);
  EXPECT_EQ(bank->shape_text(), "64 x 64 x 8");
  EXPECT_EQ(bank->offset, 459'680u);
  EXPECT_EQ(sha256(*model->read_all(*bank)).hex(),
            "fce2d815d289d26e4b534ff2f944d7c8e9bc8451295694f4d796df444e49d5c2");
  auto floats = model->read_floats(*bank);
  ASSERT_TRUE(floats.ok());
  EXPECT_EQ((*floats)[0], 0.143798828125F);
  EXPECT_EQ((*floats)[2], 0.1270751953125F);
  auto norm = model->read_floats(*model->find("output_norm.weight"));
  ASSERT_TRUE(norm.ok());
  EXPECT_EQ((*norm)[1], 0.818359375F);
}

class TrainedModel : public ::testing::TestWithParam<const char*> {};

TEST_P(TrainedModel, IsReadInFull) {
  auto storage = make_system_storage();
  std::string path = test::shared_path(std::string("models/") + GetParam());
  if (path.empty()) GTEST_SKIP() << GetParam() << " is not here";
  auto model = GgufModel::open(*storage, path);
  ASSERT_TRUE(model.ok()) << model.error().message;
  EXPECT_EQ(model->metadata().texts("tokenizer.ggml.tokens")->size(), 8192u);
  const GgufTensor& last = model->tensors().back();
  EXPECT_EQ(last.offset + last.bytes, model->file_bytes());
  EXPECT_GT(test::touch(*model), 0u);
}

INSTANTIATE_TEST_SUITE_P(Models, TrainedModel,
                         ::testing::Values("taleteller-Q4_K_M.gguf", "storyteller-Q8_0.gguf",
                                           "storyteller-draft-Q8_0.gguf"));

TEST(GgufFixture, PublishedVocabulariesAreRead) {
  auto storage = make_system_storage();
  std::string folder = test::shared_path("fixtures/tokenizer-real/");
  if (folder.empty()) GTEST_SKIP() << "the published vocabularies are not here";
  for (auto [name, size] :
       {std::pair("ggml-vocab-gpt-2.gguf", 50'257), std::pair("ggml-vocab-llama-spm.gguf", 32'000),
        std::pair("ggml-vocab-deepseek-llm.gguf", 102'400)}) {
    auto model = GgufModel::open(*storage, folder + name);
    ASSERT_TRUE(model.ok()) << model.error().message;
    EXPECT_EQ(model->metadata().texts("tokenizer.ggml.tokens")->size(), static_cast<size_t>(size));
    EXPECT_TRUE(model->tensors().empty());
  }
}

// Tables of whole numbers are read as tensors, and are no weights.
TEST(GgufModel, MakesNoFloatsOfWholeNumbers) {
  constexpr uint32_t kI32 = 26;
  GgufBuilder builder;
  builder.tensor({"table", kI32, {3}, test::Bytes(12), std::nullopt});
  builder.floats("weights", {1}, {1});
  GgufModel model = open_valid(builder);
  EXPECT_EQ(model.read_all(*model.find("table"))->size(), 12u);
  auto floats = model.read_floats(*model.find("table"));
  ASSERT_FALSE(floats.ok());
  EXPECT_EQ(floats.error().message,
            "tensor table should hold weights, but holds whole numbers (I32)");
  EXPECT_TRUE(expect_weights(*model.find("weights")).ok());
}

}  // namespace
}  // namespace potluck
