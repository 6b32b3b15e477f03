#include "coordinator/cli/first_run.h"

#include <deque>
#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/base/memory_storage.h"

namespace potluck {
namespace {

using testing::HasSubstr;

// A person who types what the test says, and then nothing more.
class TypedAnswers final : public MessageInput {
 public:
  explicit TypedAnswers(std::deque<std::string> answers) : answers_(std::move(answers)) {}

  Result<std::optional<std::string>> next(const std::string& prompt, const WhileWaiting&) override {
    prompts += prompt + "\n";
    if (answers_.empty()) return std::optional<std::string>();
    std::string answer = answers_.front();
    answers_.pop_front();
    if (answer == "too long") return Error{ErrorCode::kLimit, "not sent"};
    return std::optional(answer);
  }

  std::string prompts;

 private:
  std::deque<std::string> answers_;
};

class FirstRunTest : public testing::Test {
 protected:
  std::optional<FirstAnswers> ask(std::deque<std::string> typed) {
    TypedAnswers input(std::move(typed));
    const FirstRunSeams seams{
        input, [&](const std::string& line) { said_ += line + "\n"; }, [] { return true; },
        [](const std::string& path) { return path == "/models/mine.gguf"; }, port_free()};
    auto answers = ask_first_run(offered_, last_, seams);
    prompts_ = input.prompts;
    return answers;
  }

  std::function<bool(uint16_t)> port_free() {
    return [this](uint16_t port) { return !taken_.contains(port); };
  }

  std::string command(std::deque<std::string> typed) {
    const auto answers = ask(std::move(typed));
    return answers ? shell_line(first_command(*answers, port_free())) : "";
  }

  std::vector<OfferedModel> offered_ = {
      {{"small", "small.gguf", "small.gguf", 1'000'000}, 120.5, false, ""},
      {{"large", "models/large.gguf", "models/large.gguf", 30'000'000'000}, 2.34, true, ""},
      {{"huge", "huge.gguf", "huge.gguf", 900'000'000'000}, {}, false, "needs 800 GiB of memory"}};
  FirstAnswers last_;
  std::set<uint16_t> taken_;
  std::string said_;
  std::string prompts_;
};

TEST_F(FirstRunTest, EnterThreeTimesRunsTheFirstModelHereAlone) {
  EXPECT_EQ(command({"", "", ""}),
            "potluck serve small.gguf --workers 1 --listen localhost:7700 --no-beacon "
            "--invitations 0 --host 127.0.0.1 --port 8080");
  EXPECT_THAT(said_, HasSubstr("1  small"));
  EXPECT_THAT(said_, HasSubstr("about 120 tokens/s"));
  EXPECT_THAT(said_, HasSubstr("about 2.3 tokens/s on this machine alone, with experts read"));
  EXPECT_THAT(said_, HasSubstr("-  huge"));
  EXPECT_THAT(said_, HasSubstr("needs 800 GiB of memory"));
  EXPECT_EQ(prompts_, "model [1]: \nwho [1]: \nwhere [1]: \n");
}

TEST_F(FirstRunTest, OthersJoinByCodeOrInvitation) {
  EXPECT_EQ(command({"2", "2", "2"}),
            "potluck serve models/large.gguf --workers 1 --invitations 0 --host 0.0.0.0 "
            "--port 8080");
  EXPECT_EQ(command({" 1 ", "3", "[::1]:9000"}),
            "potluck serve small.gguf --workers 1 --no-beacon --host ::1 --port 9000");
}

TEST_F(FirstRunTest, WhatMakesNoSenseIsAskedAgain) {
  EXPECT_EQ(command({"3", "0", "no-such.gguf", "too long", "/models/mine.gguf", "4", "x", "1",
                     "8080", "*:8081"}),
            "potluck serve /models/mine.gguf --workers 1 --listen localhost:7700 --no-beacon "
            "--invitations 0 --host 0.0.0.0 --port 8081");
  EXPECT_THAT(said_, HasSubstr("there is no file 3"));  // the third does not fit
  EXPECT_THAT(said_, HasSubstr("expected 1, 2 or 3, found 4"));
}

TEST_F(FirstRunTest, TakenPortsAreSteppedOver) {
  taken_ = {8080, 7702};
  EXPECT_EQ(command({"1", "2", "127.0.0.1:8080", "1"}),
            "potluck serve small.gguf --workers 1 --listen '*:7703' --invitations 0 "
            "--host 127.0.0.1 --port 8081");
  EXPECT_THAT(said_, HasSubstr("port 8080 is taken"));
}

TEST_F(FirstRunTest, TheLastAnswersAreWhatEnterMeans) {
  last_ = {"models/large.gguf", 3, "127.0.0.1:9999"};
  EXPECT_EQ(command({"", "", ""}),
            "potluck serve models/large.gguf --workers 1 --no-beacon --host 127.0.0.1 --port 9999");
  taken_ = {9999};
  EXPECT_THAT(command({"", "", ""}), HasSubstr("--port 8080"));
  last_ = {"gone.gguf", 77, "nonsense"};
  EXPECT_THAT(command({"", "", ""}), HasSubstr("serve small.gguf"));
}

TEST_F(FirstRunTest, EndsWhenTheInputDoes) {
  EXPECT_FALSE(ask({}));
  EXPECT_FALSE(ask({"1"}));
  EXPECT_FALSE(ask({"1", "1", "nonsense"}));
  offered_.clear();
  EXPECT_FALSE(ask({"", "1", "x"}));  // Enter means nothing where there is no model
  EXPECT_THAT(said_, HasSubstr("type the path of a GGUF file"));
}

TEST(ShellLine, QuotesWhatAShellWouldTake) {
  EXPECT_EQ(shell_line({"serve", "my model's.gguf", "*:7700", ""}),
            "potluck serve 'my model'\\''s.gguf' '*:7700' ''");
}

TEST(FolderModels, NamesWholeFilesAndFirstPartsOnly) {
  MemoryStorage storage;
  ASSERT_TRUE(storage.make_directories("/m").ok());
  auto write = [&](const std::string& name, size_t bytes) {
    ASSERT_TRUE(storage.write_atomic("/m/" + name, as_bytes(std::string(bytes, 'x'))).ok());
  };
  write("a.gguf", 10);
  write("b-00001-of-00002.gguf", 20);
  write("b-00002-of-00002.gguf", 30);
  write("c-00001-of-00002.gguf", 40);  // its other part is missing
  write("d-00001-of-99999.gguf", 40);  // says more than there can be
  write("notes.txt", 50);
  const auto models = FolderModels(storage, "/m").models();
  ASSERT_EQ(models.size(), 2U);
  EXPECT_EQ(models[0].argument, "/m/a.gguf");
  EXPECT_EQ(models[0].name, "a");
  EXPECT_EQ(models[0].bytes, 10U);
  EXPECT_EQ(models[1].bytes, 50U);
  EXPECT_TRUE(FolderModels(storage, "/none").models().empty());
  EXPECT_TRUE(SpreadModels(storage, "/none").models().empty());
}

}  // namespace
}  // namespace potluck
