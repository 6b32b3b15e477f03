#include "worker/manifest_fetch.h"

#include "tests/unit/worker/session_bench.h"
#include "worker/grain_fetcher.h"

namespace potluck::test {
namespace {

class ManifestFetchTest : public SessionBench {
 protected:
  static SigningKey signing_key() {
    SeededEntropy entropy(1);
    return SigningKey::generate(entropy);
  }

  Welcome welcome() const { return {kEpoch, 1, announced, signed_manifest.body.size(), 1000}; }
  std::unique_ptr<Manifest> begin() { return fetch.begin(welcome(), window); }
  std::vector<FetchManifest> asked() { return sent<FetchManifest>(); }
  std::unique_ptr<Manifest> answer(const FetchManifest& question) {
    const ByteVector& body = signed_manifest.body;
    ByteSpan part = ByteSpan(body).subspan(question.offset, question.length);
    BulkData data{announced, true, question.offset, body.size(), signed_manifest.signature};
    return fetch.on_part(data, part, window);
  }
  std::unique_ptr<Manifest> deny() {
    return fetch.on_part({announced, false, 0, 0, {}}, {}, window);
  }

  SignedManifest signed_manifest = sign_manifest(manifest, signing_key());
  Digest announced = manifest.digest();
  size_t saved = 0;
  SaveManifest save = [this](const Digest&, const SignedManifest&) {
    ++saved;
    return Status{};
  };
  ManifestStore stored{disk, "store"};
  PartWindow window;
  ManifestFetch fetch{signing_key().public_key(), &stored, save, link};
};

TEST_F(ManifestFetchTest, ComesPartByPartAndIsSavedOnce) {
  EXPECT_EQ(fetch.next_tick(window), TimePoint::max());
  EXPECT_EQ(begin(), nullptr);
  std::unique_ptr<Manifest> found;
  size_t parts = 0;
  for (auto questions = asked(); !questions.empty(); questions = asked()) {
    for (const FetchManifest& question : questions) {
      EXPECT_TRUE(fetch.wanted());
      found = answer(question);
      ++parts;
    }
    fetch.ask(window);
  }
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->digest(), announced);
  EXPECT_FALSE(fetch.wanted());
  EXPECT_FALSE(fetch.awaits(announced));
  EXPECT_EQ(fetch.next_tick(window), TimePoint::max());
  EXPECT_EQ(saved, 1u);
  EXPECT_GE(parts, 1u);
}

TEST_F(ManifestFetchTest, OneOnDiskIsNotAskedFor) {
  ASSERT_TRUE(stored.save(announced, signed_manifest).ok());
  std::unique_ptr<Manifest> found = begin();
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(found->digest(), announced);
  EXPECT_TRUE(asked().empty());
  EXPECT_FALSE(fetch.wanted());
  EXPECT_EQ(saved, 0u);
}

// As much as has come, in parts of any size, is not asked for again.
TEST_F(ManifestFetchTest, TheSameWelcomeGoesOnWhereItStopped) {
  begin();
  FetchManifest question = asked().at(0);
  question.length = 100;  // the rest is lost with the connection
  EXPECT_EQ(answer(question), nullptr);
  EXPECT_TRUE(asked().empty()) << "the owner says when to ask";
  EXPECT_EQ(begin(), nullptr);
  EXPECT_EQ(asked().at(0).offset, 100u);
}

TEST_F(ManifestFetchTest, AnotherManifestBeginsAnew) {
  begin();
  FetchManifest question = asked().at(0);
  question.length = 100;
  answer(question);
  Digest before = announced;
  announced.bytes[0] ^= 1;
  begin();
  EXPECT_FALSE(fetch.awaits(before));
  ASSERT_TRUE(fetch.awaits(announced));
  FetchManifest again = asked().at(0);
  EXPECT_EQ(again.manifest, announced);
  EXPECT_EQ(again.offset, 0u);
}

TEST_F(ManifestFetchTest, WhatIsDeniedIsAskedForAFewTimesWithPauses) {
  begin();
  asked();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(deny(), nullptr);
    EXPECT_TRUE(fetch.wanted());
    EXPECT_FALSE(fetch.awaits(announced));
    fetch.ask(window);
    fetch.ask_again(window);  // a new connection does not shorten the pause
    EXPECT_TRUE(asked().empty());
    EXPECT_EQ(fetch.next_tick(window), clock.now() + GrainFetcher::kPause);
    clock.set(fetch.next_tick(window));
    fetch.on_tick(window);
    EXPECT_EQ(asked().at(0).offset, 0u);
  }
  EXPECT_FALSE(link.ended());
  deny();
  EXPECT_TRUE(link.ended());
  EXPECT_EQ(sent<Goodbye>().at(0).epoch, kEpoch);
}

TEST_F(ManifestFetchTest, SilenceIsDueAndEndsInTheSameQuestion) {
  begin();
  FetchManifest question = asked().at(0);
  TimePoint due = fetch.next_tick(window);
  EXPECT_EQ(due, window.overdue_at());
  clock.set(due - Duration(1));
  fetch.on_tick(window);
  EXPECT_TRUE(asked().empty());
  clock.set(due);
  fetch.on_tick(window);
  EXPECT_EQ(asked().at(0), question);
}

}  // namespace
}  // namespace potluck::test
