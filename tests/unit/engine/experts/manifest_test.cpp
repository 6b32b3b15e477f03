#include "engine/experts/manifest.h"

#include <cstring>
#include <optional>

#include <gtest/gtest.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

ManifestLayer manifest_layer(uint32_t layer, uint32_t experts, const ExpertShape& shape) {
  ManifestLayer made{layer, experts, shape, {}, {}};
  made.grains.resize(uint64_t{experts} * plan_chunks(shape).grains);
  for (size_t i = 0; i < made.grains.size(); ++i) {
    made.grains[i] = sha256(as_bytes("grain " + std::to_string(layer) + " " + std::to_string(i)));
  }
  return made;
}

const ExpertShape kQuantized{256,
                             512,
                             TensorType::kQ4_K,
                             TensorType::kQ4_K,
                             TensorType::kQ6_K,
                             false,
                             ExpertActivation::kSwiGlu};
const ExpertShape kFloat{
    48, 40, TensorType::kF32, TensorType::kF16, TensorType::kBF16, true, ExpertActivation::kSwiGlu};

Manifest make_manifest() {
  return Manifest("storyteller", {manifest_layer(1, 2, kQuantized), manifest_layer(4, 3, kFloat)});
}

// Offsets in the encoding of make_manifest().
constexpr size_t kArithmetic = 8;
constexpr size_t kNameLength = 12;
constexpr size_t kName = 16;
constexpr size_t kLayersOffset = kName + 11;
constexpr size_t kLayer =
    kLayersOffset + 4;  // then experts, hidden, width, three formats, two bytes

std::optional<ErrorCode> decode_code(ByteSpan bytes) {
  Result<Manifest> decoded = Manifest::decode(bytes);
  return decoded ? std::nullopt : std::optional(decoded.error().code);
}

template <class T>
std::optional<ErrorCode> code_with(size_t offset, T value) {
  ByteVector bytes = make_manifest().encode();
  store(bytes.data() + offset, value);
  return decode_code(bytes);
}

// What a worker on a slow link has to wait for before its first unit.
TEST(Manifest, StaysSmallForTheLargestModels) {
  struct Large {
    const char* name;
    uint32_t layers, experts, hidden, width;
    uint64_t most_bytes;
  };
  for (const Large& large : {Large{"DeepSeek V3", 58, 256, 7168, 2048, 8 * kMiB},
                             Large{"Kimi K2", 60, 384, 7168, 2048, 12 * kMiB}}) {
    for (TensorType type : {TensorType::kQ4_K, TensorType::kQ8_0, TensorType::kBF16}) {
      ExpertShape shape{
          large.hidden, large.width, type, type, type, false, ExpertActivation::kSwiGlu};
      ASSERT_TRUE(check_expert_shape(shape).ok());
      std::vector<ManifestLayer> layers;
      for (uint32_t i = 0; i < large.layers; ++i) {
        ManifestLayer layer{i + 3, large.experts, shape, {}, {}};
        layer.grains.resize(uint64_t{large.experts} * plan_chunks(shape).grains);
        layers.push_back(std::move(layer));
      }
      EXPECT_LE(Manifest(large.name, std::move(layers)).encode().size(), large.most_bytes);
    }
  }
}

// limits::kManifestBytes says so.
TEST(Manifest, OfDeepSeekV3TakesSevenAndAQuarterMiB) {
  ExpertShape shape{7168,
                    2048,
                    TensorType::kQ4_K,
                    TensorType::kQ4_K,
                    TensorType::kQ6_K,
                    false,
                    ExpertActivation::kSwiGlu};
  CounterRandom random(58 * 256);
  uint64_t position = 0;
  std::vector<ManifestLayer> layers;
  for (uint32_t i = 0; i < 58; ++i) {
    ManifestLayer layer{i + 3, 256, shape, {}, {}};
    layer.grains.resize(uint64_t{256} * plan_chunks(shape).grains);
    for (Digest& digest : layer.grains) {
      for (uint8_t& byte : digest.bytes) byte = static_cast<uint8_t>(random.bits(position++));
    }
    layers.push_back(std::move(layer));
  }
  ByteVector bytes = Manifest("DeepSeek V3", std::move(layers)).encode();
  EXPECT_LT(bytes.size(), 16 * kMiB);
  EXPECT_NEAR(static_cast<double>(bytes.size()) / kMiB, 7.25, 0.01);
  Result<Manifest> decoded = Manifest::decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->encode(), bytes);
}

TEST(Manifest, RoundTrip) {
  Manifest manifest = make_manifest();
  ByteVector bytes = manifest.encode();
  Result<Manifest> decoded = Manifest::decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->encode(), bytes);
  EXPECT_EQ(decoded->digest(), sha256(bytes));
  EXPECT_EQ(decoded->model_name(), "storyteller");
  ASSERT_EQ(decoded->layers().size(), 2u);
  EXPECT_EQ(decoded->layer(0), nullptr);
  EXPECT_EQ(decoded->layer(5), nullptr);
  ASSERT_NE(decoded->layer(4), nullptr);
  EXPECT_EQ(decoded->layer(4)->shape, kFloat);
  EXPECT_EQ(decoded->layer(4)->plan, plan_chunks(kFloat));
  EXPECT_EQ(decoded->layer(1)->grains, manifest.layer(1)->grains);
}

TEST(Manifest, AnswersAboutGrains) {
  Manifest manifest = make_manifest();
  EXPECT_TRUE(manifest.contains({1, 1, 7}));
  EXPECT_FALSE(manifest.contains({1, 1, 8}));
  EXPECT_FALSE(manifest.contains({1, 2, 0}));
  EXPECT_FALSE(manifest.contains({0, 0, 0}));
  EXPECT_FALSE(manifest.contains({9, 0, 0}));
  EXPECT_EQ(manifest.digest_of({1, 1, 3}), sha256(as_bytes("grain 1 11")));
  ChunkPlan plan = plan_chunks(kQuantized);
  uint64_t total =
      2 * expert_bytes(kQuantized, plan) + 3 * expert_bytes(kFloat, plan_chunks(kFloat));
  EXPECT_EQ(manifest.total_bytes(), total);
  EXPECT_EQ(manifest.grain_bytes({1, 0, 2}), grain_layout(kQuantized, plan, 2).bytes);
  EXPECT_EQ(manifest.largest_grain_bytes(), largest_grain_bytes(kQuantized, plan));
}

TEST(Manifest, NamesTheKernelsOfAllLayers) {
  EXPECT_EQ(make_manifest().kernel_parts(),
            (std::vector<KernelPart>{products_of(TensorType::kF32), products_of(TensorType::kF16),
                                     products_of(TensorType::kQ4_K), products_of(TensorType::kQ6_K),
                                     products_of(TensorType::kBF16), KernelPart::kQuantize32,
                                     KernelPart::kSwiGlu, KernelPart::kAccumulate}));
  EXPECT_TRUE(Manifest("none", {}).kernel_parts().empty());
}

TEST(Manifest, TruncationAtEveryByteIsAnError) {
  ByteVector bytes = make_manifest().encode();
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_EQ(decode_code(ByteSpan(bytes).first(size)), ErrorCode::kCorrupt) << size;
  }
  bytes.push_back(std::byte{0});
  EXPECT_EQ(decode_code(bytes), ErrorCode::kCorrupt);
}

TEST(Manifest, EveryFieldIsChecked) {
  EXPECT_EQ(code_with(0, 'X'), ErrorCode::kCorrupt);
  EXPECT_EQ(code_with(7, '3'), ErrorCode::kCorrupt);
  EXPECT_EQ(code_with(kArithmetic, uint32_t{2}), ErrorCode::kUnsupported);
  EXPECT_EQ(code_with(kNameLength, UINT32_MAX), ErrorCode::kLimit);
  EXPECT_EQ(code_with(kNameLength, uint32_t{641}), ErrorCode::kLimit);
  EXPECT_EQ(code_with(kName, '\x1b'), ErrorCode::kCorrupt);  // no terminal escapes
  EXPECT_EQ(code_with(kLayersOffset, UINT32_MAX), ErrorCode::kLimit);
  EXPECT_EQ(code_with(kLayersOffset, uint32_t{1}), ErrorCode::kCorrupt);  // bytes left over
  EXPECT_EQ(code_with(kLayer, limits::kLayers), ErrorCode::kLimit);
  EXPECT_EQ(code_with(kLayer, uint32_t{4}), ErrorCode::kCorrupt);  // the same layer twice
  EXPECT_EQ(code_with(kLayer, uint32_t{5}), ErrorCode::kCorrupt);  // out of order
  EXPECT_EQ(code_with(kLayer + 4, uint32_t{0}), ErrorCode::kLimit);
  EXPECT_EQ(code_with(kLayer + 4, limits::kExperts + 1), ErrorCode::kLimit);
  EXPECT_EQ(code_with(kLayer + 4, limits::kExperts), ErrorCode::kCorrupt);  // more than there are
  EXPECT_EQ(code_with(kLayer + 8, uint32_t{0}), ErrorCode::kLimit);
  EXPECT_EQ(code_with(kLayer + 8, UINT32_MAX), ErrorCode::kLimit);
  EXPECT_EQ(code_with(kLayer + 8, uint32_t{300}), ErrorCode::kCorrupt);  // not whole blocks
  EXPECT_EQ(code_with(kLayer + 12, uint32_t{0}), ErrorCode::kLimit);
  EXPECT_EQ(code_with(kLayer + 12, UINT32_MAX), ErrorCode::kLimit);
  for (size_t format : {16, 20, 24}) {
    EXPECT_EQ(code_with(kLayer + format, uint32_t{31}), ErrorCode::kUnsupported);
  }
  EXPECT_EQ(code_with(kLayer + 28, uint8_t{4}), ErrorCode::kCorrupt);
  EXPECT_EQ(code_with(kLayer + 29, uint8_t{7}), ErrorCode::kUnsupported);
}

// A device that lays out panels otherwise would take the grains for other numbers.
TEST(Manifest, VersionsOfPanelsMustAgree) {
  ExpertShape coded = kQuantized;
  coded.up = TensorType::kIQ2_XXS;
  EXPECT_EQ(kQuantized.panels(), 1u);
  EXPECT_EQ(coded.panels(), 2u);
  Manifest manifest("coded", {manifest_layer(1, 2, kQuantized), manifest_layer(4, 3, coded)});
  ByteVector bytes = manifest.encode();
  EXPECT_EQ(as_text(ByteSpan(bytes).first(8)), "PLMANIF2");
  Result<Manifest> decoded = Manifest::decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->encode(), bytes);
  bytes[7] = std::byte{'1'};
  EXPECT_EQ(decode_code(bytes), ErrorCode::kUnsupported);
  EXPECT_EQ(code_with(7, '2'), ErrorCode::kUnsupported);
}

// A limit follows the activation where it has one; all else is written as before there were limits.
TEST(Manifest, LimitsOfSingleLayers) {
  ExpertShape limited = kFloat;
  limited.activation = ExpertActivation::kSwiGluClampAfter;
  limited.limit = 1.5F;
  auto with_first = [](const ExpertShape& shape) {
    return Manifest("storyteller", {manifest_layer(1, 2, shape), manifest_layer(4, 3, kFloat)});
  };
  ByteVector bytes = with_first(limited).encode();
  EXPECT_EQ(bytes.size(), with_first(kFloat).encode().size() + sizeof(float));
  Result<Manifest> decoded = Manifest::decode(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(decoded->layers()[0].shape, limited);
  EXPECT_EQ(decoded->layers()[1].shape, kFloat);
  EXPECT_EQ(decoded->encode(), bytes);
  store<float>(bytes.data() + kLayer + 30, -1);
  EXPECT_EQ(decode_code(bytes), ErrorCode::kCorrupt);
}

// When any single byte changes, the decoder refuses it, or reads a different value that it writes
// back unchanged.
TEST(Manifest, ChangedBytesAreNoticedOrKept) {
  const ByteVector bytes = make_manifest().encode();
  for (size_t i = 0; i < bytes.size(); ++i) {
    ByteVector changed = bytes;
    changed[i] ^= std::byte{0x41};
    Result<Manifest> decoded = Manifest::decode(changed);
    if (decoded) {
      ASSERT_EQ(decoded->encode(), changed) << i;
    }
  }
}

// A grain stands for its bytes: it cannot have two lengths, neither in two layers nor in one.
TEST(Manifest, OneDigestForTwoLengthsIsRefused) {
  const ExpertShape larger{96, 40, TensorType::kF32, TensorType::kF16, TensorType::kBF16, true, {}};
  ManifestLayer first = manifest_layer(1, 2, kFloat);
  ManifestLayer second = manifest_layer(4, 3, larger);
  EXPECT_TRUE(Manifest::decode(Manifest("m", {first, second}).encode()));
  for (size_t i = 0; i < first.grains.size(); ++i) {
    for (size_t j = 0; j < second.grains.size(); ++j) {
      ManifestLayer copy = second;
      copy.grains[j] = first.grains[i];
      ChunkPlan a = plan_chunks(kFloat);
      ChunkPlan b = plan_chunks(larger);
      bool same = grain_layout(kFloat, a, static_cast<uint32_t>(i % a.grains)).bytes ==
                  grain_layout(larger, b, static_cast<uint32_t>(j % b.grains)).bytes;
      auto code = decode_code(Manifest("m", {first, copy}).encode());
      EXPECT_EQ(code, same ? std::nullopt : std::optional(ErrorCode::kCorrupt));
    }
  }
}

// Equal beginnings are no equal digests, and do not make it slow.
TEST(Manifest, DigestsThatBeginAlikeAreToldApart) {
  ManifestLayer first = manifest_layer(1, 4096, kFloat);
  ManifestLayer second = manifest_layer(2, 4096, kQuantized);
  uint32_t number = 0;
  for (ManifestLayer* layer : {&first, &second}) {
    for (Digest& digest : layer->grains) {
      digest = {};
      std::memcpy(digest.bytes.data() + 16, &++number, sizeof number);
    }
  }
  EXPECT_TRUE(check_grain_lengths(Manifest("m", {first, second}).layers()));
  second.grains.back() = first.grains.front();
  Status checked = check_grain_lengths(Manifest("m", {first, second}).layers());
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message.find("in layer 1"), std::string::npos);
  EXPECT_NE(checked.error().message.find("in layer 2"), std::string::npos);
}

TEST(Manifest, NamesAreMadeSafe) {
  Manifest manifest("a\x1b[31m\nb\x7f", {});
  EXPECT_EQ(manifest.model_name(), "a_[31m_b_");
  EXPECT_TRUE(Manifest::decode(manifest.encode()));
  Manifest longer(std::string(10000, 'x'), {});
  EXPECT_EQ(longer.model_name().size(), limits::kNameBytes);
  EXPECT_TRUE(Manifest::decode(longer.encode()));
}

TEST(SignedManifest, OnlyThePoolsKeyCounts) {
  SeededEntropy entropy(3);
  SigningKey pool = SigningKey::generate(entropy);
  SigningKey stranger = SigningKey::generate(entropy);
  Manifest manifest = make_manifest();
  SignedManifest good = sign_manifest(manifest, pool);
  Result<Manifest> verified = verify_manifest(good, pool.public_key());
  ASSERT_TRUE(verified) << verified.error().message;
  EXPECT_EQ(verified->digest(), manifest.digest());

  auto refused = [&](const SignedManifest& changed) {
    Result<Manifest> result = verify_manifest(changed, pool.public_key());
    return !result && result.error().code == ErrorCode::kRefused;
  };
  EXPECT_TRUE(refused(sign_manifest(manifest, stranger)));
  SignedManifest tampered = good;
  tampered.body.back() ^= std::byte{1};  // a digest
  EXPECT_TRUE(refused(tampered));
  SignedManifest forged = good;
  forged.signature[5] ^= 1;
  EXPECT_TRUE(refused(forged));
  EXPECT_TRUE(refused({}));
}

TEST(SignedManifest, ASignatureDoesNotMakeItValid) {
  SeededEntropy entropy(4);
  SigningKey pool = SigningKey::generate(entropy);
  ByteVector body = make_manifest().encode();
  body.pop_back();
  Result<Manifest> result = verify_manifest({body, pool.sign(body)}, pool.public_key());
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, ErrorCode::kCorrupt);
}

}  // namespace
}  // namespace potluck
