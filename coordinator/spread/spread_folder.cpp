#include "coordinator/spread/spread_folder.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr uint64_t kAboutBytes = kMiB;
constexpr size_t kLongestLine = 4096;
constexpr size_t kGrainDigestBytes = sizeof(Digest::bytes);
constexpr uint64_t kLayerFileBytes = limits::kManifestBytes;
constexpr size_t kLongestName = 128;

// Names become paths: nothing but what folder_name() makes.
bool are_names(const std::vector<std::string>& names) {
  return std::ranges::all_of(names, [](const auto& name) { return name == folder_name(name); });
}

// "word value", one line each; a value is all that follows the space.
class AboutReader {
 public:
  explicit AboutReader(std::string_view text) : rest_(text) {}

  // The value of the next line, which must begin with this word.
  std::string_view text(std::string_view word) {
    const size_t end = rest_.find('\n');
    good_ = good_ && end != std::string_view::npos && end > word.size() &&
            rest_.starts_with(word) && rest_[word.size()] == ' ' && end <= kLongestLine;
    if (!good_) return {};
    std::string_view value = rest_.substr(word.size() + 1, end - word.size() - 1);
    rest_.remove_prefix(end + 1);
    return value;
  }
  uint64_t number(std::string_view word, uint64_t most = UINT64_MAX) {
    const std::string_view digits = text(word);
    uint64_t value = 0;
    const char* end = digits.data() + digits.size();
    const auto [stop, failure] = std::from_chars(digits.data(), end, value);
    good_ = good_ && !digits.empty() && failure == std::errc() && stop == end && value <= most;
    return good_ ? value : 0;
  }
  bool good() const { return good_; }
  bool at_end() const { return rest_.empty(); }

 private:
  std::string_view rest_;
  bool good_ = true;
};

std::optional<SpreadAbout> read_about(std::string_view text) {
  AboutReader reader(text);
  if (reader.number("spread", 1) != 1) return std::nullopt;
  SpreadAbout about;
  about.source = reader.text("source");
  about.replicas = static_cast<uint32_t>(reader.number("replicas", limits::kHoldersPerUnit));
  about.whole_bytes = reader.number("whole-bytes");
  about.resident_bytes = reader.number("resident-bytes");
  about.expert_bytes = reader.number("expert-bytes");
  about.grains = reader.number("grains");
  about.layers = static_cast<uint32_t>(reader.number("layers", limits::kLayers));
  const uint64_t files = reader.number("files", limits::kSplitFiles);
  for (uint64_t i = 0; i < files && reader.good(); ++i) {
    about.parts.emplace_back(reader.text("part"));
    about.identities.emplace_back(reader.text("identity"));
  }
  bool good =
      reader.good() && reader.at_end() && files > 0 && about.replicas > 0 && are_names(about.parts);
  return good ? std::optional(std::move(about)) : std::nullopt;
}

std::string about_text(const SpreadAbout& about) {
  std::string text = fmt::format(
      "spread 1\nsource {}\nreplicas {}\nwhole-bytes {}\nresident-bytes {}\nexpert-bytes {}\n"
      "grains {}\nlayers {}\nfiles {}\n",
      about.source, about.replicas, about.whole_bytes, about.resident_bytes, about.expert_bytes,
      about.grains, about.layers, about.parts.size());
  for (size_t i = 0; i < about.parts.size(); ++i) {
    text += fmt::format("part {}\nidentity {}\n", about.parts[i], about.identities[i]);
  }
  return text;
}

// Stands behind the digests of a layer's grains, and depends on the order of bytes inside of them.
Digest digest_of_layer(ByteSpan grains, uint32_t panels) {
  Sha256Stream stream;
  stream.update(grains);
  if (panels != 1) stream.update(std::as_bytes(std::span(&panels, 1)));
  return stream.finish();
}

}  // namespace

Status SpreadFolder::mark_resident() {
  return storage_.write_atomic(directory_ + "/resident", {});
}

Result<SpreadAbout> SpreadFolder::about() const {
  const std::string path = directory_ + "/about";
  if (!storage_.exists(path)) {
    return Error{ErrorCode::kNotFound, directory_ + ": no model was spread here"};
  }
  Result<ByteVector> text = read_file(storage_, path, kAboutBytes);
  if (!text) return text.error();
  std::optional<SpreadAbout> about = read_about(as_text(*text));
  if (!about) {
    return Error{
        ErrorCode::kCorrupt,
        fmt::format("{}: not what `potluck serve --spread` writes; remove {} to spread the "
                    "model anew",
                    path, directory_)};
  }
  return std::move(*about);
}

Status SpreadFolder::save_about(const SpreadAbout& about) {
  for (const char* folder : {"/parts", "/layers"}) {
    if (Status made = storage_.make_directories(directory_ + folder); !made) return made;
  }
  const std::string text = about_text(about);
  // It is read back as it was written, or not at all.
  if (!read_about(text)) {
    return Error{ErrorCode::kInvalidArgument,
                 "the name of the source cannot be written down: it has line breaks in it, or is "
                 "too long"};
  }
  // An address may have a signature in it.
  constexpr uint32_t kOwnerOnly = 0600;
  return storage_.write_atomic(directory_ + "/about", as_bytes(text), kOwnerOnly);
}

std::string SpreadFolder::layer_path(uint32_t layer) const {
  return fmt::format("{}/layers/{}", directory_, layer);
}

std::vector<Digest> SpreadFolder::layer(uint32_t layer, uint32_t experts, uint32_t grains,
                                        uint32_t panels) const {
  Result<ByteVector> bytes = read_file(storage_, layer_path(layer), kLayerFileBytes);
  if (!bytes || bytes->size() < kGrainDigestBytes || bytes->size() % kGrainDigestBytes != 0) {
    return {};
  }
  const size_t count = bytes->size() / kGrainDigestBytes - 1;
  if (count % grains != 0 || count / grains > experts) return {};
  // A digest that was altered here would name every copy of a grain wrongly.
  const Digest own = digest_of_layer(ByteSpan(*bytes).first(count * kGrainDigestBytes), panels);
  const std::byte* end = bytes->data() + count * kGrainDigestBytes;
  if (std::memcmp(own.bytes.data(), end, kGrainDigestBytes) != 0) return {};
  std::vector<Digest> digests(count);
  for (size_t i = 0; i < count; ++i) {
    std::memcpy(digests[i].bytes.data(), bytes->data() + i * kGrainDigestBytes, kGrainDigestBytes);
  }
  return digests;
}

Status SpreadFolder::save_layer(uint32_t layer, std::span<const Digest> digests, uint32_t panels) {
  ByteVector bytes((digests.size() + 1) * kGrainDigestBytes);
  for (size_t i = 0; i < digests.size(); ++i) {
    std::memcpy(bytes.data() + i * kGrainDigestBytes, digests[i].bytes.data(), kGrainDigestBytes);
  }
  const size_t end = digests.size() * kGrainDigestBytes;
  const Digest own = digest_of_layer(ByteSpan(bytes).first(end), panels);
  std::memcpy(bytes.data() + end, own.bytes.data(), kGrainDigestBytes);
  return storage_.write_atomic(layer_path(layer), bytes);
}

uint64_t SpreadFolder::known_grains(uint32_t layers) const {
  uint64_t grains = 0;
  for (uint32_t i = 0; i < layers; ++i) {
    auto file = storage_.open(layer_path(i), ReadMode::kBuffered);
    if (file && (*file)->size() >= kGrainDigestBytes) {
      grains += (*file)->size() / kGrainDigestBytes - 1;
    }
  }
  return grains;
}

Result<SignedManifest> SpreadFolder::manifest() const {
  Result<ByteVector> bytes =
      read_file(storage_, directory_ + "/manifest", limits::kManifestBytes + sizeof(Signature));
  if (!bytes) return bytes.error();
  SignedManifest manifest;
  if (bytes->size() < manifest.signature.size()) {
    return Error{ErrorCode::kCorrupt, directory_ + "/manifest: it is cut off"};
  }
  std::memcpy(manifest.signature.data(), bytes->data(), manifest.signature.size());
  manifest.body.assign(bytes->begin() + static_cast<ptrdiff_t>(manifest.signature.size()),
                       bytes->end());
  return manifest;
}

Status SpreadFolder::save_manifest(const SignedManifest& manifest) {
  ByteVector bytes(manifest.signature.size());
  std::memcpy(bytes.data(), manifest.signature.data(), bytes.size());
  bytes.insert(bytes.end(), manifest.body.begin(), manifest.body.end());
  return storage_.write_atomic(directory_ + "/manifest", bytes);
}

std::string folder_name(const std::string& text) {
  std::string name = text.substr(0, kLongestName);
  for (char& c : name) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '.' || c == '-' || c == '_';
    if (!plain) c = '-';
  }
  if (name.empty() || name.front() == '.' || name.front() == '-') name.insert(name.begin(), '_');
  name.resize(std::min(name.size(), kLongestName));
  return name;
}

}  // namespace potluck
