#include "protocol/pairing_code.h"

#include <fmt/format.h>

namespace potluck {
namespace {

constexpr size_t kDigits = 8;
constexpr size_t kHalf = kDigits / 2;

// Each kind of digest begins with its own words, so that none passes for the other. All other parts
// have a fixed length.
Digest digest_of(std::string_view purpose, const PairKeys& keys, const PairNonce& worker_nonce,
                 const PairNonce* coordinator_nonce) {
  Sha256Stream stream;
  stream.update(as_bytes(purpose));
  stream.update(std::as_bytes(std::span(keys.worker.bytes)));
  stream.update(std::as_bytes(std::span(keys.coordinator.bytes)));
  stream.update(std::as_bytes(std::span(worker_nonce)));
  if (coordinator_nonce != nullptr) stream.update(std::as_bytes(std::span(*coordinator_nonce)));
  return stream.finish();
}

}  // namespace

Digest pairing_commitment(const PairKeys& keys, const PairNonce& worker_nonce) {
  return digest_of("potluck pairing commitment 1", keys, worker_nonce, nullptr);
}

std::string pairing_code(const PairKeys& keys, const PairNonce& worker_nonce,
                         const PairNonce& coordinator_nonce) {
  Digest digest = digest_of("potluck pairing code 1", keys, worker_nonce, &coordinator_nonce);
  // Of 64 bits the remainder is as good as uniform: off by less than one in 10^11.
  uint64_t code = load<uint64_t>(digest.bytes.data()) % kPairingCodes;
  std::string digits = fmt::format("{:0{}}", code, kDigits);
  return digits.substr(0, kHalf) + "-" + digits.substr(kHalf);
}

std::optional<std::string> read_pairing_code(std::string_view typed) {
  constexpr size_t kTypedCharacters = 32;
  constexpr std::string_view kBetween = " -\t";
  if (typed.size() > kTypedCharacters) return std::nullopt;
  std::string digits;
  for (char c : typed) {
    if (c >= '0' && c <= '9') {
      digits += c;
    } else if (kBetween.find(c) == std::string_view::npos) {
      return std::nullopt;
    }
  }
  if (digits.size() != kDigits) return std::nullopt;
  return digits.substr(0, kHalf) + "-" + digits.substr(kHalf);
}

}  // namespace potluck
