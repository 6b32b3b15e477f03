#include "worker/manifest_store.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/base/limits.h"

namespace potluck {

Result<SignedManifest> ManifestStore::load(const Digest& digest) const {
  std::string path = path_of(digest);
  if (!storage_.exists(path)) return Error{ErrorCode::kNotFound, path + ": not there"};
  SignedManifest manifest;
  uint64_t most = limits::kManifestBytes + manifest.signature.size();
  Result<ByteVector> bytes = read_file(storage_, path, most);
  if (!bytes) return bytes.error();
  ByteReader reader(*bytes);
  Result<ByteSpan> signature = reader.take(manifest.signature.size());
  if (!signature) return signature.error().in(path);
  std::memcpy(manifest.signature.data(), signature->data(), signature->size());
  bytes->erase(bytes->begin(), bytes->begin() + static_cast<ptrdiff_t>(signature->size()));
  manifest.body = std::move(*bytes);
  // Disks rot, and the file's name is no proof. The signature is checked by the reader, who knows
  // whose it must be.
  if (Digest found = sha256(manifest.body); found != digest) {
    return Error{ErrorCode::kCorrupt, path + ": its SHA-256 is " + found.hex()};
  }
  return manifest;
}

Status ManifestStore::save(const Digest& digest, const SignedManifest& manifest) {
  ByteWriter writer;
  writer.write(ByteSpan(std::as_bytes(std::span(manifest.signature))));
  writer.write(ByteSpan(manifest.body));
  if (Status made = storage_.make_directories(directory_); !made) return made;
  return storage_.write_atomic(path_of(digest), writer.bytes());
}

uint64_t ManifestStore::bytes() const {
  auto names = storage_.list(directory_);
  if (!names) return 0;
  uint64_t bytes = 0;
  for (const std::string& name : *names) {
    auto file = storage_.open(directory_ + "/" + name, ReadMode::kBuffered);
    if (file) bytes += (*file)->size();
  }
  return bytes;
}

std::vector<Digest> ManifestStore::names() const {
  auto files = storage_.list(directory_);
  if (!files) return {};
  std::vector<std::pair<int64_t, Digest>> found;
  for (const std::string& name : *files) {
    Result<Digest> digest = parse_digest(name);
    if (!digest || digest->hex() != name) continue;  // a leftover, or nothing of ours
    auto file = storage_.open(directory_ + "/" + name, ReadMode::kBuffered);
    found.emplace_back(file ? -(*file)->modified_ns() : 0, *digest);
  }
  std::sort(found.begin(), found.end());
  std::vector<Digest> names;
  names.reserve(found.size());
  for (const auto& [age, digest] : found) names.push_back(digest);
  return names;
}

void ManifestStore::remove_unused(const std::set<Digest>& used, size_t spare) {
  for (const Digest& digest : names()) {
    if (used.contains(digest)) continue;
    if (spare > 0) {
      --spare;
    } else {
      (void)storage_.remove(path_of(digest));  // tried again the next time
    }
  }
}

}  // namespace potluck
