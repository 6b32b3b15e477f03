// The tensors that a converter would make of a published configuration, by the names by which a
// quantizer chooses formats.
#include <algorithm>

#include <fmt/format.h>

#include "coordinator/plan/published_models.h"

namespace potluck {
namespace {

class FileMaker {
 public:
  FileMaker(const PublishedModel& model, const QuantizationMix& mix) : m_(model), mix_(mix) {
    file_.model = &model;
    file_.format = mix.name();
    file_.config.name = fmt::format("{} {}", model.title, mix.name());
    file_.config.architecture = std::string(model.architecture);
    file_.config.layers = model.layers;
    file_.config.hidden = model.hidden;
    file_.config.vocabulary = model.vocabulary;
    file_.config.trained_context = model.context;
    file_.config.router.experts = model.experts;
    file_.config.router.top_k = model.top_k;
    file_.config.expert_width = model.expert_width;
    file_.config.expert_activation = model.activation;
  }

  PublishedFile make();

 private:
  TensorType matrix(const std::string& name, uint64_t columns, uint64_t rows, uint64_t count = 1);
  void floats(const std::string& name, uint64_t columns, uint64_t rows = 1);
  void add(const std::string& name, TensorType type, uint64_t columns, uint64_t rows,
           uint64_t count);
  void mixer(const PublishedMixer& mixer);
  void attention(const PublishedMixer& mixer);
  void latent_attention(const PublishedMixer& mixer);
  void feed_forward();
  void dense(const std::string& suffix, uint64_t width);

  std::string blk(std::string_view part) const { return fmt::format("blk.{}.{}", layer_, part); }

  const PublishedModel& m_;
  const QuantizationMix& mix_;
  PublishedFile file_;
  uint32_t layer_ = 0;
};

TensorType FileMaker::matrix(const std::string& name, uint64_t columns, uint64_t rows,
                             uint64_t count) {
  const std::string full = name + ".weight";
  const TensorType type = mix_.format_of(
      {full, columns, layer_, m_.layers, m_.experts, full.find("_exps.") != std::string::npos});
  add(full, type, columns, rows, count);
  return type;
}

void FileMaker::floats(const std::string& name, uint64_t columns, uint64_t rows) {
  add(name + ".weight", TensorType::kF32, columns, rows, 1);
}

void FileMaker::add(const std::string& name, TensorType type, uint64_t columns, uint64_t rows,
                    uint64_t count) {
  GgufTensor tensor;
  tensor.name = name;
  tensor.type = type;
  tensor.rank = count > 1 ? 3 : 2;
  tensor.dimensions = {columns, rows, count, 1};
  tensor.bytes = tensor.row_bytes() * rows * count;
  file_.tensors.push_back(std::move(tensor));
}

void FileMaker::attention(const PublishedMixer& mixer) {
  const uint64_t queries = uint64_t{mixer.heads} * mixer.head_dim;
  const uint64_t keys = uint64_t{mixer.kv_heads} * mixer.head_dim;
  matrix(blk("attn_q"), m_.hidden, mixer.gated ? 2 * queries : queries);
  matrix(blk("attn_k"), m_.hidden, keys);
  if (!mixer.keys_alone) matrix(blk("attn_v"), m_.hidden, keys);
  matrix(blk("attn_output"), queries, m_.hidden);
}

void FileMaker::latent_attention(const PublishedMixer& mixer) {
  const uint64_t queries = uint64_t{mixer.heads} * (mixer.head_dim + mixer.turned);
  if (mixer.query_rank == 0) {
    matrix(blk("attn_q"), m_.hidden, queries);
  } else {
    matrix(blk("attn_q_a"), m_.hidden, mixer.query_rank);
    matrix(blk("attn_q_b"), mixer.query_rank, queries);
  }
  matrix(blk("attn_kv_a_mqa"), m_.hidden, mixer.rank + mixer.turned);
  matrix(blk("attn_k_b"), mixer.head_dim, mixer.rank, mixer.heads);
  matrix(blk("attn_v_b"), mixer.rank, mixer.value_dim, mixer.heads);
  matrix(blk("attn_output"), uint64_t{mixer.heads} * mixer.value_dim, m_.hidden);
  if (mixer.index_heads == 0) return;
  matrix(blk("indexer.attn_q_b"), mixer.query_rank, uint64_t{mixer.index_heads} * mixer.index_dim);
  matrix(blk("indexer.attn_k"), m_.hidden, mixer.index_dim);
  matrix(blk("indexer.proj"), m_.hidden, mixer.index_heads);
}

void FileMaker::mixer(const PublishedMixer& mixer) {
  floats(blk("attn_norm"), m_.hidden);
  const uint64_t inner = uint64_t{mixer.heads} * mixer.head_dim;
  const uint64_t keys = uint64_t{mixer.kv_heads} * mixer.head_dim;
  switch (mixer.kind) {
    case MixerKind::kAttention:
      return attention(mixer);
    case MixerKind::kLatentAttention:
      return latent_attention(mixer);
    case MixerKind::kDeltaNet:
      matrix(blk("attn_qkv"), m_.hidden, 2 * keys + inner);
      matrix(blk("attn_gate"), m_.hidden, inner);
      matrix(blk("ssm_ba"), m_.hidden, 2 * uint64_t{mixer.heads});
      matrix(blk("ssm_out"), inner, m_.hidden);
      return;
    case MixerKind::kMamba:
      matrix(blk("ssm_in"), m_.hidden,
             2 * (inner + uint64_t{mixer.groups} * mixer.state) + mixer.heads);
      matrix(blk("ssm_out"), inner, m_.hidden);
      return;
    case MixerKind::kShortConvolution:
      matrix(blk("shortconv.in_proj"), m_.hidden, 3 * uint64_t{m_.hidden});
      matrix(blk("shortconv.out_proj"), m_.hidden, m_.hidden);
      return;
    case MixerKind::kNone:
    case MixerKind::kKimiDelta:
    case MixerKind::kCompressedAttention:
      return;
  }
}

void FileMaker::dense(const std::string& suffix, uint64_t width) {
  if (has_gate(m_.activation)) matrix(blk("ffn_gate" + suffix), m_.hidden, width);
  matrix(blk("ffn_up" + suffix), m_.hidden, width);
  matrix(blk("ffn_down" + suffix), width, m_.hidden);
}

void FileMaker::feed_forward() {
  floats(blk("ffn_norm"), m_.hidden);
  if (layer_ < m_.dense_layers) return dense("", m_.dense_width);
  floats(blk("ffn_gate_inp"), m_.hidden, m_.experts);
  ExpertBank bank;
  bank.layer = layer_;
  bank.experts = m_.experts;
  bank.shape.hidden = m_.hidden;
  bank.shape.width = m_.expert_width;
  bank.shape.activation = m_.activation;
  if (has_gate(m_.activation)) {
    bank.shape.gate = matrix(blk("ffn_gate_exps"), m_.hidden, m_.expert_width, m_.experts);
  }
  bank.shape.up = matrix(blk("ffn_up_exps"), m_.hidden, m_.expert_width, m_.experts);
  bank.shape.down = matrix(blk("ffn_down_exps"), m_.expert_width, m_.hidden, m_.experts);
  if (!has_gate(m_.activation)) bank.shape.gate = bank.shape.up;
  file_.banks.push_back(bank);
  if (m_.shared_width > 0) dense("_shexp", m_.shared_width);
}

PublishedFile FileMaker::make() {
  // What is also the output is stored as that.
  const std::string_view as = m_.tied ? "output.weight" : "token_embd.weight";
  add("token_embd.weight", mix_.format_of({as, m_.hidden, 0, m_.layers, m_.experts}), m_.hidden,
      m_.vocabulary, 1);
  for (layer_ = 0; layer_ < m_.layers; ++layer_) {
    const char kind = m_.pattern[layer_ % m_.pattern.size()];
    if (kind == 'a' || kind == '*') mixer(m_.attention);
    if (kind == 'o' || kind == 'M') mixer(m_.other);
    if (kind == 'a' || kind == 'o' || kind == 'E') feed_forward();
  }
  layer_ = 0;
  floats("output_norm", m_.hidden);
  if (!m_.tied) matrix("output", m_.hidden, m_.vocabulary);
  return std::move(file_);
}

std::string lower(std::string_view text) {
  std::string low(text);
  for (char& c : low) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return low;
}

std::vector<std::string> names_of(const PublishedModel& model) {
  std::vector<std::string> names;
  std::string_view rest = model.names;
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(' '), rest.size());
    names.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return names;
}

}  // namespace

uint64_t PublishedFile::bytes() const {
  uint64_t bytes = 0;
  for (const GgufTensor& tensor : tensors) bytes += tensor.bytes;
  return bytes;
}

uint64_t PublishedFile::parameters() const {
  uint64_t count = 0;
  for (const GgufTensor& tensor : tensors) count += tensor.count();
  return count;
}

std::vector<std::string> published_names() {
  std::vector<std::string> all;
  for (const PublishedModel& model : published_models()) {
    for (std::string& name : names_of(model)) all.push_back(std::move(name));
  }
  return all;
}

PublishedFile make_published_file(const PublishedModel& model, const QuantizationMix& mix) {
  return FileMaker(model, mix).make();
}

Result<PublishedFile> find_published(const std::string& text) {
  const size_t colon = std::min(text.find(':'), text.size());
  const std::string name = lower(text.substr(0, colon)).substr(text.rfind('/', colon) + 1);
  for (const PublishedModel& model : published_models()) {
    const std::vector<std::string> names = names_of(model);
    if (std::ranges::find(names, name) == names.end()) continue;
    const std::string format(colon < text.size() ? std::string_view(text).substr(colon + 1)
                                                 : model.format);
    const auto mix = QuantizationMix::find(format);
    if (mix) return make_published_file(model, *mix);
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: quantization '{}' is not known; known are {}", name, format,
                             QuantizationMix::known_names())};
  }
  return Error{ErrorCode::kNotFound, fmt::format("{}: no published model of that name", text)};
}

}  // namespace potluck
