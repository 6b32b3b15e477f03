#include "engine/experts/cache_policy.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "engine/base/random.h"

namespace potluck {
namespace {

Digest key(uint64_t number) {
  Digest digest;
  store(digest.bytes.data(), number);
  return digest;
}

// Least recently used by the book: a vector in order of use, searched from end to end.
class BookLru {
 public:
  explicit BookLru(uint64_t budget) : budget_(budget) {}

  bool touch(uint64_t name) {
    auto found = find(name);
    if (found == entries_.end()) return false;
    std::rotate(found, found + 1, entries_.end());  // the end is the most recent
    return true;
  }
  std::vector<uint64_t> insert(uint64_t name, uint64_t bytes) {
    erase(name);
    if (bytes > budget_) return {name};
    std::vector<uint64_t> evicted;
    while (used() + bytes > budget_) {
      evicted.push_back(entries_.front().first);
      entries_.erase(entries_.begin());
    }
    entries_.emplace_back(name, bytes);
    return evicted;
  }
  void erase(uint64_t name) {
    if (auto found = find(name); found != entries_.end()) entries_.erase(found);
  }
  uint64_t used() const {
    uint64_t bytes = 0;
    for (const auto& [name, size] : entries_) bytes += size;
    return bytes;
  }

 private:
  using Entries = std::vector<std::pair<uint64_t, uint64_t>>;
  Entries::iterator find(uint64_t name) {
    return std::find_if(entries_.begin(), entries_.end(),
                        [&](const auto& entry) { return entry.first == name; });
  }
  uint64_t budget_;
  Entries entries_;
};

TEST(CachePolicy, EqualsBruteForceOnRandomTraces) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    SCOPED_TRACE(seed);
    CounterRandom random(seed);
    uint64_t budget = random.bits(0) % 200;
    CachePolicy policy(budget);
    BookLru book(budget);
    uint64_t hits = 0;
    uint64_t misses = 0;
    for (uint64_t step = 1; step < 2000; ++step) {
      uint64_t name = random.bits(step, 0) % 30;
      uint64_t bytes = 1 + random.bits(step, 1) % 40;
      if (random.bits(step, 2) % 10 == 0) {
        policy.erase(key(name));
        book.erase(name);
      } else if (policy.touch(key(name))) {
        ASSERT_TRUE(book.touch(name));
        ++hits;
      } else {
        ASSERT_FALSE(book.touch(name));
        ++misses;
        std::vector<Digest> expected;
        for (uint64_t evicted : book.insert(name, bytes)) expected.push_back(key(evicted));
        ASSERT_EQ(policy.insert(key(name), bytes), expected);
      }
      ASSERT_EQ(policy.used_bytes(), book.used());
      ASSERT_LE(policy.used_bytes(), budget);
    }
    EXPECT_EQ(policy.hits(), hits);
    EXPECT_EQ(policy.misses(), misses);
  }
}

TEST(CachePolicy, CyclicUseBeyondTheBudgetNeverHits) {
  CachePolicy policy(9);
  for (int round = 0; round < 5; ++round) {
    for (uint64_t name = 0; name < 10; ++name) {
      EXPECT_FALSE(policy.touch(key(name)));
      policy.insert(key(name), 1);
    }
  }
  EXPECT_EQ(policy.hits(), 0u);
}

TEST(CachePolicy, InsertingAgainReplacesTheSize) {
  CachePolicy policy(10);
  EXPECT_TRUE(policy.insert(key(1), 4).empty());
  EXPECT_TRUE(policy.insert(key(2), 4).empty());
  EXPECT_TRUE(policy.insert(key(1), 6).empty());
  EXPECT_EQ(policy.used_bytes(), 10u);
  EXPECT_EQ(policy.insert(key(3), 11), std::vector{key(3)});
  EXPECT_EQ(policy.insert(key(3), 1), std::vector{key(2)});
}

}  // namespace
}  // namespace potluck
