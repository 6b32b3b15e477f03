#include "simulator/synthetic_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include <fmt/format.h>

#include "engine/base/random.h"

namespace potluck::sim {
namespace {

constexpr uint64_t kAlignment = 32;
// GGUF's numbers of value types.
constexpr uint32_t kGgufUint32 = 4;
constexpr uint32_t kGgufFloat32 = 6;
constexpr uint32_t kGgufString = 8;

uint64_t aligned(uint64_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// Of float weights: uniform in center +- spread.
struct SyntheticTensor {
  std::string name;
  std::vector<uint64_t> dimensions;  // innermost first
  TensorType format = TensorType::kF32;
  double center = 0;
  double spread = 0;
  uint64_t offset = 0;  // in the data section
  uint64_t bytes = 0;
};

class HeaderWriter {
 public:
  template <class T>
  void put(T value) {
    const auto* raw = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), raw, raw + sizeof value);
  }
  void text(std::string_view text) {
    put<uint64_t>(text.size());
    const auto* raw = reinterpret_cast<const std::byte*>(text.data());
    bytes_.insert(bytes_.end(), raw, raw + text.size());
  }
  void pair(const std::string& key, std::string_view value) {
    text(key);
    put(kGgufString);
    text(value);
  }
  void pair(const std::string& key, uint32_t value) {
    text(key);
    put(kGgufUint32);
    put(value);
  }
  void pair(const std::string& key, float value) {
    text(key);
    put(kGgufFloat32);
    put(value);
  }
  ByteVector take() {
    bytes_.resize(aligned(bytes_.size()));
    return std::move(bytes_);
  }

 private:
  ByteVector bytes_;
};

// The tensors that load_weights() asks for. Deviations keep the hidden state around 1.
class TensorList {
 public:
  explicit TensorList(const SyntheticShape& shape) : s_(shape) {
    matrix("token_embd", {s_.hidden, s_.vocabulary}, 1);
    for (uint32_t layer = 0; layer < s_.layers; ++layer) add_layer(fmt::format("blk.{}.", layer));
    norm("output_norm", s_.hidden);
    matrix("output", {s_.hidden, s_.vocabulary});
  }
  std::vector<SyntheticTensor> take() { return std::move(tensors_); }

 private:
  void add(SyntheticTensor tensor) {
    const BlockFormat& format = block_format(tensor.format);
    uint64_t elements = 1;
    for (uint64_t dimension : tensor.dimensions) elements *= dimension;
    tensor.bytes = elements / format.block_elements * format.block_bytes;
    tensor.offset = tensors_.empty() ? 0 : aligned(tensors_.back().offset + tensors_.back().bytes);
    tensors_.push_back(std::move(tensor));
  }
  void matrix(const std::string& name, std::vector<uint64_t> dimensions, double gain = 0) {
    double fan_in = static_cast<double>(dimensions[0]);
    double spread = gain > 0 ? gain : std::sqrt(3 / fan_in);
    add({name + ".weight", std::move(dimensions), s_.format, 0, spread, 0, 0});
  }
  void norm(const std::string& name, uint64_t count) {
    add({name + ".weight", {count}, TensorType::kF32, 1, 0.2, 0, 0});
  }
  void add_layer(const std::string& blk) {
    uint64_t queries = uint64_t{s_.heads} * s_.head_dim;
    uint64_t keys = uint64_t{s_.kv_heads} * s_.head_dim;
    norm(blk + "attn_norm", s_.hidden);
    matrix(blk + "attn_q", {s_.hidden, queries});
    matrix(blk + "attn_k", {s_.hidden, keys});
    matrix(blk + "attn_v", {s_.hidden, keys});
    norm(blk + "attn_q_norm", s_.head_dim);
    norm(blk + "attn_k_norm", s_.head_dim);
    matrix(blk + "attn_output", {queries, s_.hidden});
    norm(blk + "ffn_norm", s_.hidden);
    double spread = std::sqrt(3.0 / s_.hidden);
    add({blk + "ffn_gate_inp.weight",
         {s_.hidden, s_.experts},
         TensorType::kF32,
         0,
         2 * spread,
         0,
         0});
    matrix(blk + "ffn_gate_exps", {s_.hidden, s_.expert_width, s_.experts});
    matrix(blk + "ffn_up_exps", {s_.hidden, s_.expert_width, s_.experts});
    matrix(blk + "ffn_down_exps", {s_.expert_width, s_.hidden, s_.experts});
  }

  const SyntheticShape& s_;
  std::vector<SyntheticTensor> tensors_;
};

ByteVector make_synthetic_header(const SyntheticShape& s,
                                 const std::vector<SyntheticTensor>& tensors) {
  HeaderWriter file;
  file.put<uint32_t>(0x46554747);  // "GGUF"
  file.put<uint32_t>(3);
  file.put<uint64_t>(tensors.size());
  constexpr uint64_t kPairs = 16;
  file.put(kPairs);
  auto key = [](const char* name) { return std::string("qwen3moe.") + name; };
  file.pair("general.architecture", std::string_view("qwen3moe"));
  file.pair("general.name", s.name);
  file.pair(key("block_count"), s.layers);
  file.pair(key("context_length"), uint32_t{4096});
  file.pair(key("embedding_length"), s.hidden);
  file.pair(key("feed_forward_length"), s.expert_width);
  file.pair(key("attention.head_count"), s.heads);
  file.pair(key("attention.head_count_kv"), s.kv_heads);
  file.pair(key("attention.layer_norm_rms_epsilon"), 1e-6F);
  file.pair(key("attention.key_length"), s.head_dim);
  file.pair(key("attention.value_length"), s.head_dim);
  file.pair(key("rope.dimension_count"), s.head_dim);
  file.pair(key("rope.freq_base"), 1e6F);
  file.pair(key("expert_count"), s.experts);
  file.pair(key("expert_used_count"), s.top_k);
  file.pair(key("expert_feed_forward_length"), s.expert_width);
  for (const SyntheticTensor& tensor : tensors) {
    file.text(tensor.name);
    file.put(static_cast<uint32_t>(tensor.dimensions.size()));
    for (uint64_t dimension : tensor.dimensions) file.put(dimension);
    file.put(static_cast<uint32_t>(tensor.format));
    file.put(tensor.offset);
  }
  return file.take();
}

struct SyntheticContent {
  explicit SyntheticContent(const SyntheticShape& shape)
      : tensors(TensorList(shape).take()),
        header(make_synthetic_header(shape, tensors)),
        bytes(header.size() + tensors.back().offset + tensors.back().bytes),
        random(shape.seed) {}

  void read(uint64_t offset, MutableByteSpan out) const;
  void fill(const SyntheticTensor& tensor, uint64_t from, MutableByteSpan out) const;

  std::vector<SyntheticTensor> tensors;
  ByteVector header;
  uint64_t bytes;
  CounterRandom random;
};

// `from`: where `out` begins in the tensor.
void SyntheticContent::fill(const SyntheticTensor& tensor, uint64_t from,
                            MutableByteSpan out) const {
  if (tensor.format != TensorType::kF32) return;
  size_t done = 0;
  while (done < out.size()) {
    uint64_t at = from + done;
    double draw = 2 * random.uniform(tensor.offset, at / sizeof(float)) - 1;
    auto value = static_cast<float>(tensor.center + tensor.spread * draw);
    size_t skipped = at % sizeof value;
    size_t count = std::min(sizeof value - skipped, out.size() - done);
    std::memcpy(out.data() + done, reinterpret_cast<const std::byte*>(&value) + skipped, count);
    done += count;
  }
}

void SyntheticContent::read(uint64_t offset, MutableByteSpan out) const {
  std::fill(out.begin(), out.end(), std::byte{0});
  if (offset < header.size()) {
    size_t count = std::min<uint64_t>(out.size(), header.size() - offset);
    std::memcpy(out.data(), header.data() + offset, count);
  }
  uint64_t end = offset + out.size();
  for (const SyntheticTensor& tensor : tensors) {
    uint64_t begin = header.size() + tensor.offset;
    uint64_t first = std::max(begin, offset);
    uint64_t last = std::min(begin + tensor.bytes, end);
    if (first >= last) continue;
    fill(tensor, first - begin, out.subspan(first - offset, last - first));
  }
}

class SyntheticReader final : public ReadableFile {
 public:
  explicit SyntheticReader(std::shared_ptr<const SyntheticContent> content)
      : content_(std::move(content)) {}

  uint64_t size() const override { return content_->bytes; }
  uint64_t direct_alignment() const override { return 1; }
  Status read_at(uint64_t offset, MutableByteSpan out) const override {
    if (offset > size() || out.size() > size() - offset) {
      return Error{ErrorCode::kIo, "the synthetic model ends before"};
    }
    content_->read(offset, out);
    return {};
  }

 private:
  std::shared_ptr<const SyntheticContent> content_;
};

class SyntheticStorage final : public Storage {
 public:
  explicit SyntheticStorage(const SyntheticShape& shape)
      : content_(std::make_shared<SyntheticContent>(shape)) {}

  Result<std::unique_ptr<ReadableFile>> open(const std::string& path, ReadMode) override {
    if (!exists(path)) return Error{ErrorCode::kNotFound, path + ": no such file"};
    return std::unique_ptr<ReadableFile>(std::make_unique<SyntheticReader>(content_));
  }
  Status write_atomic(const std::string&, ByteSpan, uint32_t) override { return refusal(); }
  Result<std::unique_ptr<WritableFile>> open_writable(const std::string&, WriteMode) override {
    return refusal();
  }
  Status make_directories(const std::string&) override { return refusal(); }
  Status remove(const std::string&) override { return refusal(); }
  bool exists(const std::string& path) override { return path == kSyntheticPath; }
  Result<std::vector<std::string>> list(const std::string&) override { return refusal(); }
  Result<uint64_t> free_bytes(const std::string&) override { return uint64_t{0}; }
  Result<std::unique_ptr<StorageLock>> lock(const std::string&) override { return refusal(); }

 private:
  static Error refusal() { return {ErrorCode::kUnsupported, "a synthetic model is read alone"}; }

  std::shared_ptr<const SyntheticContent> content_;
};

}  // namespace

std::unique_ptr<Storage> synthetic_storage(const SyntheticShape& shape) {
  return std::make_unique<SyntheticStorage>(shape);
}

}  // namespace potluck::sim
