// Fuzzes what is taken from a session directory: the input is the file of blocks, whose heads get
// the right checksums where they have the right beginning; then a request begins from what was
// found.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "coordinator/serving/prefix_cache.h"
#include "engine/base/check.h"
#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

constexpr uint64_t kPage = 4096;
constexpr uint64_t kFixedHead = 120;

ModelConfig small_shape() {
  ModelConfig config;
  config.layers = 1;
  config.kv_heads = 1;
  config.head_dim = 1;
  config.value_dim = 1;
  return config;
}

// A fuzzer does not find digests by itself.
void seal(ByteVector& file, uint64_t slot_bytes) {
  for (uint64_t at = 0; at + kPage <= file.size(); at += slot_bytes) {
    auto tokens = load<uint32_t>(file.data() + at + 76) % 300;
    uint64_t length = kFixedHead + tokens * sizeof(TokenId);
    store(file.data() + at + 76, tokens);
    store(file.data() + at + length, sha256(ByteSpan(file).subspan(at, length)));
  }
}

void run(ByteVector input) {
  ModelConfig config = small_shape();
  auto memory = std::make_shared<KvMemory>(config, KvType::kF32, 8);
  uint64_t slot_bytes = kPage + round_up<uint64_t>(memory->block_bytes(), kPage);
  PrefixStoreOptions options;
  options.directory = "sessions";
  options.quota = kMiB;
  options.block_bytes = memory->block_bytes();
  MemoryStorage disk;
  CHECK(disk.make_directories("sessions").ok());
  seal(input, slot_bytes);
  CHECK(disk.write_atomic("sessions/0000000000000000.blocks", input).ok());
  auto store = PrefixStore::open(disk, options, nullptr);
  CHECK(store.ok());
  PrefixCache kept(config, memory, store->get());
  std::vector<TokenId> tokens(1000, 7);
  for (const PrefixStore::Found& found : (*store)->found()) {
    if (found.name.begin + found.name.tokens.size() > tokens.size()) continue;
    std::ranges::copy(found.name.tokens, tokens.begin() + found.name.begin);
  }
  KvCache cache(config, memory, 1024);
  std::vector<KvBlock> blocks;
  while (!kept.begin(tokens, &blocks, &cache)) {
  }
  if (cache.extend(1000)) cache.set_length(1000);
  kept.keep(tokens, cache, nullptr, CheckpointKind::kTurn);
  kept.save(ManualClock(), Duration::max());
  kept.shrink(0);
}

}  // namespace
}  // namespace potluck

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  auto bytes = std::as_bytes(std::span(data, size));
  potluck::run({bytes.begin(), bytes.end()});
  return 0;
}
