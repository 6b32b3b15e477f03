#include "protocol/connection_gate.h"

#include <map>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <unistd.h>

#include "engine/base/random.h"
#include "protocol/accept_hook.h"
#include "protocol/listen_socket.h"

namespace potluck {
namespace {

using std::chrono::milliseconds;

AddressGroup group(uint8_t number) {
  AddressGroup group;
  group.bytes[0] = number;
  return group;
}

sockaddr_storage address(const std::string& text) {
  sockaddr_storage storage{};
  sockaddr_in ipv4{};
  sockaddr_in6 ipv6{};
  if (inet_pton(AF_INET, text.c_str(), &ipv4.sin_addr) == 1) {
    ipv4.sin_family = AF_INET;
    std::memcpy(&storage, &ipv4, sizeof ipv4);
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, text.c_str(), &ipv6.sin6_addr), 1) << text;
    ipv6.sin6_family = AF_INET6;
    std::memcpy(&storage, &ipv6, sizeof ipv6);
  }
  return storage;
}

TEST(AddressGroups, OneDeviceIsOneGroup) {
  auto of = [](const char* text) { return AddressGroup::of(address(text)); };
  EXPECT_EQ(of("192.168.1.7"), of("192.168.1.7"));
  EXPECT_NE(of("192.168.1.7"), of("192.168.1.8"));
  EXPECT_EQ(of("192.168.1.7"), of("::ffff:192.168.1.7")) << "the same, on a socket for both kinds";
  EXPECT_EQ(of("2001:db8:1:2::7"), of("2001:db8:1:2:ffff:1:2:3"));
  EXPECT_NE(of("2001:db8:1:2::7"), of("2001:db8:1:3::7"));
}

// --- the policy ----------------------------------------------------------------------------------

TEST(ConnectionPolicy, ThereIsRoomUntilThereIsNone) {
  std::vector<GuestConnection> guests;
  for (size_t i = 0; i < 4; ++i) {
    Admission admission = judge_arrival(guests, group(1), milliseconds(0), 4);
    EXPECT_TRUE(admission.admitted);
    EXPECT_FALSE(admission.evicted);
    guests.push_back({group(1), milliseconds(i)});
  }
  EXPECT_FALSE(judge_arrival(guests, group(1), milliseconds(10), 4).admitted);
  EXPECT_FALSE(judge_arrival({}, group(1), milliseconds(10), 0).admitted);
}

TEST(ConnectionPolicy, WhoeverHasMoreThanOthersMakesRoomForThem) {
  std::vector<GuestConnection> guests = {{group(2), milliseconds(0)},
                                         {group(1), milliseconds(1)},
                                         {group(1), milliseconds(2)},
                                         {group(1), milliseconds(3)}};
  Admission admission = judge_arrival(guests, group(3), milliseconds(4), 4);
  EXPECT_TRUE(admission.admitted);
  EXPECT_EQ(admission.evicted, 1u) << "the oldest of the group with the most";
}

TEST(ConnectionPolicy, AGuestThatHadItsTurnMakesRoom) {
  std::vector<GuestConnection> guests = {{group(1), milliseconds(5)}, {group(2), milliseconds(0)}};
  EXPECT_FALSE(judge_arrival(guests, group(3), kGuestTurn - milliseconds(1), 2).admitted);
  EXPECT_EQ(judge_arrival(guests, group(3), kGuestTurn, 2).evicted, 1u);
  EXPECT_EQ(judge_arrival(guests, group(1), kGuestTurn, 2).evicted, 1u);
}

// Attackers open connections as fast as they can and never finish; honest devices need some time
// for a handshake and come from addresses of their own.
struct Crowd {
  uint32_t attackers = 1;  // addresses
  uint32_t per_millisecond = 10;
  milliseconds handshake{20};
};

// How many attempts an honest device needs.
int attempts_until_in(const Crowd& crowd, uint64_t seed) {
  constexpr size_t kCapacity = 16;
  CounterRandom random(seed);
  std::vector<GuestConnection> guests;
  uint64_t drawn = 0;
  auto arrive = [&](const AddressGroup& from, TimePoint now) {
    Admission admission = judge_arrival(guests, from, now, kCapacity);
    EXPECT_TRUE(admission.admitted || !admission.evicted);
    if (!admission.admitted) return false;
    if (admission.evicted) {
      EXPECT_EQ(guests.size(), kCapacity);
      guests.erase(guests.begin() + static_cast<std::ptrdiff_t>(*admission.evicted));
    }
    guests.push_back({from, now});
    EXPECT_LE(guests.size(), kCapacity);
    return true;
  };
  const AddressGroup honest = group(255);
  int attempts = 0;
  bool connected = false;
  TimePoint next_attempt{0};
  for (TimePoint now{0}; now < std::chrono::seconds(60); now += milliseconds(1)) {
    // The honest device is anywhere among those that come in this millisecond.
    uint64_t place = random.bits(drawn++) % (crowd.per_millisecond + 1);
    for (uint32_t i = 0; i <= crowd.per_millisecond; ++i) {
      if (i != place) {
        arrive(group(static_cast<uint8_t>(random.bits(drawn++) % crowd.attackers)), now);
      } else if (!connected && now >= next_attempt) {
        ++attempts;
        next_attempt = now + milliseconds(100);
        connected = arrive(honest, now);
      }
    }
    auto mine = std::find_if(guests.begin(), guests.end(),
                             [&](const auto& guest) { return guest.group == honest; });
    if (connected && mine == guests.end()) connected = false;  // evicted: try again
    if (connected && now - mine->since >= crowd.handshake) return attempts;
  }
  return -1;
}

TEST(ConnectionPolicy, AFloodFromFewAddressesKeepsNobodyOut) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    for (uint32_t addresses : {1u, 2u, 8u, 15u}) {
      EXPECT_EQ(attempts_until_in({addresses, 10, milliseconds(50)}, seed), 1) << addresses;
    }
  }
}

TEST(ConnectionPolicy, AFloodFromManyAddressesDelaysButDoesNotKeepOut) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    int attempts = attempts_until_in({200, 1, milliseconds(50)}, seed);
    EXPECT_GT(attempts, 0);
    EXPECT_LT(attempts, 300) << "at ten a second: half a minute";
  }
}

// --- real sockets --------------------------------------------------------------------------------

class GateTest : public testing::Test {
 protected:
  void start(const GateLimits& limits) {
    auto socket = ListenSocket::open("127.0.0.1", 0);
    ASSERT_TRUE(socket.ok()) << socket.error().message;
    listener_.emplace(std::move(*socket));
    gate_ = std::make_shared<ConnectionGate>(limits);
    guard_.emplace(listener_->descriptor(), gate_);
  }
  void TearDown() override {
    for (int descriptor : opened_) close(descriptor);
    guard_.reset();
  }
  int connect_one() {
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    opened_.push_back(descriptor);
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(listener_->port());
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(descriptor, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    return descriptor;
  }
  // As libzmq does it.
  int accept_one() {
    int descriptor = accept4(listener_->descriptor(), nullptr, nullptr, SOCK_CLOEXEC);
    if (descriptor >= 0) opened_.push_back(descriptor);
    return descriptor;
  }

  std::optional<ListenSocket> listener_;
  std::shared_ptr<ConnectionGate> gate_;
  std::optional<GuardedListener> guard_;
  std::vector<int> opened_;
};

TEST_F(GateTest, KeepsSoManyAndClosesTheRest) {
  start({4, 8});
  for (int i = 0; i < 10; ++i) {
    connect_one();
    EXPECT_EQ(accept_one() >= 0, i < 4) << i;
  }
  EXPECT_EQ(gate_->counts().guests, 4u);
  EXPECT_EQ(gate_->counts().turned_away, 6u);
}

TEST_F(GateTest, NoticesThatConnectionsHaveGone) {
  start({4, 8});
  for (int round = 0; round < 20; ++round) {
    connect_one();
    int accepted = accept_one();
    ASSERT_GE(accepted, 0) << round;
    close(accepted);
    opened_.pop_back();
  }
  gate_->sweep(SystemClock().now());
  EXPECT_EQ(gate_->counts().guests, 0u);
}

TEST_F(GateTest, CutsOffWhoSaysTooMuchBeforeItSaysWhoItIs) {
  start({4, 8, 4096});
  int talker = connect_one();
  int accepted = accept_one();
  ASSERT_GE(accepted, 0);
  std::string text(4096, 'x');
  ASSERT_EQ(send(talker, text.data(), text.size(), MSG_NOSIGNAL), 4096);
  gate_->sweep(SystemClock().now());
  EXPECT_EQ(gate_->counts().guests, 1u);
  ASSERT_EQ(send(talker, text.data(), 1, MSG_NOSIGNAL), 1);
  gate_->sweep(SystemClock().now());
  EXPECT_EQ(gate_->counts().guests, 0u);
  EXPECT_EQ(gate_->counts().turned_away, 1u);
  char byte = 0;
  EXPECT_EQ(recv(talker, &byte, 1, 0), 0) << "the stream has ended";
}

// A message outlives its connection, whose descriptor may be the next one's by the time it is read.
TEST_F(GateTest, TakesNoMessageForAnotherConnections) {
  start({4, 8, 4096, 0, 1000});
  const std::string greeting(300, 'g');  // more than is confirmed before a key is let in
  const std::string text(4000, 'x');
  std::string read(text.size(), 0);
  TimePoint now = SystemClock().now();
  auto sweep = [&] { gate_->sweep(now += std::chrono::seconds(1)); };
  for (const char* sender : {"192.0.2.7", "127.0.0.1", ""}) {
    int talker = connect_one();
    int accepted = accept_one();
    ASSERT_GE(accepted, 0);
    const bool its_own = std::string_view(sender) != "192.0.2.7";
    EXPECT_EQ(gate_->local_address(accepted, sender), its_own ? "127.0.0.1" : "");
    ASSERT_EQ(send(accepted, greeting.data(), greeting.size(), MSG_NOSIGNAL), 300);
    sweep();
    ASSERT_EQ(gate_->counts().members, 1u);
    ASSERT_EQ(send(talker, text.data(), text.size(), MSG_NOSIGNAL), 4000);
    ASSERT_EQ(recv(accepted, read.data(), read.size(), MSG_WAITALL), 4000);
    gate_->delivered(accepted, sender, text.size());
    sweep();
    EXPECT_EQ(gate_->counts().members, its_own ? 1u : 0u) << sender;
    close(accepted);
    opened_.pop_back();
    sweep();
    EXPECT_EQ(gate_->local_address(accepted, sender), "");
  }
}

TEST_F(GateTest, TheKernelEndsAStreamThatIsToBeShort) {
  start({4, 0, 1 << 20, 64 * 1024});
  int talker = connect_one();
  int accepted = accept_one();
  ASSERT_GE(accepted, 0);
  timeval patience{0, 300'000};
  setsockopt(talker, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(accepted, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::string text(32 * 1024, 'x');
  std::vector<char> buffer(1 << 20);
  size_t received = 0;
  for (int i = 0; i < 64; ++i) {  // 2 MiB
    (void)send(talker, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    ssize_t got = recv(accepted, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (got > 0) received += static_cast<size_t>(got);
  }
  ssize_t rest = recv(accepted, buffer.data(), buffer.size(), 0);
  if (rest > 0) received += static_cast<size_t>(rest);
  EXPECT_GE(received, 32u * 1024) << "the beginning passes";
  EXPECT_LE(received, 2u * 64 * 1024) << "the limit, and one large packet";
}

TEST_F(GateTest, SocketsWithoutAGateAreNotAffected) {
  start({0, 0});
  connect_one();
  EXPECT_LT(accept_one(), 0);
  guard_.reset();
  connect_one();
  EXPECT_GE(accept_one(), 0);
}

}  // namespace
}  // namespace potluck
