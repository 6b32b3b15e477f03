#include "coordinator/models/ollama_manifest.h"

#include <fmt/format.h>

#include "coordinator/models/json_fields.h"
#include "engine/base/hash.h"

namespace potluck {
namespace {

constexpr uint64_t kOllamaManifestBytes = kMiB;
constexpr std::string_view kModelLayer = "application/vnd.ollama.image.model";
constexpr std::string_view kDigestPrefix = "sha256:";

Error broken_manifest(const std::string& path, const std::string& what) {
  return {ErrorCode::kCorrupt, fmt::format("{}: {}", path, what)};
}

}  // namespace

Result<OllamaBlob> read_ollama_manifest(Storage& storage, const std::string& path) {
  auto text = read_file(storage, path, kOllamaManifestBytes);
  if (!text) return broken_manifest(path, text.error().message);
  auto document = parse_json(as_text(*text));
  if (!document) return broken_manifest(path, document.error().message);
  const JsonValue* layers = json_member(*document, "layers");
  if (layers == nullptr || layers->array() == nullptr) {
    return broken_manifest(path, "expected a list of layers");
  }
  std::optional<OllamaBlob> blob;
  for (const JsonValue& layer : *layers->array()) {
    if (json_member_text(layer, "mediaType") != kModelLayer) continue;
    if (blob) return Error{ErrorCode::kUnsupported, path + ": a model of several files"};
    const std::string digest = json_member_text(layer, "digest");
    const auto size = json_member_size(layer, "size");
    if (!digest.starts_with(kDigestPrefix) || !size) {
      return broken_manifest(path, "expected a SHA-256 and a size of the model");
    }
    // It names a file: nothing but a digest may.
    auto parsed = parse_digest(std::string_view(digest).substr(kDigestPrefix.size()));
    if (!parsed) return broken_manifest(path, parsed.error().message);
    blob = OllamaBlob{"sha256-" + parsed->hex(), *size};
  }
  if (!blob) return Error{ErrorCode::kUnsupported, path + ": no GGUF file in it"};
  return *blob;
}

}  // namespace potluck
