#include "coordinator/models/hub.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/models/hub_address.h"

namespace potluck {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kCommit = "0123456789abcdef0123456789abcdef01234567";
const std::string kSomeDigest(64, 'a');

std::string hub_answer(const std::string& siblings) {
  return R"({"sha":")" + kCommit + R"(","siblings":[)" + siblings + "]}";
}

TEST(HubAnswers, SayFilesWithSizesAndDigests) {
  const auto repo = read_hub_answer(
      hub_answer(R"({"rfilename":"m.gguf","size":133,"lfs":{"sha256":")" + kSomeDigest +
                 R"(","size":5000000000,"pointerSize":133}},{"rfilename":"README.md","size":12})"));
  ASSERT_TRUE(repo) << repo.error().message;
  EXPECT_EQ(repo->commit, kCommit);
  ASSERT_EQ(repo->files.size(), 2u);
  EXPECT_EQ(repo->files[0].bytes, 5'000'000'000u);
  ASSERT_TRUE(repo->files[0].sha256);
  EXPECT_EQ(repo->files[0].sha256->hex(), kSomeDigest);
  EXPECT_FALSE(repo->files[1].sha256);
}

TEST(HubAnswers, AreCheckedBeforeAnythingIsNamedAfterThem) {
  for (const char* path : {"../m.gguf", "/etc/m.gguf", "a/../../m.gguf", ".ssh/m.gguf",
                           "a\\\\m.gguf", "a\\u0000.gguf", ""}) {
    const auto repo =
        read_hub_answer(hub_answer(std::string(R"({"rfilename":")") + path + R"(","size":1})"));
    ASSERT_TRUE(repo) << path;
    EXPECT_TRUE(repo->files.empty()) << path;
  }
  for (const char* file :
       {R"({"rfilename":"m.gguf"})", R"({"rfilename":"m.gguf","size":-1})",
        R"({"rfilename":"m.gguf","size":1e300})", R"({"rfilename":"m.gguf","size":"5"})",
        R"({"rfilename":"m.gguf","size":9223372036854775807})", R"({"rfilename":7,"size":1})",
        R"({"rfilename":"m.gguf","size":1,"lfs":{"sha256":"../../x","size":1}})", "[]", "null"}) {
    const auto repo = read_hub_answer(hub_answer(file));
    ASSERT_TRUE(repo) << file;
    EXPECT_TRUE(repo->files.empty()) << file;
  }
  for (const char* text :
       {"", "{}", "[]", "<html>", R"({"sha":"../..","siblings":[]})", R"({"sha":"0123456"})",
        R"({"sha":"0123456789","siblings":{}})", R"({"sha":7,"siblings":[]})"}) {
    EXPECT_FALSE(read_hub_answer(text)) << text;
  }
}

TEST(HubRefusals, SayWhatCanBeDone) {
  auto said = [](int status, const char* code, bool has_token) {
    return hub_refusal({status, "", code, "\x1b[31mno"}, "https://hub", "u/r", has_token).message;
  };
  EXPECT_THAT(said(403, "GatedRepo", false), HasSubstr("https://hub/u/r"));
  EXPECT_THAT(said(403, "GatedRepo", false), HasSubstr("HF_TOKEN"));
  EXPECT_THAT(said(401, "GatedRepo", false), HasSubstr("accept the conditions"));
  EXPECT_THAT(said(401, "", true), HasSubstr("expired"));
  EXPECT_THAT(said(401, "RepoNotFound", false), HasSubstr("no such repository"));
  EXPECT_THAT(said(404, "", false), HasSubstr("-GGUF"));
  EXPECT_THAT(said(400, "", false), HasSubstr("400"));
  EXPECT_THAT(said(403, "", true), Not(HasSubstr("\x1b")));
}

TEST(HubAddresses, MeanARepositoryAFileAndARevision) {
  const auto file =
      parse_hub_address("https://huggingface.co/u/r/resolve/main/a%20b/m.gguf?download=true",
                        "https://mirror.example");
  ASSERT_TRUE(file);
  EXPECT_EQ(file->name.repo, "u/r");
  EXPECT_EQ(file->name.choice, "a b/m.gguf");
  EXPECT_EQ(file->revision, "main");
  const auto repo = parse_hub_address("https://mirror.example/u/r", "https://mirror.example");
  ASSERT_TRUE(repo);
  EXPECT_EQ(repo->name.repo, "u/r");
  for (const char* text :
       {"https://example.org/u/r/resolve/main/m.gguf", "https://huggingface.co/u",
        "https://huggingface.co/u/r/resolve/main/%2e%2e/m.gguf",
        "https://huggingface.co/u/r/resolve/..%2f/m.gguf", "https://huggingface.co/u/r/tree/main",
        "https://huggingface.co/api/models/u/r", "https://huggingface.company/u/r",
        "https://huggingface.co/u/r/resolve/main/"}) {
    EXPECT_FALSE(parse_hub_address(text, "https://mirror.example")) << text;
  }
}

TEST(HubAddresses, AreEncoded) {
  EXPECT_EQ(hub_file_address("https://h", "u/r", "abc", "a b/m?#.gguf"),
            "https://h/u/r/resolve/abc/a%20b/m%3F%23.gguf");
  EXPECT_EQ(hub_question("https://h", "u/r", "refs/pr/1"),
            "https://h/api/models/u/r/revision/refs/pr/1?blobs=true");
}

TEST(HubAddresses, GetATokenWhereNobodyListens) {
  EXPECT_TRUE(is_safe_for_token("https://example.org"));
  EXPECT_TRUE(is_safe_for_token("http://127.0.0.1:8000/x"));
  EXPECT_TRUE(is_safe_for_token("http://localhost"));
  EXPECT_FALSE(is_safe_for_token("http://example.org"));
  EXPECT_FALSE(is_safe_for_token("http://localhost.example.org"));
  EXPECT_FALSE(is_safe_for_token("http://127.0.0.1.example.org"));
}

}  // namespace
}  // namespace potluck
