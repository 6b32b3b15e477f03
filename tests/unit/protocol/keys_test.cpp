#include "protocol/keys.h"

#include <filesystem>

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

class KeysTest : public testing::Test {
 protected:
  MemoryStorage storage_;
  SeededEntropy entropy_{5};

  void write_key_file(const std::string& text) {
    ASSERT_TRUE(storage_.make_directories("d").ok());
    ASSERT_TRUE(storage_.write_atomic("d/device.key", as_bytes(text)).ok());
  }
  void expect_refused(const std::string& text) {
    write_key_file(text);
    auto keys = load_or_create_keys(storage_, "d", entropy_);
    ASSERT_FALSE(keys.ok()) << text;
    EXPECT_NE(keys.error().message.find("d/device.key"), std::string::npos);
  }
};

// The key pair of RFC 7748, section 6.1 (Alice), as an oracle that is not libzmq.
constexpr std::array<uint8_t, 32> kAliceSecret = {
    0x77, 0x07, 0x6d, 0x0a, 0x73, 0x18, 0xa5, 0x7d, 0x3c, 0x16, 0xc1, 0x72, 0x51, 0xb2, 0x66, 0x45,
    0xdf, 0x4c, 0x2f, 0x87, 0xeb, 0xc0, 0x99, 0x2a, 0xb1, 0x77, 0xfb, 0xa5, 0x1d, 0xb9, 0x2c, 0x2a};
constexpr std::array<uint8_t, 32> kAlicePublic = {
    0x85, 0x20, 0xf0, 0x09, 0x89, 0x30, 0xa7, 0x54, 0x74, 0x8b, 0x7d, 0xdc, 0xb4, 0x3e, 0xf7, 0x5a,
    0x0d, 0xbf, 0x3a, 0x0d, 0x26, 0x38, 0x1a, 0xf4, 0xeb, 0xa4, 0xa9, 0x8e, 0xaa, 0x9b, 0x4e, 0x6a};

TEST_F(KeysTest, PublicKeyFollowsFromTheSecret) {
  EXPECT_EQ(curve_public_key(kAliceSecret).bytes, kAlicePublic);
  CurveKeyPair pair = generate_curve_keys();
  EXPECT_EQ(curve_public_key(pair.secret), pair.public_key);
  EXPECT_NE(generate_curve_keys().secret, pair.secret);
}

TEST_F(KeysTest, TextIsZ85) {
  // The vector of the ZeroMQ specification 32 ("HelloWorld" for these 8 bytes), four times.
  constexpr uint8_t kHello[8] = {0x86, 0x4f, 0xd2, 0x6f, 0xb5, 0x59, 0xf7, 0x5b};
  PeerKey key;
  for (size_t i = 0; i < key.bytes.size(); ++i) key.bytes[i] = kHello[i % 8];
  EXPECT_EQ(key.text(), "HelloWorldHelloWorldHelloWorldHelloWorld");
  EXPECT_EQ(key.brief(), "HelloWor");
  auto parsed = parse_peer_key(key.text());
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(*parsed, key);
}

TEST_F(KeysTest, TextThatIsNoKeyIsRefused) {
  std::string text = PeerKey{kAlicePublic}.text();
  for (const std::string& bad :
       {std::string(), text.substr(1), text + "0", text.substr(0, 39) + " ",
        text.substr(0, 39) + "\"", text.substr(0, 39) + '\0', text.substr(0, 39) + "\xff",
        std::string(40, '#')}) {
    EXPECT_FALSE(parse_peer_key(bad).ok()) << bad;
  }
}

TEST_F(KeysTest, KeysAreCreatedOnceAndReadBack) {
  auto created = load_or_create_keys(storage_, "some/dir", entropy_);
  ASSERT_TRUE(created.ok()) << created.error().message;
  auto loaded = load_or_create_keys(storage_, "some/dir", entropy_);
  ASSERT_TRUE(loaded.ok()) << loaded.error().message;
  EXPECT_EQ(loaded->curve.secret, created->curve.secret);
  EXPECT_EQ(loaded->curve.public_key, created->curve.public_key);
  EXPECT_EQ(loaded->signing.secret(), created->signing.secret());
  EXPECT_EQ(loaded->signing.public_key(), created->signing.public_key());
}

TEST_F(KeysTest, MalformedFilesAreRefusedByName) {
  ASSERT_TRUE(load_or_create_keys(storage_, "d", entropy_).ok());
  auto content = read_file(storage_, "d/device.key", 4096);
  ASSERT_TRUE(content.ok());
  std::string good(as_text(*content));
  for (size_t size = 0; size < good.size(); ++size) expect_refused(good.substr(0, size));
  expect_refused(good + "more\n");
  expect_refused("x" + good);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string altered = good;
    altered[i] = '\x01';
    expect_refused(altered);
  }
  expect_refused(std::string(100'000, 'x'));
  write_key_file(good);
  EXPECT_TRUE(load_or_create_keys(storage_, "d", entropy_).ok());
}

TEST_F(KeysTest, ErrorsDoNotRepeatTheSecret) {
  ASSERT_TRUE(load_or_create_keys(storage_, "d", entropy_).ok());
  auto content = read_file(storage_, "d/device.key", 4096);
  ASSERT_TRUE(content.ok());
  std::string good(as_text(*content));
  write_key_file(good + "x");
  auto keys = load_or_create_keys(storage_, "d", entropy_);
  ASSERT_FALSE(keys.ok());
  EXPECT_EQ(keys.error().message.find(good.substr(30, 20)), std::string::npos);
}

TEST_F(KeysTest, AFullDiskIsAnErrorAndLeavesNoKey) {
  storage_.set_capacity(10);
  EXPECT_FALSE(load_or_create_keys(storage_, "d", entropy_).ok());
  EXPECT_FALSE(storage_.exists("d/device.key"));
}

TEST(KeysOnDisk, TheFileIsPrivateOrRefused) {
  std::string directory = testing::TempDir() + "potluck-keys-test";
  std::filesystem::remove_all(directory);
  auto storage = make_system_storage();
  SeededEntropy entropy(6);
  ASSERT_TRUE(load_or_create_keys(*storage, directory, entropy).ok());
  std::string path = directory + "/device.key";
  struct stat info {};
  ASSERT_EQ(::stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777U, 0600U);
  EXPECT_TRUE(load_or_create_keys(*storage, directory, entropy).ok());
  for (unsigned mode : {0640U, 0604U, 0620U, 0601U}) {
    ASSERT_EQ(::chmod(path.c_str(), mode), 0);
    auto keys = load_or_create_keys(*storage, directory, entropy);
    ASSERT_FALSE(keys.ok());
    EXPECT_EQ(keys.error().code, ErrorCode::kRefused);
    EXPECT_NE(keys.error().message.find(path), std::string::npos);
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace potluck
