#include "coordinator/plan/plan_model.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "engine/kernels/activations.h"

namespace potluck {
namespace {

// Packed sums take about so many bits a value (docs/PROTOCOL.md).
constexpr double kPackedBits = 22;

void add_bytes(std::vector<FormatBytes>* parts, TensorType format, double bytes) {
  for (FormatBytes& part : *parts) {
    if (part.format != format) continue;
    part.bytes += bytes;
    return;
  }
  parts->push_back({format, bytes});
}

void describe_experts(const ExpertShape& shape, uint32_t experts, uint32_t top_k,
                      PlanLayer* layer) {
  auto matrix = [&](TensorType type) {
    const BlockFormat& format = block_format(type);
    return double{1} * shape.hidden * shape.width / format.block_elements * format.block_bytes;
  };
  if (shape.gated()) add_bytes(&layer->expert, shape.gate, matrix(shape.gate));
  for (TensorType type : {shape.up, shape.down}) add_bytes(&layer->expert, type, matrix(type));
  layer->experts = experts;
  layer->top_k = std::min(top_k, experts);
  layer->grains = plan_chunks(shape).grains;
  layer->sent_row_bytes =
      static_cast<double>(activation_wire_bytes(shape.input_form(), shape.hidden));
  layer->returned_row_bytes = shape.hidden * kPackedBits / 8;
}

// The number of "blk.N.name", and the name.
std::optional<std::pair<uint32_t, std::string_view>> layer_of(std::string_view tensor) {
  constexpr std::string_view kBlock = "blk.";
  if (!tensor.starts_with(kBlock)) return std::nullopt;
  tensor.remove_prefix(kBlock.size());
  uint32_t layer = 0;
  auto [end, error] = std::from_chars(tensor.data(), tensor.data() + tensor.size(), layer);
  if (error != std::errc() || end == tensor.data() + tensor.size() || *end != '.') {
    return std::nullopt;
  }
  return std::pair(layer, tensor.substr(static_cast<size_t>(end - tensor.data()) + 1));
}

// What is computed while others compute the experts.
bool is_beside_experts(const ModelConfig& config, uint32_t layer, std::string_view part) {
  if (part.find("_shexp") != std::string_view::npos) return true;
  if (!config.dense_beside_experts || !config.has_experts(layer)) return false;
  return part == "ffn_gate.weight" || part == "ffn_up.weight" || part == "ffn_down.weight";
}

bool is_alike(const PlanLayer& a, const PlanLayer& b) {
  return a.dense == b.dense && a.shared == b.shared && a.expert == b.expert &&
         a.experts == b.experts && a.top_k == b.top_k;
}

std::vector<PlanLayer> grouped(const std::vector<PlanLayer>& layers) {
  std::vector<PlanLayer> groups;
  for (const PlanLayer& layer : layers) {
    auto same = std::find_if(groups.begin(), groups.end(),
                             [&](const PlanLayer& group) { return is_alike(group, layer); });
    if (same == groups.end()) {
      groups.push_back(layer);
    } else {
      ++same->count;
    }
  }
  return groups;
}

}  // namespace

double total_bytes(const std::vector<FormatBytes>& parts) {
  double bytes = 0;
  for (const FormatBytes& part : parts) bytes += part.bytes;
  return bytes;
}

double PlanLayer::expert_bytes() const {
  return total_bytes(expert);
}

double PlanModel::bank_bytes() const {
  double bytes = 0;
  for (const PlanLayer& layer : layers) bytes += layer.count * layer.bank_bytes();
  return bytes;
}

std::vector<HitPoint> usual_hits() {
  return {{0, 0},       {0.016, 0.30}, {0.033, 0.40}, {0.0625, 0.42}, {0.10, 0.51}, {0.15, 0.62},
          {0.20, 0.70}, {0.25, 0.76},  {0.30, 0.80},  {0.40, 0.87},   {0.50, 0.92}, {1, 1}};
}

PlanModel plan_model(std::span<const GgufTensor> tensors, const ModelConfig& config,
                     const std::vector<ExpertBank>& banks) {
  std::vector<PlanLayer> layers(config.layers);
  for (const GgufTensor& tensor : tensors) {
    auto place = layer_of(tensor.name);
    if (!place || place->first >= layers.size()) continue;
    if (place->second.find("_exps") != std::string_view::npos) continue;
    bool shared = is_beside_experts(config, place->first, place->second);
    PlanLayer& layer = layers[place->first];
    add_bytes(shared ? &layer.shared : &layer.dense, tensor.type,
              static_cast<double>(tensor.bytes));
  }
  for (const ExpertBank& bank : banks) {
    describe_experts(bank.shape, bank.experts, config.router.top_k, &layers[bank.layer]);
  }
  PlanModel model;
  model.name = config.name;
  model.hidden = config.hidden;
  model.layers = grouped(layers);
  model.hits = usual_hits();
  auto head = std::ranges::find(tensors, "output.weight", &GgufTensor::name);
  if (head == tensors.end())
    head = std::ranges::find(tensors, "token_embd.weight", &GgufTensor::name);
  if (head != tensors.end()) model.head = {{head->type, static_cast<double>(head->bytes)}};
  return model;
}

PlanModel plan_model(const Manifest& manifest, uint32_t top_k) {
  std::vector<PlanLayer> layers;
  for (const ManifestLayer& layer : manifest.layers()) {
    describe_experts(layer.shape, layer.experts, top_k, &layers.emplace_back());
  }
  PlanModel model;
  model.name = manifest.model_name();
  model.layers = grouped(layers);
  model.hits = usual_hits();
  return model;
}

}  // namespace potluck
