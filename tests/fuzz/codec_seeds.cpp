// Writes valid inputs of every kind into the folder it is given: where the codec's fuzz target
// starts. The first byte chooses the decoder, as in codec_fuzz.cpp.
#include <cstdio>

#include <fmt/format.h>

#include "engine/base/storage.h"
#include "protocol/codec.h"
#include "protocol/packed_sums.h"
#include "tests/unit/protocol/sample_messages.h"

namespace potluck {
namespace {

constexpr size_t kLargestSeed = 16 * kKiB;

ByteVector chosen(uint8_t decoder, ByteSpan bytes) {
  ByteWriter seed;
  seed.write(decoder);
  seed.write(bytes);
  return seed.take();
}

std::vector<ByteVector> seeds() {
  std::vector<ByteVector> list;
  for (const Message& message : sample_messages()) {
    ByteVector header = encode_header(message);
    if (header.size() > kLargestSeed) continue;
    list.push_back(chosen(0, header));
    list.push_back(chosen(1, ByteSpan(header).subspan(8)));
  }
  std::vector<int64_t> sums;
  for (int64_t i = 0; i < 70; ++i) sums.push_back((i - 35) << (i / 2));
  ByteVector packed = {std::byte{70}};
  pack_sums(sums, &packed);
  list.push_back(chosen(2, packed));
  ByteVector activations(4 + 2 * (64 + 2 * sizeof(float)), std::byte{1});
  activations[1] = std::byte{2};   // rows
  activations[2] = std::byte{64};  // columns, 16 bits
  activations[3] = std::byte{0};
  list.push_back(chosen(3, activations));
  Invitation invitation;
  invitation.endpoints = {"tcp://kitchen.lan:7100"};
  list.push_back(chosen(4, as_bytes(invitation.token())));
  return list;
}

}  // namespace
}  // namespace potluck

int main(int argc, char** argv) {
  using namespace potluck;
  if (argc != 2) {
    std::fprintf(stderr, "usage: fuzz_codec_seeds FOLDER\n");
    return 2;
  }
  auto storage = make_system_storage();
  std::vector<ByteVector> list = seeds();
  for (size_t i = 0; i < list.size(); ++i) {
    Status written = storage->write_atomic(fmt::format("{}/seed-{}", argv[1], i), list[i]);
    if (written) continue;
    std::fprintf(stderr, "%s\n", written.error().message.c_str());
    return 1;
  }
  return 0;
}
