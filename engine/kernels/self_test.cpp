// The inputs are a pure function of counters and of the part's number, so every machine and version
// computes the same ones.
#include "engine/kernels/self_test.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

constexpr uint64_t kSeed = 0x706f746c75636b31;

// Draws one after the other.
class Draws {
 public:
  explicit Draws(KernelPart part) : random_(kSeed ^ static_cast<uint32_t>(part)) {}

  uint64_t bits() { return random_.bits(position_++); }
  float between(float low, float high) {
    return low + (high - low) * static_cast<float>(random_.uniform(position_++));
  }
  std::vector<float> floats(size_t count, float range) {
    std::vector<float> values(count);
    for (float& value : values) value = between(-range, range);
    return values;
  }

 private:
  CounterRandom random_;
  uint64_t position_ = 0;
};

// The test of one part.
class PartTest {
 public:
  PartTest(const KernelTable& kernels, KernelPart part)
      : kernels_(kernels), part_(part), draws_(part) {}

  Digest run() {
    if (const BlockFormat* format = find_block_format(static_cast<uint32_t>(part_))) {
      products(*format);
    } else {
      function();
    }
    return hash_.finish();
  }

 private:
  template <class Range>
  void add(const Range& values) {
    hash_.update(std::as_bytes(std::span(values)));
  }

  // Random bytes whose every block decodes to ordinary numbers. Random scales would be NaN or
  // overflow now and then, and which NaN comes out is not part of the contract.
  ByteVector weights(const BlockFormat& format, uint32_t rows, uint32_t columns) {
    uint64_t blocks = uint64_t{rows} * columns / format.block_elements;
    ByteVector bytes(blocks * format.block_bytes);
    for (uint64_t i = 0; i < blocks; ++i) {
      std::byte* block = bytes.data() + i * format.block_bytes;
      do {
        for (uint32_t b = 0; b < format.block_bytes; ++b) block[b] = std::byte(draws_.bits() & 255);
      } while (!ordinary(format, block));
    }
    return bytes;
  }

  static bool ordinary(const BlockFormat& format, const std::byte* block) {
    std::vector<float> values(format.block_elements);
    format.decode(block, values.size(), values.data());
    float amax = 0;
    for (float value : values) {
      if (!std::isfinite(value)) return false;
      amax = std::max(amax, std::fabs(value));
    }
    return amax > 0x1p-10F && amax < 0x1p20F;
  }

  void products(const BlockFormat& format) {
    // Five panels, the last with five rows: kernels that take two panels at a time have one left
    // over. 768 columns are three super-blocks; the cut begins and ends inside of one.
    constexpr uint32_t kRows = 37;
    constexpr uint32_t kColumns = 768;
    ByteVector source = weights(format, kRows, kColumns);
    product(format, source, kColumns, 0, kColumns, format.activations);
    uint32_t cut = format.quantized() ? 160 : 161;
    ActivationForm form = format.quantized() ? ActivationForm::kQ8Block32 : ActivationForm::kF32;
    product(format, source, kColumns, cut, 448, form);
  }

  void product(const BlockFormat& format, const ByteVector& source, uint32_t source_columns,
               uint32_t begin, uint32_t columns, ActivationForm form) {
    constexpr uint32_t kRows = 37;
    PanelShape shape{format.type, kRows, columns, panel_phase(format.type, begin)};
    ByteVector packed(shape.bytes());
    pack_panels(shape, source.data(), source_columns, begin, packed.data());
    // A single token and several take different tiles.
    for (uint32_t tokens : {1u, 3u}) {
      ActivationBuffer x;
      fill(x, form, tokens, columns);
      std::vector<float> y(uint64_t{tokens} * kRows);
      kernels_.matmul({shape, packed.data()}, x.view(), nullptr, tokens, 0, shape.panels(),
                      y.data(), kRows);
      add(y);
    }
  }

  void fill(ActivationBuffer& x, ActivationForm form, uint32_t tokens, uint32_t columns) {
    x.reset(form, tokens, columns);
    for (float& value : x.values()) value = draws_.between(-4, 4);
    for (int8_t& quant : x.quants()) quant = static_cast<int8_t>(draws_.bits() % 255 - 127);
    for (float& scale : x.scales()) scale = draws_.between(0, 0x1p-5F);
    if (form != ActivationForm::kF32) x.compute_sums();
  }

  void function() {
    switch (part_) {
      case KernelPart::kQuantize32:
        return quantize(32);
      case KernelPart::kQuantize256:
        return quantize(256);
      case KernelPart::kAccumulate:
        return accumulate();
      case KernelPart::kAttentionF32:
        return attention(KvType::kF32);
      case KernelPart::kAttentionF16:
        return attention(KvType::kF16);
      case KernelPart::kAttentionQ8_0:
        return attention(KvType::kQ8_0);
      default:
        return row_function();
    }
  }

  // The tail of the row does not fill a block.
  void quantize(uint32_t block) {
    constexpr uint32_t kCount = 3 * 256 + 41;
    std::vector<float> values = draws_.floats(kCount, 4);
    uint32_t padded = round_up(kCount, block);
    std::vector<int8_t> quants(padded);
    std::vector<float> scales(padded / block);
    std::vector<int16_t> sums(padded / 16);
    kernels_.quantize(values.data(), kCount, block, quants.data(), scales.data(), sums.data());
    add(quants);
    add(scales);
    add(sums);
  }

  void row_function() {
    std::vector<float> a = draws_.floats(kRowCount, 20);
    std::vector<float> b = draws_.floats(kRowCount, 2);
    std::vector<float> y(kRowCount);
    if (part_ == KernelPart::kRmsNorm) {
      kernels_.rms_norm(a.data(), b.data(), kRowCount, 1e-6F, y.data());
    } else if (part_ == KernelPart::kSwiGlu) {
      kernels_.swiglu(a.data(), b.data(), kRowCount, y.data());
    } else if (part_ == KernelPart::kSwiGluOai) {
      kernels_.swiglu_oai(a.data(), b.data(), kRowCount, y.data());
    } else if (part_ == KernelPart::kGeGlu) {
      kernels_.geglu(a.data(), b.data(), kRowCount, y.data());
    } else if (part_ == KernelPart::kReGlu) {
      kernels_.reglu(a.data(), b.data(), kRowCount, y.data());
    } else if (part_ == KernelPart::kReluSquared) {
      kernels_.relu_squared(a.data(), kRowCount, y.data());
    } else if (part_ == KernelPart::kSwiGluClampBefore) {
      kernels_.swiglu_clamp_before(a.data(), b.data(), kLimit, kRowCount, y.data());
    } else if (part_ == KernelPart::kSwiGluClampAfter) {
      kernels_.swiglu_clamp_after(a.data(), b.data(), kLimit, kRowCount, y.data());
    } else if (part_ == KernelPart::kExpSum) {
      float sum = kernels_.exp_sum(a.data(), kRowCount, 19.5F);
      y = a;
      y.push_back(sum);
    }
    add(y);
  }

  void accumulate() {
    std::vector<float> values = draws_.floats(kRowCount, 20);
    float weight = draws_.between(0.5F, 2);
    std::vector<int64_t> sums(kRowCount, 1);
    for (int32_t bits : {-3, 20, 41}) {  // at 41 some addends are too large
      bool flag = kernels_.accumulate(values.data(), kRowCount, weight, bits, sums.data());
      add(sums);
      add(std::vector<uint8_t>{flag});
    }
  }

  void attention(KvType type) {
    constexpr uint32_t kHead = 40;
    constexpr uint32_t kValue = 24;
    ByteVector keys(kAttentionChunk * kv_bytes(type, kHead));
    ByteVector values(kAttentionChunk * kv_bytes(type, kValue));
    for (uint32_t p = 0; p < kAttentionChunk; ++p) {
      store_key(type, kHead, draws_.floats(kHead, 2).data(), p, keys.data());
      store_value(type, kValue, draws_.floats(kValue, 2).data(), p, values.data());
    }
    add(keys);
    add(values);
    std::vector<float> query = draws_.floats(kHead, 1);
    std::vector<float> scores(kAttentionScratch);
    std::vector<float> out(kValue);
    // A whole chunk, a single position, and a window that begins and ends inside a group of keys.
    for (auto [begin, end] : {std::pair{0u, 256u}, {0u, 1u}, {77u, 201u}}) {
      AttentionChunk chunk{type, kHead, kValue, keys.data(), values.data(), 0.25F};
      AttentionPartial partial;
      AttentionQuery one{query.data(), begin, end, out.data(), &partial};
      kernels_.attention_chunk(chunk, {&one, 1}, scores.data());
      add(out);
      add(std::vector<float>{partial.max_score, partial.sum});
    }
  }

  static constexpr uint32_t kRowCount = 203;  // not a multiple of any vector
  static constexpr float kLimit = 1.5F;       // within the range of both rows

  const KernelTable& kernels_;
  KernelPart part_;
  Draws draws_;
  Sha256Stream hash_;
};

struct NamedFunction {
  KernelPart part;
  std::string_view name;
};

// By number.
constexpr NamedFunction kFunctions[] = {
    {KernelPart::kQuantize32, "quantize in blocks of 32"},
    {KernelPart::kQuantize256, "quantize in blocks of 256"},
    {KernelPart::kRmsNorm, "rms_norm"},
    {KernelPart::kSwiGlu, "swiglu"},
    {KernelPart::kSwiGluOai, "swiglu_oai"},
    {KernelPart::kExpSum, "exp_sum"},
    {KernelPart::kAccumulate, "accumulate"},
    {KernelPart::kAttentionF32, "attention, F32 cache"},
    {KernelPart::kAttentionF16, "attention, F16 cache"},
    {KernelPart::kAttentionQ8_0, "attention, Q8_0 cache"},
    {KernelPart::kGeGlu, "geglu"},
    {KernelPart::kReGlu, "reglu"},
    {KernelPart::kReluSquared, "relu_squared"},
    {KernelPart::kSwiGluClampBefore, "swiglu_clamp_before"},
    {KernelPart::kSwiGluClampAfter, "swiglu_clamp_after"},
};

}  // namespace

std::string kernel_part_name(KernelPart part) {
  auto number = static_cast<uint32_t>(part);
  if (const BlockFormat* format = find_block_format(number)) {
    return fmt::format("products of {}", format->name);
  }
  for (const NamedFunction& function : kFunctions) {
    if (function.part == part) return std::string(function.name);
  }
  return fmt::format("part {}", number);
}

std::vector<KernelPart> kernel_parts() {
  std::vector<KernelPart> parts;
  for (const BlockFormat& format : block_formats()) parts.push_back(products_of(format.type));
  for (const NamedFunction& function : kFunctions) parts.push_back(function.part);
  std::sort(parts.begin(), parts.end());
  return parts;
}

std::vector<KernelDigest> kernel_self_test(const KernelTable& kernels) {
  std::vector<KernelDigest> digests;
  for (KernelPart part : kernel_parts()) digests.push_back({part, PartTest(kernels, part).run()});
  return digests;
}

std::optional<Digest> find_digest(std::span<const KernelDigest> digests, KernelPart part) {
  auto found = std::find_if(digests.begin(), digests.end(),
                            [part](const KernelDigest& known) { return known.part == part; });
  if (found == digests.end()) return std::nullopt;
  return found->digest;
}

}  // namespace potluck
