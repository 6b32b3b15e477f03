// The self-test of the kernels: for each part of the arithmetic (the products of one format, or one
// function) the digest of its results on fixed inputs. Equal arithmetic gives equal digests, and a
// part's digest does not depend on which other parts there are: devices whose versions know
// different formats can compare those that both need. Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/hash.h"
#include "engine/kernels/kernels.h"

namespace potluck {

// Products with weights of a format have the format's GGUF number; functions count from 65536 on.
// Crosses the wire: a number is never given to something else.
enum class KernelPart : uint32_t {
  kQuantize32 = 0x10000,
  kQuantize256,
  kRmsNorm,
  kSwiGlu,
  kSwiGluOai,
  kExpSum,
  kAccumulate,
  kAttentionF32,
  kAttentionF16,
  kAttentionQ8_0,
  kGeGlu,
  kReGlu,
  kReluSquared,
  kSwiGluClampBefore,
  kSwiGluClampAfter,
};

constexpr KernelPart products_of(TensorType type) {
  return static_cast<KernelPart>(type);
}

// "products of Q4_K", "swiglu"; of a part that this version does not know, its number.
std::string kernel_part_name(KernelPart part);

// All parts that this version has, by number.
std::vector<KernelPart> kernel_parts();

struct KernelDigest {
  KernelPart part{};
  Digest digest;

  bool operator==(const KernelDigest&) const = default;
};

// The digests of all parts, by number.
std::vector<KernelDigest> kernel_self_test(const KernelTable& kernels);

// Nothing if the list has no such part.
std::optional<Digest> find_digest(std::span<const KernelDigest> digests, KernelPart part);

}  // namespace potluck
