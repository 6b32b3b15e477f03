#include "protocol/control_socket.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "engine/base/storage.h"
#include "tests/support/temporary_directory.h"

namespace potluck::test {
namespace {

using std::chrono::seconds;

class ControlSocketTest : public testing::Test {
 protected:
  std::unique_ptr<ControlServer> serve(ControlHandler handler) {
    auto server = ControlServer::start(directory(), std::move(handler));
    EXPECT_TRUE(server.ok()) << (server ? "" : server.error().message);
    return server ? std::move(*server) : nullptr;
  }
  std::string directory() const { return directory_.path(); }
  std::string socket_path() const { return directory() + "/control"; }

  TemporaryDirectory directory_;
};

TEST_F(ControlSocketTest, QuestionsAreAnswered) {
  auto server = serve([](const std::string& question) { return "you said " + question; });
  ASSERT_TRUE(server);
  for (const std::string& question : {std::string("hello"), std::string(4096, 'x')}) {
    auto answer = ask_control(directory(), question, seconds(5));
    ASSERT_TRUE(answer.ok()) << answer.error().message;
    EXPECT_EQ(*answer, "you said " + question);
  }
}

TEST_F(ControlSocketTest, LongAnswersComeWhole) {
  const std::string longest(900'000, 'y');
  auto server = serve([&](const std::string&) { return longest; });
  ASSERT_TRUE(server);
  auto answer = ask_control(directory(), "?", seconds(10));
  ASSERT_TRUE(answer.ok()) << answer.error().message;
  EXPECT_EQ(*answer, longest);
}

TEST_F(ControlSocketTest, NobodyIsThereBeforeAndAfterwards) {
  EXPECT_EQ(ask_control(directory(), "?", seconds(1)).error().code, ErrorCode::kNotFound);
  EXPECT_EQ(ask_control(directory() + "/none", "?", seconds(1)).error().code, ErrorCode::kNotFound);
  serve([](const std::string&) { return "x"; }).reset();
  EXPECT_EQ(ask_control(directory(), "?", seconds(1)).error().code, ErrorCode::kNotFound);
}

TEST_F(ControlSocketTest, TheSocketIsTheOwnersAlone) {
  auto server = serve([](const std::string&) { return "x"; });
  ASSERT_TRUE(server);
  struct stat facts {};
  ASSERT_EQ(lstat(socket_path().c_str(), &facts), 0);
  EXPECT_TRUE(S_ISSOCK(facts.st_mode));
  EXPECT_EQ(facts.st_mode & 0777, 0600u);
}

TEST_F(ControlSocketTest, WhatAnEarlierProcessLeftIsReplaced) {
  int left = socket(AF_UNIX, SOCK_STREAM, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  ASSERT_LT(socket_path().size(), sizeof address.sun_path);
  socket_path().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(bind(left, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  close(left);
  EXPECT_EQ(ask_control(directory(), "?", seconds(1)).error().code, ErrorCode::kNotFound);
  auto server = serve([](const std::string&) { return "x"; });
  ASSERT_TRUE(server);
  EXPECT_TRUE(ask_control(directory(), "?", seconds(5)).ok());
}

TEST_F(ControlSocketTest, ADirectoryOfAnyLengthWillDo) {
  std::string deep = directory();
  for (int i = 0; i < 4; ++i) deep += "/" + std::string(60, 'd');
  ASSERT_TRUE(make_system_storage()->make_directories(deep).ok());
  auto server = ControlServer::start(deep, [](const std::string&) { return "x"; });
  ASSERT_TRUE(server.ok()) << server.error().message;
  EXPECT_TRUE(ask_control(deep, "?", seconds(5)).ok());
}

// It says nothing, or too much; the next client is served all the same.
TEST_F(ControlSocketTest, AClientThatMisbehavesCostsAMoment) {
  auto server = serve([](const std::string&) { return "x"; });
  ASSERT_TRUE(server);
  auto connected = [&] {
    int client = socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    socket_path().copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return client;
  };
  int silent = connected();
  int talker = connected();
  const std::string much(100'000, 'x');
  (void)send(talker, much.data(), much.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  auto answer = ask_control(directory(), "?", seconds(20));
  EXPECT_TRUE(answer.ok()) << answer.error().message;
  close(silent);
  close(talker);
}

}  // namespace
}  // namespace potluck::test
