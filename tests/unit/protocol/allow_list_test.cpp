#include "protocol/allow_list.h"

#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"
#include "tests/support/numbered_key.h"

namespace potluck {
namespace {

using test::numbered_key;

class AllowListTest : public testing::Test {
 protected:
  MemoryStorage storage_;

  AllowList loaded() {
    auto list = AllowList::load(storage_, "allowed");
    EXPECT_TRUE(list.ok());
    return *list;
  }
  void write(const std::string& text) {
    ASSERT_TRUE(storage_.write_atomic("allowed", as_bytes(text)).ok());
  }
  void expect_refused(const std::string& text, const std::string& line) {
    write(text);
    auto list = AllowList::load(storage_, "allowed");
    ASSERT_FALSE(list.ok()) << text;
    EXPECT_NE(list.error().message.find("allowed: " + line), std::string::npos)
        << list.error().message;
  }
};

TEST_F(AllowListTest, AnEmptyListAdmitsNobody) {
  EXPECT_FALSE(AllowList().contains(PeerKey{}));
  AllowList list = loaded();  // there is no file
  EXPECT_EQ(list.size(), 0u);
  EXPECT_FALSE(list.contains(numbered_key(1)));
}

TEST_F(AllowListTest, ChangesAreKept) {
  AllowList list = loaded();
  ASSERT_TRUE(list.add(numbered_key(1), "kitchen laptop").ok());
  ASSERT_TRUE(list.add(numbered_key(2), "").ok());
  ASSERT_TRUE(list.add(numbered_key(3), "old phone").ok());
  ASSERT_TRUE(list.add(numbered_key(3), "new name").ok());
  ASSERT_TRUE(list.remove(numbered_key(1)).ok());
  AllowList again = loaded();
  EXPECT_EQ(again.entries(), list.entries());
  EXPECT_FALSE(again.contains(numbered_key(1)));
  EXPECT_EQ(again.entries().at(numbered_key(2)), "");
  EXPECT_EQ(again.entries().at(numbered_key(3)), "new name");
}

TEST_F(AllowListTest, WorksInMemoryAlone) {
  AllowList list;
  ASSERT_TRUE(list.add(numbered_key(1), "x").ok());
  EXPECT_TRUE(list.contains(numbered_key(1)));
  EXPECT_FALSE(list.contains(numbered_key(2)));
}

TEST_F(AllowListTest, RemovingAnUnknownKeySaysSo) {
  AllowList list = loaded();
  Status status = list.remove(numbered_key(1));
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, ErrorCode::kNotFound);
}

TEST_F(AllowListTest, NamesCannotForgeLines) {
  AllowList list = loaded();
  ASSERT_TRUE(list.add(numbered_key(1), "a\n" + numbered_key(2).text() + " b").ok());
  AllowList again = loaded();
  EXPECT_EQ(again.size(), 1u);
  EXPECT_FALSE(again.contains(numbered_key(2)));
  ASSERT_TRUE(list.add(numbered_key(3), std::string(100'000, 'n')).ok());
  EXPECT_EQ(loaded().entries(), list.entries());
}

TEST_F(AllowListTest, WhoCannotBeWrittenDownIsNotAdmitted) {
  AllowList list = loaded();
  ASSERT_TRUE(list.add(numbered_key(1), "").ok());
  storage_.set_capacity(10);
  EXPECT_FALSE(list.add(numbered_key(2), "").ok());
  EXPECT_FALSE(list.contains(numbered_key(2)));
  EXPECT_FALSE(list.remove(numbered_key(1)).ok());
  EXPECT_FALSE(list.contains(numbered_key(1))) << "out at once, file or no file";
}

TEST_F(AllowListTest, FilesByHandAreRead) {
  write("# my devices\n\n" + numbered_key(1).text() + "\n" + numbered_key(2).text() +
        " desk\r\n#\n#x");
  AllowList list = loaded();
  EXPECT_EQ(list.size(), 2u);
  EXPECT_EQ(list.entries().at(numbered_key(1)), "");
  EXPECT_EQ(list.entries().at(numbered_key(2)), "desk");
}

TEST_F(AllowListTest, MalformedFilesAreRefusedByLine) {
  std::string good = numbered_key(1).text();
  expect_refused("nonsense\n", "line 1");
  expect_refused(good + "\n" + numbered_key(2).text().substr(1) + "\n", "line 2");
  expect_refused(good + "x\n", "line 1");
  expect_refused(good + "\tname\n", "line 1");
  expect_refused(good + " na\x01me\n", "line 1");
  expect_refused(good + "\n\n" + good + "\n", "line 3");
  expect_refused(" " + good + "\n", "line 1");
  expect_refused(good + " " + std::string(200, 'n'), "line 1");
}

TEST_F(AllowListTest, EndlessFilesAreRefused) {
  write(std::string(2'000'000, '\n'));
  EXPECT_FALSE(AllowList::load(storage_, "allowed").ok());
}

}  // namespace
}  // namespace potluck
