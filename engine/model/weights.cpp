#include "engine/model/weights.h"

#include <algorithm>
#include <optional>
#include <unordered_set>

#include <fmt/format.h>

#include "engine/base/printable.h"

namespace potluck {
namespace {

// How much of a tensor is in memory twice while it is laid out.
constexpr uint64_t kPieceBytes = 4 * kMiB;

Result<const GgufTensor*> find_tensor(const GgufModel& model, const std::string& name,
                                      std::array<uint64_t, 4> dimensions) {
  const GgufTensor* tensor = model.find(name);
  if (tensor == nullptr) {
    return Error{ErrorCode::kNotFound, fmt::format("tensor {} is missing", name)};
  }
  if (tensor->dimensions == dimensions) return tensor;
  GgufTensor expected;
  expected.rank = dimensions[1] == 1 ? 1 : 2;
  expected.dimensions = dimensions;
  return Error{ErrorCode::kUnsupported, fmt::format("tensor {} should be {}, but is {}", name,
                                                    expected.shape_text(), tensor->shape_text())};
}

// Loads tensors one after the other; keeps the first error and which tensors have been asked for.
class Loader {
 public:
  Loader(const GgufModel& model, const Progress& progress) : model_(model), progress_(progress) {
    for (const GgufTensor& tensor : model.tensors()) total_bytes_ += tensor.bytes;
  }

  WeightMatrix matrix(const std::string& name, uint32_t rows, uint32_t columns) {
    if (error_) return {};
    Result<WeightMatrix> loaded = WeightMatrix::load(model_, name, rows, columns);
    if (!loaded) {
      error_ = loaded.error();
      return {};
    }
    done(name);
    return std::move(*loaded);
  }

  std::vector<float> vector(const std::string& name, uint32_t count) {
    if (error_) return {};
    Result<const GgufTensor*> tensor = find_tensor(model_, name, {count, 1, 1, 1});
    if (!tensor) {
      error_ = tensor.error();
      return {};
    }
    Result<std::vector<float>> values = model_.read_floats(**tensor);
    if (!values) {
      error_ = values.error();
      return {};
    }
    done(name);
    return std::move(*values);
  }

  bool has(const std::string& name) const { return model_.find(name) != nullptr; }

  // Tensors that somebody else loads.
  void leave(const std::string& name) {
    const GgufTensor* tensor = model_.find(name);
    if (tensor != nullptr && known_.insert(name).second) total_bytes_ -= tensor->bytes;
  }

  Status finish(const std::string& architecture) const {
    if (error_) return *error_;
    for (const GgufTensor& tensor : model_.tensors()) {
      if (known_.contains(tensor.name)) continue;
      return Error{ErrorCode::kUnsupported,
                   fmt::format("tensor {} has no place in the architecture {}",
                               printable(tensor.name), architecture)};
    }
    return {};
  }

 private:
  void done(const std::string& name) {
    known_.insert(name);
    done_bytes_ += model_.find(name)->bytes;
    if (progress_) progress_(done_bytes_, total_bytes_);
  }

  const GgufModel& model_;
  const Progress& progress_;
  uint64_t done_bytes_ = 0;
  uint64_t total_bytes_ = 0;
  std::unordered_set<std::string> known_;
  std::optional<Error> error_;
};

LayerWeights load_layer(Loader& loader, const ModelConfig& config, uint32_t layer) {
  auto name = [&](std::string_view part) { return fmt::format("blk.{}.{}.weight", layer, part); };
  LayerWeights weights;
  weights.attention_norm = loader.vector(name("attn_norm"), config.hidden);
  weights.query = loader.matrix(name("attn_q"), config.query_columns(), config.hidden);
  weights.key = loader.matrix(name("attn_k"), config.key_columns(), config.hidden);
  weights.value = loader.matrix(name("attn_v"), config.value_columns(), config.hidden);
  if (config.query_key_norm) {
    weights.query_norm = loader.vector(name("attn_q_norm"), config.head_dim);
    weights.key_norm = loader.vector(name("attn_k_norm"), config.head_dim);
  }
  weights.attention_output =
      loader.matrix(name("attn_output"), config.hidden, config.attention_columns());
  weights.ffn_norm = loader.vector(name("ffn_norm"), config.hidden);
  if (config.has_experts(layer)) {
    weights.router = loader.matrix(name("ffn_gate_inp"), config.router.experts, config.hidden);
  } else {
    weights.ffn_gate = loader.matrix(name("ffn_gate"), config.ffn_width, config.hidden);
    weights.ffn_up = loader.matrix(name("ffn_up"), config.ffn_width, config.hidden);
    weights.ffn_down = loader.matrix(name("ffn_down"), config.hidden, config.ffn_width);
  }
  return weights;
}

void leave_experts(Loader& loader, const ModelConfig& config) {
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    if (!config.has_experts(layer)) continue;
    for (std::string_view part : {"gate", "up", "down"}) {
      loader.leave(fmt::format("blk.{}.ffn_{}_exps.weight", layer, part));
    }
  }
}

}  // namespace

Result<WeightMatrix> WeightMatrix::load(const GgufModel& model, const std::string& name,
                                        uint32_t rows, uint32_t columns) {
  Result<const GgufTensor*> tensor = find_tensor(model, name, {columns, rows, 1, 1});
  if (!tensor) return tensor.error();
  WeightMatrix matrix;
  matrix.shape_ = {(*tensor)->type, rows, columns, 0};
  matrix.buffer_ = Buffer(matrix.shape_.bytes());
  uint64_t row_bytes = (*tensor)->row_bytes();
  uint64_t panels_per_piece = std::max<uint64_t>(1, kPieceBytes / (row_bytes * kPanelRows));
  ByteVector piece(std::min<uint64_t>(rows, panels_per_piece * kPanelRows) * row_bytes);
  for (uint32_t panel = 0; panel < matrix.shape_.panels();
       panel += static_cast<uint32_t>(panels_per_piece)) {
    uint64_t first = uint64_t{panel} * kPanelRows;
    uint64_t count = std::min<uint64_t>(rows - first, panels_per_piece * kPanelRows);
    MutableByteSpan source(piece.data(), count * row_bytes);
    Status read = model.read(**tensor, first * row_bytes, source);
    if (!read) return read.error();
    PanelShape part = matrix.shape_;
    part.rows = static_cast<uint32_t>(count);
    pack_panels(part, source.data(), columns, 0,
                matrix.buffer_.data() + panel * matrix.shape_.panel_bytes());
  }
  return matrix;
}

Result<ModelWeights> load_weights(const GgufModel& model, const ModelConfig& config,
                                  const Progress& progress) {
  Loader loader(model, progress);
  leave_experts(loader, config);
  ModelWeights weights;
  weights.token_embedding = loader.matrix("token_embd.weight", config.vocabulary, config.hidden);
  for (uint32_t layer = 0; layer < config.layers; ++layer) {
    weights.layers.push_back(load_layer(loader, config, layer));
  }
  weights.output_norm = loader.vector("output_norm.weight", config.hidden);
  if (loader.has("output.weight")) {
    weights.output = loader.matrix("output.weight", config.vocabulary, config.hidden);
  }
  Status finished = loader.finish(config.architecture);
  if (!finished) return finished.error().in(model.path());
  return weights;
}

}  // namespace potluck
