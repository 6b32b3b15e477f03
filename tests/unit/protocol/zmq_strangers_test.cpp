// What peers that we do not know can do to a listening transport: real sockets, attacks as they
// were seen. Time is bounded by attempts.
#include <array>
#include <fstream>
#include <zmq.hpp>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include "engine/base/descriptor_limit.h"
#include "engine/base/limits.h"
#include "protocol/zmq_socket.h"
#include "protocol/zmq_transport.h"

namespace potluck {
namespace {

constexpr Duration kStrangerStep = std::chrono::milliseconds(5);
constexpr int kStrangerAttempts = 2000;
constexpr std::array kChannels = {Channel::kJoin, Channel::kCompute, Channel::kBulk};

uint64_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  uint64_t pages = 0;
  file >> pages >> pages;
  return pages * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// A TCP connection that speaks as much of the protocol as it wants to.
class RawConnection {
 public:
  explicit RawConnection(const std::string& endpoint, const char* source = "127.0.0.1")
      : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in from{};
    from.sin_family = AF_INET;
    EXPECT_EQ(inet_pton(AF_INET, source, &from.sin_addr), 1);
    (void)bind(descriptor_, reinterpret_cast<sockaddr*>(&from), sizeof from);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(std::stoi(endpoint.substr(endpoint.rfind(':') + 1))));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)connect(descriptor_, reinterpret_cast<sockaddr*>(&to), sizeof to);
  }
  ~RawConnection() {
    if (descriptor_ >= 0) close(descriptor_);
  }
  RawConnection(RawConnection&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)) {}
  RawConnection& operator=(RawConnection&&) = delete;

  // Bytes that went out.
  size_t send(std::string_view bytes) {
    ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? 0 : static_cast<size_t>(sent);
  }
  void greet() {
    std::string greeting(64, '\0');
    greeting[0] = '\xff';
    greeting[9] = '\x7f';
    greeting[10] = 3;
    greeting[11] = 1;
    greeting.replace(12, 5, "CURVE");
    send(greeting);
  }
  // The beginning of a command of so many bytes.
  void announce_command(uint64_t size) {
    std::string head = "\x06";
    for (int shift = 56; shift >= 0; shift -= 8) head += static_cast<char>(size >> shift & 0xff);
    send(head);
  }
  bool ended() {
    char buffer[256];
    ssize_t got = 1;
    while (got > 0) got = recv(descriptor_, buffer, sizeof buffer, MSG_DONTWAIT);
    return got == 0 || (errno != EAGAIN && errno != ENOTCONN);
  }

 private:
  int descriptor_;
};

class StrangersTest : public testing::Test {
 protected:
  void SetUp() override {
    raise_descriptor_limit();
    auto server = ZmqServerTransport::listen({server_keys_, "127.0.0.1", {}, 0}, allowed_);
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(*server);
    ASSERT_TRUE(allowed_.add(member_keys_.public_key, "member").ok());
  }
  std::string endpoint(Channel channel) const {
    return channel == Channel::kCompute ? server_->compute_endpoint()
           : channel == Channel::kBulk  ? server_->bulk_endpoint()
                                        : server_->join_endpoint();
  }
  // Whether a device gets a message through; `attack` goes on meanwhile.
  template <class Attack>
  bool gets_through(const CurveKeyPair& keys, Channel channel, const Attack& attack) {
    ZmqClientTransport client(keys);
    EXPECT_TRUE(client.connect(server_keys_.public_key, channel, endpoint(channel)).ok());
    ByteSpan text = as_bytes("hello");
    for (int i = 0; i < kStrangerAttempts; ++i) {
      attack();
      (void)client.send(server_keys_.public_key, channel, {{text.begin(), text.end()}, {}});
      client.receive({});
      auto envelope = server_->receive(kStrangerStep);
      if (envelope && envelope->peer == keys.public_key) return true;
    }
    return false;
  }

  CurveKeyPair server_keys_ = generate_curve_keys();
  CurveKeyPair member_keys_ = generate_curve_keys();
  AllowList allowed_;
  std::unique_ptr<ZmqServerTransport> server_;
};

TEST_F(StrangersTest, IdleConnectionsKeepNobodyOutAndTakeFewDescriptors) {
  server_->open_join(true);
  std::vector<RawConnection> idle;
  for (Channel channel : kChannels) {
    uint64_t before = free_descriptors();
    uint64_t away = server_->turned_away();
    for (int i = 0; i < 200; ++i) {
      idle.emplace_back(endpoint(channel));
      if (i % 10 == 0) server_->receive({});
    }
    for (int i = 0; i < kStrangerAttempts && server_->turned_away() < away + 150; ++i) {
      server_->receive(kStrangerStep);
    }
    uint64_t taken = before - free_descriptors() - 200;
    // Some that had to make room may not be closed yet.
    EXPECT_LE(taken, 2 * limits::kGuestConnections) << "of 200 connections";
    EXPECT_TRUE(gets_through(member_keys_, channel, [] {}));
    EXPECT_GE(server_->turned_away(), away + 150);
  }
  EXPECT_TRUE(gets_through(generate_curve_keys(), Channel::kJoin, [] {})) << "with an invitation";
}

TEST_F(StrangersTest, ConnectionsThatComeAgainAndAgainKeepNobodyOut) {
  server_->open_join(true);
  for (Channel channel : kChannels) {
    std::vector<RawConnection> recent;
    auto attack = [&] {
      if (recent.size() > 200) recent.clear();
      for (int i = 0; i < 20; ++i) recent.emplace_back(endpoint(channel), "127.0.0.2");
    };
    EXPECT_TRUE(gets_through(member_keys_, channel, attack));
  }
}

TEST_F(StrangersTest, LargeCommandsBeforeTheHandshakeCostNothing) {
  for (Channel channel : kChannels) {
    uint64_t before = resident_bytes();
    uint64_t worst = 0;
    std::string megabyte(kMiB, 'x');
    for (uint64_t size : {511 * kMiB, limits::kFrameBytes, uint64_t{8000}}) {
      std::vector<RawConnection> talkers;
      for (int i = 0; i < 32; ++i) {
        talkers.emplace_back(endpoint(channel));
        talkers.back().greet();
      }
      server_->receive(kStrangerStep);
      for (RawConnection& talker : talkers) talker.announce_command(size);
      for (int round = 0; round < 20; ++round) {
        for (RawConnection& talker : talkers) talker.send(megabyte);
        server_->receive(kStrangerStep);
        const uint64_t now = resident_bytes();
        worst = std::max(worst, now - std::min(before, now));
      }
      server_->receive(std::chrono::milliseconds(30));
      for (RawConnection& talker : talkers) EXPECT_TRUE(talker.ended()) << size;
    }
    EXPECT_LT(worst, (limits::kGuestConnections + 4) * limits::kFrameBytes);
    EXPECT_TRUE(gets_through(member_keys_, channel, [] {}));
  }
}

// A peer with the coordinator's key and messages of thousands of parts.
class ManyParts {
 public:
  ManyParts(const CurveKeyPair& keys, const PeerKey& server, const std::string& endpoint)
      : socket_(context_, zmq::socket_type::dealer) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::sndhwm, 1);
    socket_.set(zmq::sockopt::curve_serverkey, zmq::buffer(server.bytes));
    socket_.set(zmq::sockopt::curve_publickey, zmq::buffer(keys.public_key.bytes));
    socket_.set(zmq::sockopt::curve_secretkey, zmq::buffer(keys.secret));
    socket_.connect(endpoint);
  }
  // One message, if it can be sent now.
  void send(uint64_t bytes) {
    std::string part(8000, 'x');
    for (uint64_t sent = 0; sent < bytes; sent += part.size()) {
      if (zmq_send_part(socket_, part, true) != ZmqSent::kYes) return;
    }
    (void)zmq_send_part(socket_, "", false);
  }

 private:
  zmq::context_t context_;
  zmq::socket_t socket_;
};

// libzmq keeps all parts of a message until its last one came, and counts whole messages only.
TEST_F(StrangersTest, AMessageOfManyPartsIsCutShort) {
  server_->open_join(true);
  ManyParts flood(generate_curve_keys(), server_keys_.public_key, server_->join_endpoint());
  uint64_t away = server_->turned_away();
  // Again after each reconnection.
  for (int i = 0; i < kStrangerAttempts && server_->turned_away() < away + 3; ++i) {
    flood.send(8 * kMiB);
    EXPECT_FALSE(server_->receive(kStrangerStep).has_value());
  }
  EXPECT_GE(server_->turned_away(), away + 3);
  EXPECT_EQ(server_->dropped_messages(), 0u) << "none of them got through as a whole";
  EXPECT_TRUE(gets_through(generate_curve_keys(), Channel::kJoin, [&] { flood.send(kMiB); }));
}

TEST_F(StrangersTest, AMembersMessageOfManyPartsIsCutShort) {
  // Members may have as many messages waiting as a queue holds, and no more than that in one.
  uint64_t most = zmq_backlog_bytes(Channel::kBulk);
  ManyParts flood(member_keys_, server_keys_.public_key, server_->bulk_endpoint());
  uint64_t away = server_->turned_away();
  for (int i = 0; i < kStrangerAttempts && server_->turned_away() == away; ++i) {
    flood.send(64 * most);
    EXPECT_FALSE(server_->receive(kStrangerStep).has_value());
  }
  EXPECT_GE(server_->turned_away(), away + 1);
  EXPECT_EQ(server_->dropped_messages(), 0u);
  EXPECT_TRUE(gets_through(member_keys_, Channel::kBulk, [] {}));
}

// Members send a lot: as long as it is taken, that is no reason to end a connection.
TEST_F(StrangersTest, AMemberMaySendForEver) {
  ZmqClientTransport client(member_keys_);
  ASSERT_TRUE(
      client.connect(server_keys_.public_key, Channel::kBulk, server_->bulk_endpoint()).ok());
  uint64_t most = 4 * zmq_backlog_bytes(Channel::kBulk);
  uint64_t received = 0;
  for (int i = 0; i < 20 * kStrangerAttempts && received < most; ++i) {
    for (int n = 0; n < 8; ++n) {
      (void)client.send(server_keys_.public_key, Channel::kBulk,
                        {ByteVector(100), ByteVector(8000)});
    }
    client.receive({});
    while (auto envelope = server_->receive({})) received += envelope->frames.bytes();
    if (received == 0) server_->receive(kStrangerStep);
  }
  EXPECT_GE(received, most);
  EXPECT_EQ(server_->turned_away(), 0u);
}

}  // namespace
}  // namespace potluck
