#include "coordinator/models/pull_record.h"

#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

PullRecord sample_record() {
  PullRecord record;
  record.name = "u/r:Q8_0";
  record.source = "https://hub/u/r at 0123";
  Digest digest;
  digest.bytes.fill(7);
  record.files = {{"u/r/m-00001-of-00002.gguf", "https://hub/1?a=\"b\"", 3 * kMiB, digest, ""},
                  {"u/r/m-00002-of-00002.gguf", "https://hub/2", 5, std::nullopt, "ETag \"x\""}};
  return record;
}

class PullRecords : public testing::Test {
 protected:
  PullRecords() : folder_(storage_, "/m", sample_record().files[0].path) {
    EXPECT_TRUE(storage_.make_directories(folder_.directory()));
  }
  void write(const std::string& name, const std::string& text) {
    ASSERT_TRUE(storage_.write_atomic(folder_.directory() + "/" + name, as_bytes(text)));
  }

  MemoryStorage storage_;
  PullFolder folder_;
};

TEST_F(PullRecords, AreReadBackAsTheyWere) {
  EXPECT_EQ(folder_.record().error().code, ErrorCode::kNotFound);
  const PullRecord record = sample_record();
  ASSERT_TRUE(folder_.save(record));
  const auto found = folder_.record();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->name, record.name);
  ASSERT_EQ(found->files.size(), 2u);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_TRUE(found->files[i].is_same_content(record.files[i]));
    EXPECT_EQ(found->files[i].path, record.files[i].path);
    EXPECT_EQ(found->files[i].address, record.files[i].address);
  }
  EXPECT_EQ(found->bytes(), 3 * kMiB + 5);
  const auto own = find_pull(storage_, "/m", "/m/" + record.files[0].path);
  ASSERT_TRUE(own);
  EXPECT_EQ(own->record.name, record.name);
  EXPECT_FALSE(find_pull(storage_, "/m", "/m/u/r/other.gguf"));
  EXPECT_FALSE(find_pull(storage_, "/m", "/elsewhere/" + record.files[0].path));
}

TEST_F(PullRecords, NameNoPathsElsewhere) {
  for (const char* text :
       {"", "{}", "[]", R"({"files":[]})", R"({"files":[{"path":"../x.gguf","bytes":1}]})",
        R"({"files":[{"path":"/x.gguf","bytes":1}]})",
        R"({"files":[{"path":"x.gguf","bytes":-1}]})", R"({"files":[{"path":"x.gguf"}]})",
        R"({"files":[{"path":"x.gguf","bytes":1,"sha256":"z"}]})",
        R"({"files":[{"path":"x.gguf","bytes":99999999999999999}]})", R"({"files":"x"})"}) {
    write("record", text);
    EXPECT_FALSE(folder_.record()) << text;
    EXPECT_TRUE(unfinished_pulls(storage_, "/m").empty()) << text;
  }
}

TEST_F(PullRecords, ShowHowFarAPullIs) {
  ASSERT_TRUE(folder_.save(sample_record()));
  auto pulls = unfinished_pulls(storage_, "/m");
  ASSERT_EQ(pulls.size(), 1u);
  EXPECT_EQ(pulls[0].bytes, 0u);
  write("0.blocks", std::string("\1\0\1", 3));
  EXPECT_EQ(unfinished_pulls(storage_, "/m")[0].bytes, 0u) << "without the file itself";
  write("0.part", "x");
  EXPECT_EQ(unfinished_pulls(storage_, "/m")[0].bytes, 2 * kMiB);
  write("0.blocks", std::string(9, '\1'));
  EXPECT_EQ(unfinished_pulls(storage_, "/m")[0].bytes, 0u) << "not a list of this file";
  ASSERT_TRUE(folder_.mark_checked(1));
  EXPECT_EQ(unfinished_pulls(storage_, "/m")[0].bytes, 5u);
  ASSERT_TRUE(folder_.start_over(1));
  EXPECT_FALSE(folder_.is_checked(1));
  ASSERT_TRUE(folder_.mark_finished());
  EXPECT_TRUE(unfinished_pulls(storage_, "/m").empty());
  EXPECT_FALSE(storage_.exists(folder_.part_path(0)));
}

}  // namespace
}  // namespace potluck
