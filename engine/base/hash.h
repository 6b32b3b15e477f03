// SHA-256 digests: the name of everything that is stored or delivered. Plain values; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "engine/base/bytes.h"

namespace potluck {

struct Digest {
  std::array<uint8_t, 32> bytes{};

  bool operator==(const Digest&) const = default;
  auto operator<=>(const Digest&) const = default;
  std::string hex() const;    // 64 lower-case digits
  std::string brief() const;  // the first 8 of them, for people
};

Digest sha256(ByteSpan bytes);

// SHA-256 of data that comes in pieces.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;

  void update(ByteSpan bytes);
  Digest finish();  // call once

 private:
  void* context_;  // EVP_MD_CTX
};

// 64 hexadecimal digits, either case.
Result<Digest> parse_digest(std::string_view hex);

}  // namespace potluck

template <>
struct std::hash<potluck::Digest> {
  size_t operator()(const potluck::Digest& digest) const noexcept {
    return potluck::load<size_t>(digest.bytes.data());  // already uniform
  }
};
