// Any bytes as what peers and strangers send. The first byte chooses the decoder.
#include <algorithm>
#include <cstdlib>

#include "engine/base/check.h"
#include "engine/kernels/kernels.h"
#include "protocol/codec.h"
#include "protocol/invitation.h"
#include "protocol/packed_sums.h"

namespace potluck {
namespace {

// What was accepted reads the same after being written again.
void try_header(ByteSpan bytes) {
  Result<Message> message = decode_header(bytes);
  if (!message) return;
  Result<Message> again = decode_header(encode_header(*message));
  CHECK(again.ok() && *again == *message);
}

// The same with a true prefix, so that more inputs get past the first check.
void try_header_body(ByteSpan bytes) {
  ByteWriter header;
  header.write(uint32_t{0});
  header.write(static_cast<uint32_t>(bytes.size() / 8));
  header.write(bytes.first(bytes.size() / 8 * 8));
  try_header(header.bytes());
}

void try_sums(ByteSpan bytes) {
  if (bytes.empty()) return;
  constexpr int64_t kLimit = 64 * kAddendLimit;
  std::vector<int64_t> sums(std::to_integer<size_t>(bytes[0]), 0);
  if (!add_packed_sums(bytes.subspan(1), kLimit, sums)) {
    CHECK(std::all_of(sums.begin(), sums.end(), [](int64_t sum) { return sum == 0; }));
    return;
  }
  CHECK(std::all_of(sums.begin(), sums.end(), [](int64_t sum) { return std::abs(sum) <= kLimit; }));
  ByteVector packed;
  pack_sums(sums, &packed);  // no longer than what came: the widths are the smallest
  CHECK(packed.size() <= bytes.size() - 1);
}

void try_activations(ByteSpan bytes) {
  if (bytes.size() < 4) return;
  auto form = static_cast<ActivationForm>(std::to_integer<uint32_t>(bytes[0]) % 3);
  auto tokens = std::to_integer<uint32_t>(bytes[1]) % 8;
  uint32_t columns = load<uint16_t>(bytes.data() + 2) % 1024U;
  ActivationBuffer buffer;
  if (!unpack_activations(bytes.subspan(4), form, tokens, columns, &buffer)) return;
  std::vector<uint32_t> rows(tokens);
  for (uint32_t row = 0; row < tokens; ++row) rows[row] = row;
  ByteVector again = pack_activations(buffer.view(), rows);
  CHECK(std::equal(again.begin(), again.end(), bytes.begin() + 4, bytes.end()));
}

void try_invitation(ByteSpan bytes) {
  Result<Invitation> invitation = parse_invitation(as_text(bytes));
  if (!invitation) return;
  // Of the addresses of a text there may be several forms.
  Result<Invitation> again = parse_invitation(invitation->token());
  CHECK(again.ok() && again->coordinator == invitation->coordinator);
  CHECK(again->endpoints == invitation->endpoints);
}

}  // namespace
}  // namespace potluck

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace potluck;
  if (size == 0) return 0;
  ByteSpan bytes = std::as_bytes(std::span(data, size)).subspan(1);
  switch (data[0] % 5) {
    case 0:
      try_header(bytes);
      break;
    case 1:
      try_header_body(bytes);
      break;
    case 2:
      try_sums(bytes);
      break;
    case 3:
      try_activations(bytes);
      break;
    default:
      try_invitation(bytes);
  }
  return 0;
}
