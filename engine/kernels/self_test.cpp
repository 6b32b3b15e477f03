// A fixed set of products, quantizations and sums, and the digest of their results. The inputs are
// a pure function of counters, so every machine computes the same ones.
#include <cmath>

#include "engine/base/random.h"
#include "engine/kernels/kernels.h"

namespace potluck {
namespace {

constexpr uint64_t kSeed = 0x706f746c75636b31;

// Draws one after the other.
class Draws {
 public:
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
  CounterRandom random_{kSeed};
  uint64_t position_ = 0;
};

class SelfTest {
 public:
  explicit SelfTest(const KernelTable& kernels) : kernels_(kernels) {}

  Digest run() {
    for (const BlockFormat& format : block_formats()) products(format);
    row_functions();
    for (KvType type : {KvType::kF32, KvType::kF16, KvType::kQ8_0}) attention(type);
    return hash_.finish();
  }

 private:
  template <class Range>
  void add(const Range& values) {
    hash_.update(std::as_bytes(std::span(values)));
  }

  // Random bytes whose every block decodes to ordinary numbers.
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
    uint32_t phase = format.block_elements > 32 ? begin % format.block_elements : 0;
    PanelShape shape{format.type, kRows, columns, phase};
    ByteVector packed(shape.bytes());
    pack_panels(shape, source.data(), source_columns, begin, packed.data());
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
    std::vector<float> values = draws_.floats(uint64_t{tokens} * columns, 4);
    if (form == ActivationForm::kF32) {
      std::copy(values.begin(), values.end(), x.values().begin());
      return;
    }
    ActivationView view = x.view();
    for (uint32_t t = 0; t < tokens; ++t) {
      kernels_.quantize(values.data() + uint64_t{t} * columns, columns, activation_block(form),
                        x.quants().data() + uint64_t{t} * view.padded_columns(),
                        x.scales().data() + uint64_t{t} * view.scales_per_token(),
                        x.sums().data() + uint64_t{t} * (view.padded_columns() / 16));
    }
    add(x.quants());
    add(x.scales());
    add(x.sums());
  }

  void row_functions() {
    constexpr uint32_t kCount = 203;  // not a multiple of any vector
    std::vector<float> a = draws_.floats(kCount, 20);
    std::vector<float> b = draws_.floats(kCount, 2);
    std::vector<float> y(kCount);
    kernels_.rms_norm(a.data(), b.data(), kCount, 1e-6F, y.data());
    add(y);
    kernels_.swiglu(a.data(), b.data(), kCount, y.data());
    add(y);
    kernels_.swiglu_oai(a.data(), b.data(), kCount, y.data());
    add(y);
    std::vector<int64_t> sums(kCount, 1);
    for (int32_t bits : {-3, 20, 41}) {  // at 41 some addends are too large
      bool flag = kernels_.accumulate(a.data(), kCount, b[0], bits, sums.data());
      add(sums);
      add(std::vector<uint8_t>{flag});
    }
    float sum = kernels_.exp_sum(a.data(), kCount, 19.5F);
    a.push_back(sum);
    add(a);
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
    for (auto [begin, end] : {std::pair{0u, 256u}, {0u, 1u}, {77u, 201u}}) {
      AttentionChunk chunk{type, kHead, kValue, keys.data(), values.data(), 0.25F};
      AttentionPartial partial;
      AttentionQuery one{query.data(), begin, end, out.data(), &partial};
      kernels_.attention_chunk(chunk, {&one, 1}, scores.data());
      add(out);
      add(std::vector<float>{partial.max_score, partial.sum});
    }
  }

  const KernelTable& kernels_;
  Draws draws_;
  Sha256Stream hash_;
};

}  // namespace

Digest kernel_self_test(const KernelTable& kernels) {
  return SelfTest(kernels).run();
}

}  // namespace potluck
