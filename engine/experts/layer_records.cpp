// One file per layer and not one for all: an interrupted run keeps the layers that are done, and
// each file is replaced as a whole.
#include "engine/experts/layer_records.h"

#include <fmt/format.h>

namespace potluck {
namespace {

constexpr size_t kDigestBytes = sizeof(Digest::bytes);

ByteVector encode(std::span<const Digest> digests) {
  ByteVector bytes(digests.size() * kDigestBytes);
  for (size_t i = 0; i < digests.size(); ++i) {
    std::memcpy(bytes.data() + i * kDigestBytes, digests[i].bytes.data(), kDigestBytes);
  }
  return bytes;
}

}  // namespace

LayerRecords::LayerRecords(Storage& storage, const std::string& directory,
                           const Digest& fingerprint)
    : storage_(storage), directory_(directory + "/" + fingerprint.hex()) {}

std::string LayerRecords::path_of(uint32_t layer) const {
  return fmt::format("{}/layer-{}", directory_, layer);
}

std::optional<std::vector<Digest>> LayerRecords::load(uint32_t layer, size_t grains) const {
  uint64_t expected = (grains + 1) * kDigestBytes;
  Result<ByteVector> bytes = read_file(storage_, path_of(layer), expected);
  if (!bytes || bytes->size() != expected) return std::nullopt;
  std::vector<Digest> digests(grains + 1);
  for (size_t i = 0; i <= grains; ++i) {
    std::memcpy(digests[i].bytes.data(), bytes->data() + i * kDigestBytes, kDigestBytes);
  }
  Digest own = sha256(ByteSpan(*bytes).first(grains * kDigestBytes));
  // A digest that was altered here would name every grain of the model wrongly, and no check behind
  // it could tell.
  if (own != digests.back()) return std::nullopt;
  digests.pop_back();
  return digests;
}

Status LayerRecords::save(uint32_t layer, std::span<const Digest> digests) {
  if (Status made = storage_.make_directories(directory_); !made) return made;
  ByteVector bytes = encode(digests);
  Digest own = sha256(bytes);
  const auto* end = reinterpret_cast<const std::byte*>(own.bytes.data());
  bytes.insert(bytes.end(), end, end + kDigestBytes);
  return storage_.write_atomic(path_of(layer), bytes);
}

}  // namespace potluck
