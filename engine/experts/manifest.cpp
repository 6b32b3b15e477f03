#include "engine/experts/manifest.h"

#include <algorithm>
#include <optional>
#include <set>

#include <fmt/format.h>

#include "engine/base/check.h"
#include "engine/base/limits.h"
#include "engine/kernels/kernels.h"

// Encoding, little-endian, without padding:
//   8 bytes "PLMANIF1", or 2 for 1: the newest version of panels that the formats of its layers
//   have u32 arithmetic version | u32 length of the model's name | the name | u32 layers, then per
//   layer u32 layer, experts, hidden, width, gate, up, down format | u8 biases + 2 * scales | u8
//   activation | f32 limit, if the activation has one | experts x grains digests of 32 bytes

namespace potluck {
namespace {

constexpr std::string_view kMagic = "PLMANIF";
constexpr uint32_t kNewestPanels = 2;

uint32_t panels_of(std::span<const ManifestLayer> layers) {
  uint32_t newest = 1;
  for (const ManifestLayer& layer : layers) newest = std::max(newest, layer.shape.panels());
  return newest;
}

bool is_control(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

// The name of a model is shown on terminals: no control characters, bounded length.
std::string clean_name(std::string name) {
  if (name.size() > limits::kNameBytes) name.resize(limits::kNameBytes);
  std::replace_if(name.begin(), name.end(), is_control, '_');
  return name;
}

Error corrupt(std::string what) {
  return {ErrorCode::kCorrupt, "manifest: " + std::move(what)};
}

uint64_t grains_of(const ManifestLayer& layer) {
  return uint64_t{layer.experts} * layer.plan.grains;
}

// Reads fields one after the other; the first failure is kept, and zeros are read after it. The
// caller looks at status() before it uses what was read.
class FieldReader {
 public:
  explicit FieldReader(ByteSpan bytes) : reader_(bytes) {}

  template <class T>
  T field() {
    Result<T> value = reader_.read<T>();
    if (value) return *value;
    if (status_) status_ = value.error().in("manifest");
    return T{};
  }
  ByteSpan take(uint64_t count) {
    Result<ByteSpan> taken = reader_.take(count);
    if (taken) return *taken;
    if (status_) status_ = taken.error().in("manifest");
    return {};
  }
  const Status& status() const { return status_; }
  uint64_t remaining() const { return reader_.remaining(); }

 private:
  ByteReader reader_;
  Status status_;
};

Status read_header(FieldReader& reader, std::string* name, uint32_t* panels, uint32_t* layers) {
  ByteSpan magic = reader.take(kMagic.size());
  auto digit = reader.field<char>();
  if (!reader.status()) return reader.status();
  *panels = static_cast<uint32_t>(digit - '0');
  if (as_text(magic) != kMagic || *panels == 0 || *panels > kNewestPanels) {
    return corrupt("does not start with PLMANIF1 or PLMANIF2");
  }
  auto arithmetic = reader.field<uint32_t>();
  auto name_bytes = reader.field<uint32_t>();
  if (!reader.status()) return reader.status();
  if (arithmetic != kArithmeticVersion) {
    return Error{ErrorCode::kUnsupported, fmt::format("manifest: arithmetic version {}, ours is {}",
                                                      arithmetic, kArithmeticVersion)};
  }
  if (name_bytes > limits::kNameBytes) {
    return Error{ErrorCode::kLimit, fmt::format("manifest: a name of {} bytes, at most {} expected",
                                                name_bytes, limits::kNameBytes)};
  }
  *name = as_text(reader.take(name_bytes));
  *layers = reader.field<uint32_t>();
  if (!reader.status()) return reader.status();
  if (std::any_of(name->begin(), name->end(), is_control)) {
    return corrupt("the model's name holds control characters");
  }
  if (*layers > limits::kLayers) {
    return Error{ErrorCode::kLimit,
                 fmt::format("manifest: {} layers, at most {} expected", *layers, limits::kLayers)};
  }
  return {};
}

Status read_shape(FieldReader& reader, ManifestLayer* layer) {
  ExpertShape& shape = layer->shape;
  layer->layer = reader.field<uint32_t>();
  layer->experts = reader.field<uint32_t>();
  shape.hidden = reader.field<uint32_t>();
  shape.width = reader.field<uint32_t>();
  // Values outside the enumerations are found by check_expert_shape.
  shape.gate = static_cast<TensorType>(reader.field<uint32_t>());
  shape.up = static_cast<TensorType>(reader.field<uint32_t>());
  shape.down = static_cast<TensorType>(reader.field<uint32_t>());
  auto numbers = reader.field<uint8_t>();
  shape.activation = static_cast<ExpertActivation>(reader.field<uint8_t>());
  if (has_limit(shape.activation)) shape.limit = reader.field<float>();
  if (!reader.status()) return reader.status();
  if (layer->layer >= limits::kLayers) {
    return Error{ErrorCode::kLimit, fmt::format("manifest: layer {}, expected below {}",
                                                layer->layer, limits::kLayers)};
  }
  if (layer->experts == 0 || layer->experts > limits::kExperts) {
    return Error{ErrorCode::kLimit, fmt::format("manifest: layer {} has {} experts, expected 1 to "
                                                "{}",
                                                layer->layer, layer->experts, limits::kExperts)};
  }
  if (numbers > 3) return corrupt(fmt::format("layer {}: flags {}", layer->layer, numbers));
  shape.biases = (numbers & 1) != 0;
  shape.scales = (numbers & 2) != 0;
  Status valid = check_expert_shape(shape);
  if (!valid) return valid.error().in(fmt::format("manifest: layer {}", layer->layer));
  return {};
}

Result<ManifestLayer> read_layer(FieldReader& reader) {
  ManifestLayer layer;
  if (Status shape = read_shape(reader, &layer); !shape) return shape.error();
  layer.plan = plan_chunks(layer.shape);
  uint64_t digests = grains_of(layer);  // at most 2^12 experts x 2^13 grains
  // Taken before memory is: 2^25 digests have to be there to be made room for.
  ByteSpan bytes = reader.take(digests * sizeof(Digest));
  if (!reader.status()) return reader.status().error();
  layer.grains.resize(digests);
  std::memcpy(layer.grains.data(), bytes.data(), bytes.size());
  return layer;
}

void write_layer(const ManifestLayer& layer, ByteWriter& writer) {
  const ExpertShape& shape = layer.shape;
  writer.write(layer.layer);
  writer.write(layer.experts);
  writer.write(shape.hidden);
  writer.write(shape.width);
  writer.write(static_cast<uint32_t>(shape.gate));
  writer.write(static_cast<uint32_t>(shape.up));
  writer.write(static_cast<uint32_t>(shape.down));
  writer.write(static_cast<uint8_t>((shape.biases ? 1 : 0) | (shape.scales ? 2 : 0)));
  writer.write(static_cast<uint8_t>(shape.activation));
  if (has_limit(shape.activation)) writer.write(shape.limit);
  writer.write(std::as_bytes(std::span(layer.grains)));
}

// A grain of a manifest that is being checked: its place, and the first bytes of its digest, which
// tell nearly all apart.
struct NamedGrain {
  uint64_t prefix;
  uint32_t layer;  // index
  uint32_t grain;  // of the layer
};

uint64_t length_of(const ManifestLayer& layer, uint32_t grain) {
  return grain_layout(layer.shape, layer.plan, grain % layer.plan.grains).bytes;
}

// The usual case: all grains of a model are alike, and no sorting is needed.
bool one_length(std::span<const ManifestLayer> layers) {
  std::optional<uint64_t> length;
  for (const ManifestLayer& layer : layers) {
    for (uint32_t grain = 0; grain < layer.plan.grains; ++grain) {
      uint64_t bytes = length_of(layer, grain);
      if (length && *length != bytes) return false;
      length = bytes;
    }
  }
  return true;
}

}  // namespace

Status check_grain_lengths(std::span<const ManifestLayer> layers) {
  if (one_length(layers)) return {};
  std::vector<NamedGrain> grains;
  for (uint32_t layer = 0; layer < layers.size(); ++layer) {
    const std::vector<Digest>& digests = layers[layer].grains;
    for (uint32_t i = 0; i < digests.size(); ++i) {
      grains.push_back({load<uint64_t>(digests[i].bytes.data()), layer, i});
    }
  }
  auto digest = [&](const NamedGrain& g) -> const Digest& {
    return layers[g.layer].grains[g.grain];
  };
  std::sort(grains.begin(), grains.end(), [&](const NamedGrain& a, const NamedGrain& b) {
    return a.prefix != b.prefix ? a.prefix < b.prefix : digest(a) < digest(b);
  });
  for (size_t i = 1; i < grains.size(); ++i) {
    const NamedGrain& a = grains[i - 1];
    const NamedGrain& b = grains[i];
    if (a.prefix != b.prefix || digest(a) != digest(b)) continue;
    uint64_t first = length_of(layers[a.layer], a.grain);
    uint64_t second = length_of(layers[b.layer], b.grain);
    if (first == second) continue;
    return corrupt(fmt::format("grain {} has {} bytes in layer {} and {} in layer {}",
                               digest(a).hex(), first, layers[a.layer].layer, second,
                               layers[b.layer].layer));
  }
  return {};
}

Manifest::Manifest(std::string model_name, std::vector<ManifestLayer> layers)
    : model_name_(clean_name(std::move(model_name))), layers_(std::move(layers)) {
  for (size_t i = 0; i < layers_.size(); ++i) {
    ManifestLayer& layer = layers_[i];
    CHECK(layer.layer >= index_of_layer_.size());  // ascending
    layer.plan = plan_chunks(layer.shape);
    CHECK(layer.grains.size() == grains_of(layer));
    index_of_layer_.resize(layer.layer, -1);
    index_of_layer_.push_back(static_cast<int32_t>(i));
  }
}

Result<Manifest> Manifest::decode(ByteSpan bytes) {
  if (bytes.size() > limits::kManifestBytes) {
    return Error{ErrorCode::kLimit, fmt::format("manifest: {} bytes, at most {} expected",
                                                bytes.size(), limits::kManifestBytes)};
  }
  FieldReader reader(bytes);
  std::string name;
  uint32_t panels = 0;
  uint32_t count = 0;
  if (Status header = read_header(reader, &name, &panels, &count); !header) return header.error();
  std::vector<ManifestLayer> layers;
  for (uint32_t i = 0; i < count; ++i) {
    Result<ManifestLayer> layer = read_layer(reader);
    if (!layer) return layer.error();
    if (!layers.empty() && layer->layer <= layers.back().layer) {
      return corrupt(fmt::format("layer {} after layer {}", layer->layer, layers.back().layer));
    }
    layers.push_back(std::move(*layer));
  }
  if (reader.remaining() > 0) {
    return corrupt(fmt::format("{} bytes after its end", reader.remaining()));
  }
  if (panels != panels_of(layers)) {
    return Error{
        ErrorCode::kUnsupported,
        fmt::format("manifest: experts laid out in version {}, ours of these formats is {}; "
                    "the other device has another version of the program",
                    panels, panels_of(layers))};
  }
  if (Status lengths = check_grain_lengths(layers); !lengths) return lengths.error();
  return Manifest(std::move(name), std::move(layers));
}

ByteVector Manifest::encode() const {
  ByteWriter writer;
  writer.write(as_bytes(kMagic));
  writer.write(static_cast<char>('0' + panels_of(layers_)));
  writer.write(kArithmeticVersion);
  writer.write(static_cast<uint32_t>(model_name_.size()));
  writer.write(as_bytes(model_name_));
  writer.write(static_cast<uint32_t>(layers_.size()));
  for (const ManifestLayer& layer : layers_) write_layer(layer, writer);
  return writer.take();
}

Digest Manifest::digest() const {
  return sha256(encode());
}

const ManifestLayer* Manifest::layer(uint32_t layer) const {
  if (layer >= index_of_layer_.size() || index_of_layer_[layer] < 0) return nullptr;
  return &layers_[static_cast<size_t>(index_of_layer_[layer])];
}

bool Manifest::contains(GrainId id) const {
  const ManifestLayer* found = layer(id.layer);
  return found != nullptr && id.expert < found->experts && id.grain < found->plan.grains;
}

const Digest& Manifest::digest_of(GrainId id) const {
  CHECK(contains(id));
  const ManifestLayer& found = *layer(id.layer);
  return found.grains[uint64_t{id.expert} * found.plan.grains + id.grain];
}

uint64_t Manifest::grain_bytes(GrainId id) const {
  CHECK(contains(id));
  const ManifestLayer& found = *layer(id.layer);
  return grain_layout(found.shape, found.plan, id.grain).bytes;
}

uint64_t Manifest::largest_grain_bytes() const {
  uint64_t largest = 0;
  for (const ManifestLayer& layer : layers_) {
    largest = std::max(largest, potluck::largest_grain_bytes(layer.shape, layer.plan));
  }
  return largest;
}

uint64_t Manifest::total_bytes() const {
  uint64_t bytes = 0;
  for (const ManifestLayer& layer : layers_) {
    bytes += layer.experts * expert_bytes(layer.shape, layer.plan);
  }
  return bytes;
}

std::vector<KernelPart> Manifest::kernel_parts() const {
  std::set<KernelPart> parts;
  for (const ManifestLayer& layer : layers_) {
    std::vector<KernelPart> used = layer.shape.kernel_parts();
    parts.insert(used.begin(), used.end());
  }
  return {parts.begin(), parts.end()};
}

uint64_t Manifest::memory_bytes() const {
  uint64_t bytes = 0;
  for (const ManifestLayer& layer : layers_) {
    bytes += sizeof(ManifestLayer) + layer.grains.capacity() * sizeof(Digest);
  }
  return bytes;
}

// The body's magic keeps a signature of a manifest from passing for one of anything else that the
// key may ever sign.
SignedManifest sign_manifest(const Manifest& manifest, const SigningKey& key) {
  ByteVector body = manifest.encode();
  Signature signature = key.sign(body);
  return {std::move(body), signature};
}

Result<Manifest> verify_manifest(const SignedManifest& manifest, const SigningPublicKey& key) {
  // Before decoding: a stranger does not even reach the parser.
  if (!verify_signature(key, manifest.body, manifest.signature)) {
    return Error{ErrorCode::kRefused, "manifest: its signature is not the pool's"};
  }
  return Manifest::decode(manifest.body);
}

}  // namespace potluck
