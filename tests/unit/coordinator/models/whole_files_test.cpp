// On a real file system: what these functions do is done by it.
#include "coordinator/models/whole_files.h"

#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/storage.h"
#include "tests/support/temporary_directory.h"

namespace potluck {
namespace {

class WholeFiles : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return directory_.path() + "/" + name; }
  void write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(storage_->write_atomic(path(name), as_bytes(text)));
  }

  std::unique_ptr<Storage> storage_ = make_system_storage();
  test::TemporaryDirectory directory_;
};

TEST_F(WholeFiles, MoveWithoutReplacing) {
  write("a", "one");
  write("b", "two");
  EXPECT_FALSE(move_file(path("a"), path("b")));
  EXPECT_EQ(as_text(*read_file(*storage_, path("b"), 10)), "two");
  ASSERT_TRUE(move_file(path("a"), path("c")));
  EXPECT_FALSE(storage_->exists(path("a")));
  EXPECT_EQ(as_text(*read_file(*storage_, path("c"), 10)), "one");
  EXPECT_EQ(move_file(path("a"), path("d")).error().code, ErrorCode::kNotFound);
}

TEST_F(WholeFiles, RemoveTreesButNotWhatLinksLeadTo) {
  ASSERT_TRUE(storage_->make_directories(path("tree/deep")));
  ASSERT_TRUE(storage_->make_directories(path("other")));
  write("tree/deep/file", std::string(10'000, 'x'));
  write("other/file", "kept");
  std::filesystem::create_directory_symlink(path("other"), path("tree/link"));
  EXPECT_EQ(files_in_tree(path("tree")).size(), 1u);
  EXPECT_GE(tree_bytes(path("tree")), 10'000u);
  EXPECT_FALSE(remove_directory(path("tree")));
  ASSERT_TRUE(remove_tree(path("tree")));
  EXPECT_FALSE(storage_->exists(path("tree")));
  EXPECT_TRUE(storage_->exists(path("other/file")));
}

TEST_F(WholeFiles, LinksAreFollowedWhereTheyLead) {
  write("file", "x");
  std::filesystem::create_symlink("file", path("link"));
  EXPECT_TRUE(is_link(path("link")));
  EXPECT_FALSE(is_link(path("file")));
  EXPECT_EQ(link_target(path("link")), link_target(path("file")));
  EXPECT_EQ(link_target(path("none")), path("none"));
}

TEST_F(WholeFiles, ThisProcessIsNotAnotherOne) {
  write("file", "x");
  auto open = storage_->open(path("file"), ReadMode::kBuffered);
  ASSERT_TRUE(open);
  EXPECT_TRUE(processes_with({path("file"), path("none")}).empty());
  EXPECT_TRUE(processes_with({}).empty());
}

}  // namespace
}  // namespace potluck
