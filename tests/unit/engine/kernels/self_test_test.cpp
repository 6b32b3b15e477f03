#include "engine/kernels/self_test.h"

#include <algorithm>

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

// The arithmetic contract, version 1, part by part. If a digest changes, tokens of this build
// differ from those of others in the field: either that is a mistake, or kArithmeticVersion rises.
// A new format or function adds a row and leaves the others as they are.
struct Golden {
  uint32_t part;
  const char* name;
  const char* digest;
};
const Golden kGolden[] = {
    {0, "products of F32", "5dc21c20c86f95db5377770aec641fd5ca4c140e13836a21f42b07c87bc11ae4"},
    {1, "products of F16", "784b3318e112b3dd12b6b31c29911d803883817f28644ba82e4e46732e8e7d5e"},
    {2, "products of Q4_0", "0124949cc10612179f7eb7470829897d66dbc104a6c095fc0e363d815d3edc89"},
    {3, "products of Q4_1", "1b90ddf9d5d5c112191cea8ebfcd5b0ef737a55269794ca17d64e06541a9870a"},
    {6, "products of Q5_0", "41d406bd47bd4e932ee90890d20bb2817fe4e55f7933df7d47f7c0c0953d4750"},
    {7, "products of Q5_1", "09eb1460c14c1f8451620a4b3bb9ec6298140db729bd587a0819bae537a815a3"},
    {8, "products of Q8_0", "74633649a8eb0451a20cc5e3e8c92cabf98ed6979e38a8399820e85e0eb38d7a"},
    {10, "products of Q2_K", "d54a03d496c7676ae611775bdeb9dac2151008f6f485463a6d7d8e517f14db97"},
    {11, "products of Q3_K", "393a6e90c179aca944e34f7693e7b12e16dc469087fc28dd33dcde2c92434889"},
    {12, "products of Q4_K", "266f474f3053dc1140ea1178bb3b1a72e82511b83082aed01054022df022783b"},
    {13, "products of Q5_K", "4861e404768304903c31001541103078427a2c913272021c5bb4bd2e951475b1"},
    {14, "products of Q6_K", "c418a81baf123928a55a97c00463bf2c77c6b729b201d7b2f3be728b3abced5a"},
    {16, "products of IQ2_XXS", "f92795c82ab83cf95f784ba035939c7a9dc04ace5739e6a992a5b4c94c3716f6"},
    {17, "products of IQ2_XS", "9d017d16ca907381d138ec10528f4a5356f35a29e1b515cd2272a48424a6206b"},
    {18, "products of IQ3_XXS", "32acf7398d55b4cb96de0d6877cf42dc43b211470d4c5adf708b1bf1147c431a"},
    {19, "products of IQ1_S", "2c2ea3f1bd0a078cb71ace65ed0fc6cc2f49d445167e18e93f4b65f1c180277f"},
    {20, "products of IQ4_NL", "b1518f8f977e3d99945768ea14ef27ed5e533921a0eab7d66ffe99d0cd3a714a"},
    {21, "products of IQ3_S", "ce57cee9f16206ac475d7686c61972de5e49fb512d4133bf695aa1f94dbd16fb"},
    {22, "products of IQ2_S", "98e0b54a9e6874ceabfd38f4756d98e3351fe4fedd1e52eafd47edf0dfa80379"},
    {23, "products of IQ4_XS", "e391fa57550f22e51d67a4131ff19c6ef36c88c8a0bba727d7cdfe3c35992f41"},
    {29, "products of IQ1_M", "aaa414e9899e287718d81c82b0a0ae07653d4edbfd9173013d02646bd5342a15"},
    {30, "products of BF16", "8d9ce10f10c355bbae459ea1107ca8081dafe2aa1013fb6ede79b0e314df1711"},
    {34, "products of TQ1_0", "69e3aa4b6651c54c42e8a6df4a027f34bcb44648b65c3de5cac3cd26f396c8c8"},
    {35, "products of TQ2_0", "8c8bfd57131961ef5af00b0c2147d584a7a97c29aa659ac55e56d0fe1913385e"},
    {39, "products of MXFP4", "45dcd2f1b577941c5264ef914413bed0d6bdaed896bdb5c3382cb792278556ec"},
    {40, "products of NVFP4", "e15661a9417b0e88e535cb5adae79e4475b4eaab70df559e82755142495c626e"},
    {41, "products of Q1_0", "5eb820593492cca5bbebc83bdcff6ff27a6b886d1f263908f2462af7163ae542"},
    {42, "products of Q2_0", "1fb9baa9be82c0b30a3df8a76a30c282f3e036e654ace7b3ebabcb590f350cbc"},
    {65536, "quantize in blocks of 32",
     "94a1c80b616ac3cd5130ceade1af4b0238a919aec5425a9efa64ba0a6ae9fdb9"},
    {65537, "quantize in blocks of 256",
     "b2cac575e91f36c3c6e47a81977236404bd8078d68be66dfdf2b15e7941c3f6b"},
    {65538, "rms_norm", "e6541710594ff37f8b4c658e3be66e6df6364eb7db8cddbf6ee4abd9560f99b1"},
    {65539, "swiglu", "4473af1acb599ecac8c61af0af277467fb2dcc7f6bcc64cafba4b582ebd6c241"},
    {65540, "swiglu_oai", "7fba034856d2a4c03fbb018df961d1b5f93c1bc3235869baf9ed2efbfa72ac00"},
    {65541, "exp_sum", "7057825b32de07181c865b0456ccffdd54e65e12f562bb1dc277db45e565a93e"},
    {65542, "accumulate", "dc39b1a091b4ed58c8a98ba7414d099259f107706d81f243e3494e12849585e5"},
    {65543, "attention, F32 cache",
     "b35489b979d95041a0422ed584fe2b1b9307b6a7822b609a2a53156ef752e5cb"},
    {65544, "attention, F16 cache",
     "55c7799cfb376fb51ac3b09bf880a334b3518571595abaf8dae2f80ec1167604"},
    {65545, "attention, Q8_0 cache",
     "c7bab16ec359d087d64097a5dde632f99f65456aa5a81d86d059dbac559ef8de"},
    {65546, "geglu", "6b7b15b5155b57cb14f71fa00a8e907dbb77b815b5d7063dd58835fe2bc58e1f"},
    {65547, "reglu", "aff029085d9d18622b3aa25b025a14391743884eb1a57bb5d44bf4c3f25a2345"},
    {65548, "relu_squared", "a2f44c98262604ee476fd9dd7e02bc76ee350f59e957da6e53a1e3f8c137af73"},
    {65549, "swiglu_clamp_before",
     "2a6b9b2d5016d0f16975615047774c14940e004c42fe521eb194623c202fb5ae"},
    {65550, "swiglu_clamp_after",
     "0dc6eec4fc95c8fb7e73c7dae7f81b320a1d9560540ef6df9f37789227783d73"},
};

TEST(KernelSelfTest, EveryTableGivesTheGoldenDigests) {
  EXPECT_EQ(kArithmeticVersion, 1u);
  for (const KernelTable* table : available_kernels()) {
    std::vector<KernelDigest> digests = kernel_self_test(*table);
    for (const KernelDigest& digest : digests) {
      auto part = static_cast<uint32_t>(digest.part);
      std::string name = kernel_part_name(digest.part);
      std::string row = fmt::format("{{{}, \"{}\", \"{}\"}},", part, name, digest.digest.hex());
      const Golden* golden = std::ranges::find(kGolden, part, &Golden::part);
      ASSERT_NE(golden, std::end(kGolden)) << "a part without a row: " << row;
      EXPECT_EQ(name, golden->name);
      EXPECT_EQ(digest.digest.hex(), golden->digest) << table->name << ", " << name;
    }
    EXPECT_EQ(digests.size(), std::size(kGolden));
  }
}

TEST(KernelSelfTest, HasEveryFormatOnceAndFitsAGreeting) {
  std::vector<KernelPart> parts = kernel_parts();
  EXPECT_LE(parts.size(), limits::kKernelDigests);
  EXPECT_TRUE(std::adjacent_find(parts.begin(), parts.end(), std::greater_equal<>()) ==
              parts.end());
  for (const BlockFormat& format : block_formats()) {
    EXPECT_TRUE(std::binary_search(parts.begin(), parts.end(), products_of(format.type)))
        << format.name;
  }
}

std::vector<std::string> differences(const KernelTable& a, const KernelTable& b) {
  std::vector<KernelDigest> left = kernel_self_test(a);
  std::vector<KernelDigest> right = kernel_self_test(b);
  std::vector<std::string> names;
  for (size_t i = 0; i < left.size(); ++i) {
    if (left[i] != right[i]) names.push_back(kernel_part_name(left[i].part));
  }
  return names;
}

// A table with one rounding changed differs in that part, and in no other.
TEST(KernelSelfTest, NoticesADifferentRoundingWhereItIs) {
  const KernelTable& scalar = *available_kernels().front();
  KernelTable other = scalar;
  other.quantize = [](const float* x, uint32_t count, uint32_t block, int8_t* quants, float* scales,
                      int16_t* sums) {
    available_kernels().front()->quantize(x, count, block, quants, scales, sums);
    if (block == 32) scales[0] = std::bit_cast<float>(std::bit_cast<uint32_t>(scales[0]) + 1);
  };
  EXPECT_THAT(differences(scalar, other), testing::ElementsAre("quantize in blocks of 32"));
  other = scalar;
  other.matmul = [](const PanelMatrix& w, const ActivationView& x, const uint32_t* rows,
                    uint32_t tokens, uint32_t panel_begin, uint32_t panel_end, float* y,
                    uint64_t y_stride) {
    available_kernels().front()->matmul(w, x, rows, tokens, panel_begin, panel_end, y, y_stride);
    if (w.shape.type == TensorType::kQ4_K) {
      y[0] = std::bit_cast<float>(std::bit_cast<uint32_t>(y[0]) + 1);
    }
  };
  EXPECT_THAT(differences(scalar, other), testing::ElementsAre("products of Q4_K"));
  other = scalar;
  other.swiglu = scalar.swiglu_oai;
  other.exp_sum = [](float* x, uint32_t count, float max) {
    float sum = available_kernels().front()->exp_sum(x, count, max);
    x[0] = 0;
    return sum;
  };
  EXPECT_THAT(differences(scalar, other), testing::ElementsAre("swiglu", "exp_sum"));
}

TEST(KernelSelfTest, FindsDigestsAndNamesUnknownParts) {
  const KernelDigest list[] = {{products_of(TensorType::kQ8_0), sha256({})}};
  EXPECT_EQ(find_digest(list, products_of(TensorType::kQ8_0)), sha256({}));
  EXPECT_EQ(find_digest(list, KernelPart::kSwiGlu), std::nullopt);
  EXPECT_EQ(kernel_part_name(KernelPart{77777}), "part 77777");
}

}  // namespace
}  // namespace potluck
