// Datagrams in memory, and over UDP on this machine's loopback.
#include <gtest/gtest.h>

#include "protocol/memory_datagrams.h"
#include "protocol/udp_socket.h"

namespace potluck::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(MemoryDatagrams, QuestionsReachThoseWhoListenAndAnswersTheAsker) {
  MemoryDatagrams cable;
  auto first = cable.attach("10.0.0.1", 7700, true);
  auto second = cable.attach("10.0.0.2", 7700, true);
  auto asker = cable.attach("10.0.0.3", 4001, false);
  ASSERT_TRUE(asker->send_everywhere(as_bytes("who?")).ok());
  for (DatagramSocket* socket : {first.get(), second.get()}) {
    auto question = socket->receive({});
    ASSERT_TRUE(question);
    EXPECT_EQ(as_text(question->bytes), "who?");
    EXPECT_TRUE(question->near);
    ASSERT_TRUE(socket->send(question->from, as_bytes("me")).ok());
  }
  EXPECT_EQ(asker->receive({})->from, (DatagramAddress{"10.0.0.1", 7700}));
  EXPECT_EQ(asker->receive({})->from, (DatagramAddress{"10.0.0.2", 7700}));
  EXPECT_FALSE(asker->receive({}));
  cable.set_loss([](const std::string&, const std::string& to) { return to == "10.0.0.1"; });
  ASSERT_TRUE(asker->send_everywhere(as_bytes("again")).ok());
  EXPECT_FALSE(first->receive({}));
  EXPECT_TRUE(second->receive({}));
  second.reset();
  ASSERT_TRUE(asker->send({"10.0.0.2", 7700}, as_bytes("gone")).ok()) << "nobody says so";
}

class UdpSocketTest : public testing::Test {
 protected:
  // A port that is free most likely, and another one for each test process.
  static uint16_t port() { return static_cast<uint16_t>(20'000 + getpid() % 20'000); }

  static std::unique_ptr<UdpSocket> opened(Result<std::unique_ptr<UdpSocket>> socket) {
    EXPECT_TRUE(socket.ok()) << (socket ? "" : socket.error().message);
    return socket ? std::move(*socket) : nullptr;
  }
  // A question comes once by broadcast, once by multicast: all that come within a moment.
  static std::vector<Datagram> all(UdpSocket& socket) {
    std::vector<Datagram> datagrams;
    Duration patience = seconds(5);
    while (auto datagram = socket.receive(patience)) {
      datagrams.push_back(*datagram);
      patience = milliseconds(100);
    }
    return datagrams;
  }
};

TEST_F(UdpSocketTest, SeveralListenersOnOneMachineHearAndAnswer) {
  auto first = opened(UdpSocket::listen({port(), true}));
  auto second = opened(UdpSocket::listen({port(), true}));
  auto seeker = opened(UdpSocket::seek({port(), true}));
  ASSERT_TRUE(first && second && seeker);
  ASSERT_TRUE(seeker->send_everywhere(as_bytes("who?")).ok());
  for (UdpSocket* socket : {first.get(), second.get()}) {
    std::vector<Datagram> questions = all(*socket);
    ASSERT_FALSE(questions.empty());
    EXPECT_EQ(as_text(questions[0].bytes), "who?");
    EXPECT_EQ(questions[0].interface, "lo");
    EXPECT_TRUE(questions[0].near);
    ASSERT_TRUE(socket->send(questions[0].from, as_bytes("me")).ok());
  }
  std::vector<Datagram> answers = all(*seeker);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[0].from.port, port());
  EXPECT_TRUE(answers[0].from.host == "127.0.0.1" || answers[0].from.host == "[::1]")
      << answers[0].from.host;
}

TEST_F(UdpSocketTest, WhatIsTooLongIsCutOff) {
  auto listener = opened(UdpSocket::listen({port(), true}));
  auto seeker = opened(UdpSocket::seek({port(), true}));
  ASSERT_TRUE(listener && seeker);
  ASSERT_TRUE(seeker->send({"127.0.0.1", port()}, ByteVector(9000)).ok());
  auto received = listener->receive(seconds(5));
  ASSERT_TRUE(received);
  EXPECT_EQ(received->bytes.size(), Datagram::kMostBytes);
  ASSERT_TRUE(seeker->send({"127.0.0.1", port()}, {}).ok());
  received = listener->receive(seconds(5));
  ASSERT_TRUE(received);
  EXPECT_TRUE(received->bytes.empty());
}

TEST_F(UdpSocketTest, AnAddressThatIsNoneIsAnError) {
  auto seeker = opened(UdpSocket::seek({port(), true}));
  ASSERT_TRUE(seeker);
  EXPECT_FALSE(seeker->send({"kitchen.lan", 7700}, as_bytes("x")).ok())
      << "names are not looked up";
  EXPECT_FALSE(seeker->send({"", 7700}, as_bytes("x")).ok());
}

}  // namespace
}  // namespace potluck::test
