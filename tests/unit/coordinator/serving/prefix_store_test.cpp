// What a store gives back, and what it refuses.
#include "coordinator/serving/prefix_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/serving/prefix_cache.h"
#include "engine/base/memory_storage.h"
#include "engine/base/random.h"
#include "tests/support/faulty_storage.h"
#include "tests/support/recorded_log.h"
#include "tests/unit/coordinator/serving/small_cache.h"

namespace potluck {
namespace {

using Tokens = std::vector<TokenId>;

std::string block_file(Storage& disk) {
  auto entries = disk.list("sessions");
  CHECK(entries.ok());
  for (const std::string& entry : *entries) {
    if (entry.ends_with(".blocks")) return "sessions/" + entry;
  }
  return {};
}

class PrefixStoreTest : public testing::Test {
 protected:
  static constexpr uint64_t kBlock = 1000;
  static constexpr uint64_t kSlot = 8192;  // a page for the head, and one for the bytes

  std::unique_ptr<PrefixStore> open(uint64_t quota = 10 * kSlot, std::string_view model = "a") {
    PrefixStoreOptions options{"sessions", quota, sha256(as_bytes(model)), kBlock, 500};
    auto store = PrefixStore::open(disk_, options, &log_);
    CHECK(store.ok());
    return std::move(*store);
  }
  static ByteVector bytes(int value, uint64_t size = kBlock) {
    return ByteVector(size, static_cast<std::byte>(value));
  }
  static PrefixName name(TokenId token) { return {{}, 0, {token, 2, 3}}; }
  MemoryStorage disk_;
  test::RecordedLog log_;
};

TEST_F(PrefixStoreTest, GivesBackWhatWasWritten) {
  auto store = open();
  auto slot = store->write(PrefixPart::kBlock, name(1), bytes(7));
  auto other = store->write(PrefixPart::kCheckpoint, name(1), bytes(8, 500));
  ASSERT_TRUE(slot && other);
  EXPECT_EQ(store->bytes(), 2 * kSlot);
  store.reset();
  store = open();
  ASSERT_EQ(store->found().size(), 2u);
  EXPECT_EQ(store->found()[0].name.tokens, name(1).tokens);
  ByteVector back(kBlock);
  EXPECT_TRUE(store->read(PrefixPart::kBlock, *slot, name(1), back));
  EXPECT_EQ(back, bytes(7));
  back.resize(500);
  EXPECT_TRUE(store->read(PrefixPart::kCheckpoint, *other, name(1), back));
  store->remove(PrefixPart::kBlock, *slot);
  store.reset();
  EXPECT_EQ(open()->found().size(), 1u);
  EXPECT_TRUE(log_.events.empty());
}

TEST_F(PrefixStoreTest, RefusesWhatIsDamagedAndKeepsTheRest) {
  auto store = open();
  std::vector<uint32_t> slots;
  for (TokenId i = 0; i < 4; ++i) {
    slots.push_back(*store->write(PrefixPart::kBlock, name(i), bytes(i)));
  }
  std::string path = block_file(disk_);
  disk_.flip_bit(path, slots[1] * kSlot + 20);          // of a head
  disk_.flip_bit(path, slots[2] * kSlot + 4096 + 999);  // of the bytes
  store.reset();
  store = open();
  EXPECT_EQ(store->found().size(), 3u);
  EXPECT_EQ(log_.events.size(), 1u) << "one line for all heads";
  ByteVector back(kBlock);
  EXPECT_FALSE(store->read(PrefixPart::kBlock, slots[2], name(2), back));
  EXPECT_EQ(log_.events.size(), 2u);
  EXPECT_TRUE(store->read(PrefixPart::kBlock, slots[3], name(3), back));
  EXPECT_FALSE(store->read(PrefixPart::kBlock, slots[3], name(0), back)) << "of other tokens";
}

TEST_F(PrefixStoreTest, AnotherModelHasFilesOfItsOwn) {
  auto store = open();
  ASSERT_TRUE(store->write(PrefixPart::kBlock, name(1), bytes(7)));
  store.reset();
  EXPECT_TRUE(open(10 * kSlot, "b")->found().empty());
  EXPECT_EQ(open()->found().size(), 1u);
  EXPECT_TRUE(log_.events.empty());
}

// A file under the right name, with something else in it.
TEST_F(PrefixStoreTest, RefusesForeignContent) {
  auto store = open();
  std::string path = block_file(disk_);
  store.reset();
  ASSERT_TRUE(disk_.write_atomic(path, ByteVector(3 * kSlot, std::byte{1})).ok());
  store = open();
  EXPECT_TRUE(store->found().empty());
  EXPECT_EQ(log_.events.size(), 1u);
  EXPECT_TRUE(store->write(PrefixPart::kBlock, name(1), bytes(7)));
}

TEST_F(PrefixStoreTest, KeepsToItsQuota) {
  auto store = open(2 * kSlot);
  ASSERT_TRUE(store->write(PrefixPart::kBlock, name(1), bytes(7)));
  EXPECT_TRUE(store->has_room(PrefixPart::kBlock));
  auto second = store->write(PrefixPart::kBlock, name(2), bytes(7));
  EXPECT_FALSE(store->has_room(PrefixPart::kBlock));
  store->remove(PrefixPart::kBlock, *second);
  EXPECT_TRUE(store->has_room(PrefixPart::kBlock));
  store.reset();
  EXPECT_EQ(open(kSlot / 2)->found().size(), 0u);
}

TEST_F(PrefixStoreTest, AFullDiskIsOneLine) {
  auto store = open();
  disk_.set_capacity(kSlot + 100);
  size_t written = 0;
  for (TokenId i = 0; i < 20; ++i) {
    written += store->write(PrefixPart::kBlock, name(i), bytes(i)).has_value() ? 1 : 0;
  }
  EXPECT_LE(written, 1u);
  EXPECT_EQ(log_.events.size(), 1u);
}

TEST_F(PrefixStoreTest, OneProcessUsesADirectory) {
  auto store = open();
  PrefixStoreOptions options{"sessions", kSlot, sha256(as_bytes("a")), kBlock, 500};
  EXPECT_FALSE(PrefixStore::open(disk_, options, &log_).ok());
}

// A tree over a store: what memory does not hold comes back from disk.
class StoredPrefixTest : public testing::TestWithParam<bool> {
 protected:
  static ModelConfig shape() {
    return GetParam() ? test::small_recurrent_shape() : test::small_cache_shape();
  }

  void open(uint64_t quota = kGiB) {
    kept_.reset();
    store_.reset();
    memory_ = std::make_shared<KvMemory>(config_, KvType::kF32, 12);
    PrefixStoreOptions options;
    options.directory = "sessions";
    options.quota = quota;
    options.block_bytes = memory_->block_bytes();
    options.checkpoint_bytes = RecurrentState::snapshot_bytes(KvMemory::recurrent_layers(config_),
                                                              config_.recurrent_shape());
    store_ = std::move(*PrefixStore::open(storage_, options, &log_));
    kept_ = std::make_unique<PrefixCache>(config_, memory_, store_.get());
  }
  void save() { kept_->save(clock_, Duration::max()); }
  static Tokens tokens(TokenId first, uint32_t length) {
    Tokens made;
    for (uint32_t i = 0; i < length; ++i) made.push_back(first * 10000 + static_cast<TokenId>(i));
    return made;
  }
  std::unique_ptr<KvCache> begin(std::span<const TokenId> tokens) {
    auto cache = std::make_unique<KvCache>(config_, memory_, 4096);
    std::vector<KvBlock> blocks;
    reads_ = 0;
    while (!kept_->begin(tokens, &blocks, cache.get())) ++reads_;
    return cache;
  }
  // Returns what it began with.
  uint32_t answer(const Tokens& tokens) {
    auto cache = begin(tokens);
    uint32_t begun = cache->length();
    auto length = static_cast<uint32_t>(tokens.size());
    EXPECT_TRUE(kept_->make_room(kv_blocks(length) + 1 - kv_blocks(begun)));
    if (begun == length) return begun;
    EXPECT_TRUE(cache->extend(length));
    float key[8];
    for (uint32_t p = begun; p < length; ++p) {
      std::fill_n(key, 8, static_cast<float>(tokens[p]));
      cache->put(attention_layer(), 0, p, key, key);
    }
    test::fill(*cache, config_, length);
    kept_->keep(tokens, *cache, cache->checkpoint(), CheckpointKind::kTurn);
    return begun;
  }
  void expect_content(const KvCache& cache, const Tokens& tokens) {
    for (uint32_t p = 0; p < cache.length(); ++p) {
      AttentionChunk chunk = cache.chunk(attention_layer(), 0, p / kAttentionChunk);
      ASSERT_EQ(key_at(KvType::kF32, 8, chunk.keys, p % kAttentionChunk, 3),
                static_cast<float>(tokens[p]));
    }
  }
  uint32_t attention_layer() const { return GetParam() ? 1 : 0; }

  ModelConfig config_ = shape();
  MemoryStorage disk_;
  test::FaultyStorage storage_{disk_};
  ManualClock clock_;
  test::RecordedLog log_;
  std::shared_ptr<KvMemory> memory_;
  std::unique_ptr<PrefixStore> store_;
  std::unique_ptr<PrefixCache> kept_;
  uint32_t reads_ = 0;
};

TEST_P(StoredPrefixTest, WhatMemoryDoesNotHoldComesBack) {
  open();
  for (TokenId first : {1, 2, 3, 4}) answer(tokens(first, 1100));
  kept_->shrink(0);
  EXPECT_EQ(memory_->taken(), 0u);
  auto cache = begin(tokens(1, 1100));
  EXPECT_EQ(cache->length(), 1100u);
  EXPECT_EQ(reads_, 5u) << "one block at a time";
  expect_content(*cache, tokens(1, 1100));
  // While a session has them, and afterwards, they are in memory.
  EXPECT_EQ(begin(tokens(1, 1100))->length(), 1100u);
  EXPECT_EQ(reads_, 0u);
  EXPECT_TRUE(log_.events.empty());
}

TEST_P(StoredPrefixTest, ARestartFindsItAgain) {
  open();
  Tokens conversation = tokens(1, 700);
  answer(conversation);
  Tokens more = tokens(5, 200);
  conversation.insert(conversation.end(), more.begin(), more.end());
  answer(conversation);
  save();
  open();
  auto cache = begin(conversation);
  EXPECT_EQ(cache->length(), 900u);
  expect_content(*cache, conversation);
  EXPECT_EQ(begin(tokens(1, 700))->length(), 700u);
}

TEST_P(StoredPrefixTest, WhatIsDamagedIsComputedAgain) {
  open();
  answer(tokens(1, 700));
  answer(tokens(2, 300));
  save();
  std::string path = block_file(disk_);
  open();
  for (const PrefixStore::Found& found : store_->found()) {
    bool is_middle = found.part == PrefixPart::kBlock && found.name.begin == 256 &&
                     found.name.tokens[0] / 10000 == 1;
    uint64_t slot_bytes = 4096 + round_up<uint64_t>(memory_->block_bytes(), 4096);
    if (is_middle) disk_.flip_bit(path, found.slot * slot_bytes + 5000);
  }
  EXPECT_EQ(begin(tokens(1, 700))->length(), GetParam() ? 0u : 256u);
  EXPECT_EQ(log_.events.size(), 1u);
  EXPECT_EQ(begin(tokens(2, 300))->length(), 300u);
  EXPECT_EQ(answer(tokens(1, 700)), GetParam() ? 0u : 256u);
  EXPECT_EQ(begin(tokens(1, 700))->length(), 700u);
}

// Each write takes two seconds, and a block takes two writes: five of eight are written in 17.
TEST_P(StoredPrefixTest, SavingTakesABoundedTime) {
  if (GetParam()) GTEST_SKIP() << "checkpoints would be counted too";
  open();
  for (TokenId first : {1, 2, 3, 4}) answer(tokens(first, 512));
  answer(tokens(2, 512));
  storage_.slow_writes([this] { clock_.advance(std::chrono::seconds(2)); });
  SavedPrefixes saved = kept_->save(clock_, std::chrono::seconds(17));
  EXPECT_EQ(clock_.now(), std::chrono::seconds(20)) << "the part that was begun is written";
  EXPECT_EQ(saved.written_bytes, 5 * memory_->block_bytes());
  EXPECT_EQ(saved.left_bytes, 3 * memory_->block_bytes());
  open();
  EXPECT_EQ(begin(tokens(2, 512))->length(), 512u) << "it was used last";
  EXPECT_EQ(begin(tokens(4, 512))->length(), 512u);
  EXPECT_EQ(begin(tokens(3, 512))->length(), 256u) << "nothing is written behind what is not";
  EXPECT_EQ(begin(tokens(1, 512))->length(), 0u);
  EXPECT_TRUE(log_.events.empty()) << "nothing is torn";
}

TEST_P(StoredPrefixTest, WithoutTimeNothingIsSaved) {
  open();
  answer(tokens(1, 512));
  SavedPrefixes saved = kept_->save(clock_, Duration::zero());
  EXPECT_EQ(saved.written_bytes, 0u);
  EXPECT_GE(saved.left_bytes, 2 * memory_->block_bytes());
  EXPECT_EQ(store_->bytes(), 0u);
}

TEST_P(StoredPrefixTest, TheQuotaDropsWhatWasUsedLongestAgo) {
  uint64_t slot = 4096 + 16384;
  open(8 * slot);
  for (TokenId first : {1, 2, 3, 4, 5, 6, 7, 8, 9}) answer(tokens(first, 500));
  kept_->shrink(0);
  EXPECT_LE(store_->bytes(), 8 * slot);
  EXPECT_EQ(begin(tokens(9, 500))->length(), 500u);
  EXPECT_EQ(kept_->find(tokens(1, 500)).length, 0u);
}

TEST_P(StoredPrefixTest, AFullDiskLosesOnlyWhatIsNotWritten) {
  open();
  answer(tokens(1, 300));
  kept_->shrink(0);
  disk_.set_capacity(0);
  for (TokenId first : {2, 3, 4, 5}) EXPECT_EQ(answer(tokens(first, 900)), 0u);
  kept_->shrink(0);
  EXPECT_EQ(log_.events.size(), 1u);
  EXPECT_EQ(begin(tokens(1, 300))->length(), 300u);
}

// Heads whose checksums are right, but that name anything: what cannot be is left out, and nothing
// else is lost.
TEST_P(StoredPrefixTest, AnyNamesAreSurvived) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    CounterRandom random(seed);
    uint64_t draws = 0;
    auto draw = [&](uint64_t below) { return static_cast<uint32_t>(random.bits(++draws) % below); };
    open();
    answer(tokens(1, 700));
    save();
    std::vector<PrefixName> names = {{{}, 0, tokens(1, 256)}};
    for (int i = 0; i < 60; ++i) {
      PrefixName name = names[draw(names.size())];
      if (draw(2) == 0) name = {name.digest(), name.begin + 256, tokens(draw(3), 256)};
      if (draw(4) == 0) name.begin = 256 * draw(5);
      if (draw(3) == 0) name.tokens.resize(1 + draw(256), 5);
      PrefixPart part = draw(3) == 0 ? PrefixPart::kCheckpoint : PrefixPart::kBlock;
      ByteVector bytes(part == PrefixPart::kBlock ? memory_->block_bytes() : 128);
      store_->write(part, name, bytes);
      names.push_back(name);
    }
    open();
    EXPECT_EQ(begin(tokens(1, 700))->length(), 700u);
    for (int i = 0; i < 40; ++i) {
      Tokens asked = tokens(draw(3), 256 * draw(4) + draw(256));
      Tokens more = tokens(draw(3), 1 + draw(300));
      asked.insert(asked.end(), more.begin(), more.end());
      answer(asked);
      EXPECT_EQ(begin(asked)->length(), asked.size());
    }
    kept_->shrink(0);
    EXPECT_EQ(memory_->taken(), 0u);
    EXPECT_EQ(kept_->blocks(), 0u);
    EXPECT_EQ(kept_->checkpoints(), 0u);
    kept_.reset();
    store_.reset();
    EXPECT_TRUE(disk_.remove(block_file(disk_)).ok());
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, StoredPrefixTest, testing::Bool());

}  // namespace
}  // namespace potluck
