// Real sockets on loopback. Time is bounded by attempts: every wait is a receive() of at most 5 ms
// on one of the endpoints.
#include "protocol/zmq_transport.h"

#include <memory>
#include <set>
#include <zmq.hpp>

#include <gtest/gtest.h>

#include "engine/base/limits.h"
#include "protocol/listen_socket.h"
#include "protocol/zmq_auth.h"
#include "protocol/zmq_socket.h"

namespace potluck {
namespace {

constexpr Duration kStep = std::chrono::milliseconds(5);
constexpr int kAttempts = 2000;   // 10 s: far more than any of this takes
constexpr int kFewAttempts = 40;  // for what must not happen

Frames frames(std::string_view header, size_t tensor_bytes = 0) {
  ByteSpan bytes = as_bytes(header);
  return {{bytes.begin(), bytes.end()}, ByteVector(tensor_bytes, std::byte{7})};
}

std::string text_of(const Envelope& envelope) {
  return std::string(as_text(envelope.frames.header));
}

class ZmqTransportTest : public testing::Test {
 protected:
  CurveKeyPair server_keys_ = generate_curve_keys();
  CurveKeyPair client_keys_ = generate_curve_keys();
  AllowList allowed_;
  std::unique_ptr<ZmqServerTransport> server_ = listen(0);
  ZmqClientTransport client_{client_keys_};

  std::unique_ptr<ZmqServerTransport> listen(uint16_t port) {
    auto server = ZmqServerTransport::listen({server_keys_, "127.0.0.1", {}, port}, allowed_);
    EXPECT_TRUE(server.ok()) << server.error().message;
    (*server)->open_join(true);
    return std::move(*server);
  }
  void admit(const CurveKeyPair& keys) { ASSERT_TRUE(allowed_.add(keys.public_key, "").ok()); }
  void connect(ZmqClientTransport& client, Channel channel) {
    std::string endpoint = channel == Channel::kCompute ? server_->compute_endpoint()
                           : channel == Channel::kBulk  ? server_->bulk_endpoint()
                                                        : server_->join_endpoint();
    ASSERT_TRUE(client.connect(server_keys_.public_key, channel, endpoint).ok());
  }

  // What the server receives within some attempts.
  std::optional<Envelope> at_server(int attempts = kAttempts) {
    for (int i = 0; i < attempts; ++i) {
      if (auto envelope = server_->receive(kStep)) return envelope;
    }
    return std::nullopt;
  }
  // What the client receives; the server answers handshakes meanwhile.
  std::optional<Envelope> at_client(ZmqClientTransport& client, int attempts = kAttempts) {
    for (int i = 0; i < attempts; ++i) {
      if (auto envelope = client.receive(kStep)) return envelope;
      EXPECT_FALSE(server_->receive({}).has_value());
    }
    return std::nullopt;
  }
  // Sends until the connection stands; false if it never does.
  bool send_to_server(ZmqClientTransport& client, Channel channel, std::string_view header,
                      int attempts = kAttempts) {
    for (int i = 0; i < attempts; ++i) {
      Status sent = client.send(server_keys_.public_key, channel, frames(header));
      if (sent.ok()) return true;
      EXPECT_EQ(sent.error().code, ErrorCode::kNotFound);
      if (server_ != nullptr) {
        EXPECT_FALSE(server_->receive(kStep).has_value());
      }
    }
    return false;
  }
  // Sends and receives one message.
  void expect_passes(ZmqClientTransport& client, const PeerKey& sender, Channel channel) {
    ASSERT_TRUE(send_to_server(client, channel, "hello"));
    expect_hello(at_server(), sender, channel);
  }
  // The same after the server has ended the connection. The client may not know that yet: what it
  // sends over the old one is lost, and what it sends later is not.
  void expect_comes_back(ZmqClientTransport& client, const PeerKey& sender, Channel channel) {
    constexpr int kLost = kAttempts / 10;
    std::optional<Envelope> envelope;
    for (int i = 0; i < 10 && !envelope; ++i) {
      ASSERT_TRUE(send_to_server(client, channel, "hello"));
      envelope = at_server(kLost);
    }
    expect_hello(envelope, sender, channel);
  }
  static void expect_hello(const std::optional<Envelope>& envelope, const PeerKey& sender,
                           Channel channel) {
    ASSERT_TRUE(envelope.has_value());
    EXPECT_EQ(envelope->peer, sender);
    EXPECT_EQ(envelope->channel, channel);
    EXPECT_EQ(text_of(*envelope), "hello");
  }
};

TEST_F(ZmqTransportTest, AMemberIsHeardAndAnsweredOnEveryChannel) {
  admit(client_keys_);
  for (Channel channel : {Channel::kCompute, Channel::kBulk, Channel::kJoin}) {
    connect(client_, channel);
    expect_passes(client_, client_keys_.public_key, channel);
    size_t size = channel == Channel::kJoin ? 3000 : 70'000;
    ASSERT_TRUE(server_->send(client_keys_.public_key, channel, frames("answer", size)).ok());
    auto answer = at_client(client_);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->peer, server_keys_.public_key);
    EXPECT_EQ(answer->channel, channel);
    EXPECT_EQ(text_of(*answer), "answer");
    EXPECT_EQ(answer->frames.tensor, ByteVector(size, std::byte{7}));
    EXPECT_EQ(client_.link_state(server_keys_.public_key, channel), LinkState::kConnected);
  }
  EXPECT_EQ(server_->refused_handshakes(), 0u);
}

TEST_F(ZmqTransportTest, CountsBytesOfTheComputeChannel) {
  admit(client_keys_);
  connect(client_, Channel::kCompute);
  connect(client_, Channel::kBulk);
  expect_passes(client_, client_keys_.public_key, Channel::kCompute);
  expect_passes(client_, client_keys_.public_key, Channel::kBulk);
  EXPECT_EQ(client_.compute_bytes(), 5u);
  EXPECT_EQ(server_->compute_bytes(), 5u);
  ASSERT_TRUE(server_->send(client_keys_.public_key, Channel::kCompute, frames("abc", 2000)).ok());
  ASSERT_TRUE(at_client(client_).has_value());
  EXPECT_EQ(client_.compute_bytes(), 2008u);
  EXPECT_EQ(server_->compute_bytes(), 2008u);
}

TEST_F(ZmqTransportTest, AnUnknownKeyIsRefusedAndBothSidesKnow) {
  for (Channel channel : {Channel::kCompute, Channel::kBulk}) {
    connect(client_, channel);
    EXPECT_FALSE(send_to_server(client_, channel, "let me in", kFewAttempts));
    EXPECT_EQ(client_.link_state(server_keys_.public_key, channel), LinkState::kRefused);
  }
  EXPECT_EQ(server_->refused_handshakes(), 2u);
  EXPECT_NE(server_->last_refusal().find(client_keys_.public_key.brief()), std::string::npos);
  EXPECT_NE(server_->last_refusal().find("127.0.0.1"), std::string::npos);
}

TEST_F(ZmqTransportTest, ARefusedKeyIsWelcomeOnceItIsOnTheList) {
  connect(client_, Channel::kCompute);
  EXPECT_FALSE(send_to_server(client_, Channel::kCompute, "let me in", kFewAttempts));
  admit(client_keys_);
  connect(client_, Channel::kCompute);
  expect_passes(client_, client_keys_.public_key, Channel::kCompute);
}

TEST_F(ZmqTransportTest, TheJoinChannelIsOpenToStrangersAndNothingElseIs) {
  connect(client_, Channel::kJoin);
  connect(client_, Channel::kCompute);
  expect_passes(client_, client_keys_.public_key, Channel::kJoin);
  ASSERT_TRUE(server_->send(client_keys_.public_key, Channel::kJoin, frames("welcome")).ok());
  auto answer = at_client(client_);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->channel, Channel::kJoin);
  Status compute = server_->send(client_keys_.public_key, Channel::kCompute, frames("work"));
  ASSERT_FALSE(compute.ok());
  EXPECT_EQ(compute.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(send_to_server(client_, Channel::kCompute, "work", kFewAttempts));
}

TEST_F(ZmqTransportTest, StrangersBeyondTheRateComeInLaterByThemselves) {
  std::vector<std::unique_ptr<ZmqClientTransport>> strangers;
  for (uint32_t i = 0; i < HandshakePolicy::kStrangersAtOnce + 2; ++i) {
    strangers.push_back(std::make_unique<ZmqClientTransport>(generate_curve_keys()));
    connect(*strangers.back(), Channel::kJoin);
  }
  std::set<PeerKey> heard;
  // Those who have to wait try again when their handshake's five seconds are over.
  for (int i = 0; i < 3 * kAttempts && heard.size() < strangers.size(); ++i) {
    for (auto& stranger : strangers) {
      (void)stranger->send(server_keys_.public_key, Channel::kJoin, frames("may I?"));
    }
    while (auto envelope = server_->receive(kStep)) heard.insert(envelope->peer);
  }
  EXPECT_EQ(heard.size(), strangers.size());
  EXPECT_EQ(server_->refused_handshakes(), 0u);
}

TEST_F(ZmqTransportTest, AClosedJoinChannelRefusesStrangers) {
  server_->open_join(false);
  connect(client_, Channel::kJoin);
  EXPECT_FALSE(send_to_server(client_, Channel::kJoin, "let me in", kFewAttempts));
  EXPECT_EQ(client_.link_state(server_keys_.public_key, Channel::kJoin), LinkState::kRefused);
}

// They ask there for the other endpoints.
TEST_F(ZmqTransportTest, AClosedJoinChannelLetsMembersIn) {
  server_->open_join(false);
  admit(client_keys_);
  connect(client_, Channel::kJoin);
  EXPECT_TRUE(send_to_server(client_, Channel::kJoin, "where is compute?"));
  auto asked = at_server();
  ASSERT_TRUE(asked.has_value());
  EXPECT_EQ(asked->peer, client_keys_.public_key);
  EXPECT_EQ(asked->channel, Channel::kJoin);
}

TEST_F(ZmqTransportTest, AServerWithAnotherKeyIsNotTalkedTo) {
  admit(client_keys_);
  PeerKey wrong = generate_curve_keys().public_key;
  ASSERT_TRUE(client_.connect(wrong, Channel::kCompute, server_->compute_endpoint()).ok());
  for (int i = 0; i < kFewAttempts; ++i) {
    EXPECT_FALSE(client_.send(wrong, Channel::kCompute, frames("secret")).ok());
    EXPECT_FALSE(server_->receive(kStep).has_value());
  }
  EXPECT_NE(client_.link_state(wrong, Channel::kCompute), LinkState::kConnected);
}

TEST_F(ZmqTransportTest, ARevokedKeyIsNotHeardAnyMoreAndGetsNothing) {
  admit(client_keys_);
  connect(client_, Channel::kCompute);
  expect_passes(client_, client_keys_.public_key, Channel::kCompute);
  ASSERT_TRUE(allowed_.remove(client_keys_.public_key).ok());
  Status sent = server_->send(client_keys_.public_key, Channel::kCompute, frames("work"));
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().code, ErrorCode::kNotFound);
  ASSERT_TRUE(send_to_server(client_, Channel::kCompute, "still here"));
  EXPECT_FALSE(at_server(kFewAttempts).has_value());
  EXPECT_EQ(server_->dropped_messages(), 1u);
}

TEST_F(ZmqTransportTest, SendingToAVanishedPeerFails) {
  admit(client_keys_);
  Status never = server_->send(client_keys_.public_key, Channel::kCompute, frames("x"));
  ASSERT_FALSE(never.ok());
  EXPECT_EQ(never.error().code, ErrorCode::kNotFound);
  connect(client_, Channel::kCompute);
  expect_passes(client_, client_keys_.public_key, Channel::kCompute);
  client_.disconnect(server_keys_.public_key);
  EXPECT_EQ(client_.link_state(server_keys_.public_key, Channel::kCompute), LinkState::kClosed);
  Status sent;
  for (int i = 0; i < kAttempts && sent.ok(); ++i) {
    sent = server_->send(client_keys_.public_key, Channel::kCompute, frames("x"));
    EXPECT_FALSE(server_->receive(kStep).has_value());
  }
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().code, ErrorCode::kNotFound);
  EXPECT_FALSE(client_.send(server_keys_.public_key, Channel::kCompute, frames("x")).ok());
}

TEST_F(ZmqTransportTest, AKeyThatConnectsAnewIsReachedOnItsNewConnection) {
  admit(client_keys_);
  connect(client_, Channel::kCompute);
  expect_passes(client_, client_keys_.public_key, Channel::kCompute);
  ZmqClientTransport again(client_keys_);  // the old connection has not gone yet
  connect(again, Channel::kCompute);
  expect_passes(again, client_keys_.public_key, Channel::kCompute);
  ASSERT_TRUE(server_->send(client_keys_.public_key, Channel::kCompute, frames("work")).ok());
  EXPECT_TRUE(at_client(again).has_value());
  EXPECT_FALSE(at_client(client_, kFewAttempts).has_value());
}

TEST_F(ZmqTransportTest, OneClientServesTwoCoordinators) {
  CurveKeyPair other_keys = generate_curve_keys();
  admit(client_keys_);
  auto other = ZmqServerTransport::listen({other_keys, "127.0.0.1", {}, 0}, allowed_);
  ASSERT_TRUE(other.ok());
  connect(client_, Channel::kCompute);
  ASSERT_TRUE(
      client_.connect(other_keys.public_key, Channel::kCompute, (*other)->compute_endpoint()).ok());
  expect_passes(client_, client_keys_.public_key, Channel::kCompute);
  std::optional<Envelope> at_other;
  for (int i = 0; i < kAttempts && !at_other; ++i) {
    (void)client_.send(other_keys.public_key, Channel::kCompute, frames("hello other"));
    at_other = (*other)->receive(kStep);
  }
  ASSERT_TRUE(at_other.has_value());
  constexpr int kEach = 20;
  for (int i = 0; i < kEach; ++i) {
    ASSERT_TRUE(server_->send(client_keys_.public_key, Channel::kCompute, frames("1")).ok());
    ASSERT_TRUE((*other)->send(client_keys_.public_key, Channel::kCompute, frames("2")).ok());
  }
  int from_first = 0;
  int from_other = 0;
  while (from_first + from_other < 2 * kEach) {
    auto envelope = at_client(client_);
    ASSERT_TRUE(envelope.has_value());
    bool first = envelope->peer == server_keys_.public_key;
    EXPECT_EQ(text_of(*envelope), first ? "1" : "2");
    ++(first ? from_first : from_other);
  }
  EXPECT_EQ(from_first, kEach);
  EXPECT_EQ(from_other, kEach);
}

TEST_F(ZmqTransportTest, ComputeComesBeforeBulk) {
  admit(client_keys_);
  connect(client_, Channel::kCompute);
  connect(client_, Channel::kBulk);
  expect_passes(client_, client_keys_.public_key, Channel::kBulk);
  expect_passes(client_, client_keys_.public_key, Channel::kCompute);
  // Bulk is sent first, on a connection of its own: on a busy machine the compute message may not
  // have arrived when the server looks. Most of the time it has.
  constexpr int kRounds = 20;
  int compute_first = 0;
  for (int round = 0; round < kRounds; ++round) {
    ASSERT_TRUE(send_to_server(client_, Channel::kBulk, "bulk"));
    ASSERT_TRUE(client_.send(server_keys_.public_key, Channel::kCompute, frames("compute")).ok());
    for (int i = 0; i < 3; ++i) client_.receive(kStep);
    auto first = at_server();
    auto second = at_server();
    ASSERT_TRUE(first.has_value() && second.has_value());
    EXPECT_NE(first->channel, second->channel);
    compute_first += first->channel == Channel::kCompute ? 1 : 0;
  }
  EXPECT_GT(compute_first, kRounds / 2);
}

TEST_F(ZmqTransportTest, AnOversizedFrameEndsTheConnectionAndIsNotDelivered) {
  admit(client_keys_);
  connect(client_, Channel::kBulk);  // requests to the server are small
  expect_passes(client_, client_keys_.public_key, Channel::kBulk);
  ASSERT_TRUE(client_.send(server_keys_.public_key, Channel::kBulk, frames("big", kMiB)).ok());
  Status gone;  // on a busy machine the frame takes its time
  for (int i = 0; i < kAttempts && gone.ok(); ++i) {
    ASSERT_FALSE(at_server(1).has_value());
    gone = server_->send(client_keys_.public_key, Channel::kBulk, frames("x"));
  }
  ASSERT_FALSE(gone.ok());
  EXPECT_EQ(gone.error().code, ErrorCode::kNotFound);
  expect_comes_back(client_, client_keys_.public_key, Channel::kBulk);
}

TEST_F(ZmqTransportTest, AFullQueueIsAnErrorAndNotAWait) {
  admit(client_keys_);
  connect(client_, Channel::kBulk);
  expect_passes(client_, client_keys_.public_key, Channel::kBulk);
  Status sent;
  for (int i = 0; i < 1000 && sent.ok(); ++i) {  // the client does not read
    sent = server_->send(client_keys_.public_key, Channel::kBulk,
                         frames("part", limits::kBulkPartBytes / 4));
  }
  ASSERT_FALSE(sent.ok());
  EXPECT_EQ(sent.error().code, ErrorCode::kLimit);
  EXPECT_TRUE(at_client(client_).has_value());
}

TEST_F(ZmqTransportTest, WorkersFindACoordinatorThatRestartsOnItsPort) {
  admit(client_keys_);
  for (Channel channel : {Channel::kJoin, Channel::kCompute}) connect(client_, channel);
  expect_passes(client_, client_keys_.public_key, Channel::kJoin);
  expect_passes(client_, client_keys_.public_key, Channel::kCompute);
  std::string join = server_->join_endpoint();
  auto port = static_cast<uint16_t>(std::stoi(join.substr(join.rfind(':') + 1)));
  server_.reset();
  // Notices that the server is gone.
  for (int i = 0; i < kAttempts; ++i) {
    if (!client_.send(server_keys_.public_key, Channel::kJoin, frames("anybody?")).ok()) break;
    client_.receive(kStep);
  }
  EXPECT_FALSE(client_.send(server_keys_.public_key, Channel::kJoin, frames("anybody?")).ok());
  server_ = listen(port);
  EXPECT_EQ(server_->join_endpoint(), join);
  expect_passes(client_, client_keys_.public_key, Channel::kJoin);
}

TEST_F(ZmqTransportTest, AChosenPortGivesThreeKnownPortsOrSaysThatItIsTaken) {
  std::string join = server_->join_endpoint();
  auto port = static_cast<uint16_t>(std::stoi(join.substr(join.rfind(':') + 1)));
  auto second = ZmqServerTransport::listen({server_keys_, "127.0.0.1", {}, port}, allowed_);
  ASSERT_FALSE(second.ok());
  EXPECT_NE(second.error().message.find("127.0.0.1:" + std::to_string(port)), std::string::npos);
}

TEST_F(ZmqTransportTest, SaysWhichOfThePortsBehindTheChosenOneWereTaken) {
  EXPECT_TRUE(server_->missed_ports().empty()) << "no port was chosen";
  server_.reset();
  // Three ports in a row that are free, the second of them taken by this test.
  for (uint32_t port = 20000; port < 60000; port += 3) {
    auto taken = ListenSocket::open("127.0.0.1", port + 1);
    if (!taken) continue;
    auto server = ZmqServerTransport::listen(
        {server_keys_, "127.0.0.1", {}, static_cast<uint16_t>(port)}, allowed_);
    if (!server || (*server)->missed_ports().size() > 1) continue;
    EXPECT_EQ((*server)->missed_ports(), std::vector{static_cast<uint16_t>(port + 1)});
    return;
  }
  FAIL() << "no free ports";
}

TEST_F(ZmqTransportTest, WildcardsAndNonsenseAreNoListenAddresses) {
  for (const char* host : {"0.0.0.0", "*", "::", "[::]", "", "a b", "127.0.0.1;tcp://x"}) {
    auto server = ZmqServerTransport::listen({server_keys_, host, {}, 0}, allowed_);
    ASSERT_FALSE(server.ok()) << host;
    EXPECT_EQ(server.error().code, ErrorCode::kInvalidArgument);
  }
  auto elsewhere = ZmqServerTransport::listen({server_keys_, "192.0.2.1", {}, 0}, allowed_);
  EXPECT_FALSE(elsewhere.ok());
}

TEST_F(ZmqTransportTest, OnAllInterfacesItSaysByWhichAPeerCame) {
  for (const char* everywhere : {"0.0.0.0", "[::]"}) {
    auto server = ZmqServerTransport::listen({server_keys_, everywhere, "192.0.2.7", 0}, allowed_);
    ASSERT_TRUE(server.ok()) << server.error().message;
    server_ = std::move(*server);
    server_->open_join(true);
    std::string join = server_->join_endpoint();
    EXPECT_TRUE(join.starts_with("tcp://192.0.2.7:")) << join;
    EXPECT_TRUE(server_->compute_endpoint().starts_with("tcp://192.0.2.7:"));
    EXPECT_EQ(server_->reached_host(client_keys_.public_key), "192.0.2.7");
    for (const char* host : {"127.0.0.1", "127.0.0.5"}) {
      std::string endpoint = "tcp://" + std::string(host) + join.substr(join.rfind(':'));
      ZmqClientTransport client(client_keys_);
      ASSERT_TRUE(client.connect(server_keys_.public_key, Channel::kJoin, endpoint).ok());
      expect_passes(client, client_keys_.public_key, Channel::kJoin);
      EXPECT_EQ(server_->reached_host(client_keys_.public_key), host) << everywhere;
    }
  }
}

TEST_F(ZmqTransportTest, ReceivingWithoutAnyLinkReturns) {
  EXPECT_FALSE(client_.receive({}).has_value());
  EXPECT_FALSE(client_.receive(kStep).has_value());
  EXPECT_FALSE(client_.connect(server_keys_.public_key, Channel::kCompute, "ipc:///tmp/x").ok());
}

// --- peers that do not use our client ------------------------------------------------------------

// A DEALER of libzmq with a routing id of its own choice.
class ZmqRawPeer {
 public:
  ZmqRawPeer(const CurveKeyPair& keys, const PeerKey& server, const std::string& routing_id,
             const std::string& endpoint)
      : socket_(context_, zmq::socket_type::dealer) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::curve_serverkey, zmq::buffer(server.bytes));
    socket_.set(zmq::sockopt::curve_publickey, zmq::buffer(keys.public_key.bytes));
    socket_.set(zmq::sockopt::curve_secretkey, zmq::buffer(keys.secret));
    socket_.set(zmq::sockopt::routing_id, routing_id);
    socket_.connect(endpoint);
  }

  void send(const std::vector<std::string>& parts) {
    for (size_t i = 0; i < parts.size(); ++i) {
      (void)zmq_send_part(socket_, parts[i], i + 1 < parts.size());
    }
  }
  std::string receive() {
    zmq::message_t part;
    return zmq_receive_part(socket_, part) ? part.to_string() : "";
  }

 private:
  zmq::context_t context_;
  zmq::socket_t socket_;
};

TEST_F(ZmqTransportTest, AnImpostorWithTheSameRoutingIdTakesNothingOver) {
  CurveKeyPair impostor_keys = generate_curve_keys();
  admit(client_keys_);
  admit(impostor_keys);  // even a member cannot pass for another
  std::string endpoint = server_->compute_endpoint();
  ZmqRawPeer honest(client_keys_, server_keys_.public_key, "worker-1", endpoint);
  honest.send({"hello", ""});
  auto first = at_server();
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(first->peer, client_keys_.public_key);
  ZmqRawPeer impostor(impostor_keys, server_keys_.public_key, "worker-1", endpoint);
  impostor.send({"I am worker-1", ""});
  while (auto envelope = at_server(kFewAttempts)) {
    EXPECT_NE(envelope->peer, client_keys_.public_key);
  }
  ASSERT_TRUE(server_->send(client_keys_.public_key, Channel::kCompute, frames("work")).ok());
  std::string work;
  for (int i = 0; i < kAttempts && work.empty(); ++i) {
    EXPECT_FALSE(server_->receive(kStep).has_value());
    work = honest.receive();
  }
  EXPECT_EQ(work, "work");
  EXPECT_EQ(impostor.receive(), "");
}

TEST_F(ZmqTransportTest, MessagesOfOtherThanTwoFramesAreDroppedAndCounted) {
  admit(client_keys_);
  ZmqRawPeer peer(client_keys_, server_keys_.public_key, "w", server_->compute_endpoint());
  peer.send({"alone"});
  peer.send({"three", "frames", "here"});
  peer.send({"five", "frames", "are", "too", "many"});
  peer.send({"two", "frames"});
  auto envelope = at_server();
  ASSERT_TRUE(envelope.has_value());
  EXPECT_EQ(text_of(*envelope), "two");
  EXPECT_EQ(as_text(envelope->frames.tensor), "frames");
  EXPECT_FALSE(at_server(kFewAttempts).has_value());
  EXPECT_EQ(server_->dropped_messages(), 3u);
}

// --- closed by default ---------------------------------------------------------------------------

// Whether a peer gets through to a socket of ours whose context has, or lacks, a handler.
bool gets_through(bool with_handler) {
  CurveKeyPair keys = generate_curve_keys();
  CurveKeyPair peer_keys = generate_curve_keys();
  AllowList allowed;
  EXPECT_TRUE(allowed.add(peer_keys.public_key, "").ok());
  HandshakePolicy policy(allowed);
  zmq::context_t context = make_zmq_context();
  std::optional<ZapHandler> handler;
  if (with_handler) handler.emplace(std::move(*ZapHandler::start(context)));
  auto socket = open_zmq_socket(context, {Channel::kCompute, false, keys, std::nullopt});
  EXPECT_TRUE(socket.ok());
  socket->bind("tcp://127.0.0.1:*");
  ZmqRawPeer peer(peer_keys, keys.public_key, "w", socket->get(zmq::sockopt::last_endpoint));
  peer.send({"hello", ""});
  for (int i = 0; i < (with_handler ? kAttempts : kFewAttempts); ++i) {
    if (handler) handler->serve(policy, TimePoint(0));
    zmq::pollitem_t item{socket->handle(), 0, ZMQ_POLLIN, 0};
    if (zmq::poll(&item, 1, std::chrono::milliseconds(5)) > 0)
      return zmq_receive(*socket, true).has_value();
  }
  return false;
}

TEST(ZmqClosedByDefault, NobodyComesInWithoutAHandler) {
  EXPECT_FALSE(gets_through(false));
  EXPECT_TRUE(gets_through(true)) << "or the line above shows nothing";
}

TEST(ZmqClosedByDefault, ASecondHandlerInOneContextIsAnError) {
  zmq::context_t context = make_zmq_context();
  auto first = ZapHandler::start(context);
  ASSERT_TRUE(first.ok());
  EXPECT_FALSE(ZapHandler::start(context).ok());
}

// --- workers that serve each other ---

// Two workers; the first serves, the second fetches.
class ZmqServingTest : public testing::Test {
 protected:
  CurveKeyPair giver_keys_ = generate_curve_keys();
  CurveKeyPair taker_keys_ = generate_curve_keys();
  AllowList admitted_;  // by the giver
  ZmqClientTransport giver_{giver_keys_};
  ZmqClientTransport taker_{taker_keys_};
  std::string endpoint_;

  void SetUp() override {
    auto endpoint = giver_.serve("127.0.0.1", 0, admitted_);
    ASSERT_TRUE(endpoint.ok()) << endpoint.error().message;
    endpoint_ = *endpoint;
    ASSERT_TRUE(check_connect().ok());
  }
  Status check_connect() {
    return taker_.connect(giver_keys_.public_key, Channel::kBulk, endpoint_);
  }
  // What the giver hears; the taker asks until it can.
  std::optional<Envelope> ask(int attempts) {
    bool asked = false;
    for (int i = 0; i < attempts; ++i) {
      if (!asked) asked = taker_.send(giver_keys_.public_key, Channel::kBulk, frames("ask")).ok();
      if (auto envelope = giver_.receive(kStep)) return envelope;
    }
    return std::nullopt;
  }
};

TEST_F(ZmqServingTest, AWorkerOnTheListAsksAndIsAnswered) {
  ASSERT_TRUE(admitted_.add(taker_keys_.public_key, "").ok());
  auto asked = ask(kAttempts);
  ASSERT_TRUE(asked.has_value());
  EXPECT_EQ(asked->peer, taker_keys_.public_key);
  EXPECT_EQ(asked->channel, Channel::kServe);
  ASSERT_TRUE(
      giver_.send(taker_keys_.public_key, Channel::kServe, frames("answer", limits::kBulkPartBytes))
          .ok());
  std::optional<Envelope> answer;
  for (int i = 0; i < kAttempts && !answer; ++i) answer = taker_.receive(kStep);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->peer, giver_keys_.public_key);
  EXPECT_EQ(answer->channel, Channel::kBulk);
  EXPECT_EQ(answer->frames.tensor.size(), limits::kBulkPartBytes);
}

TEST_F(ZmqServingTest, NobodyElseGetsPastTheHandshake) {
  ASSERT_TRUE(admitted_.add(generate_curve_keys().public_key, "").ok());
  EXPECT_FALSE(ask(kFewAttempts).has_value());
  EXPECT_EQ(taker_.link_state(giver_keys_.public_key, Channel::kBulk), LinkState::kRefused);
  // The coordinator names it a moment later: a new connection gets in.
  ASSERT_TRUE(admitted_.add(taker_keys_.public_key, "").ok());
  ASSERT_TRUE(check_connect().ok());
  EXPECT_TRUE(ask(kAttempts).has_value());
  // And is not heard any more once it is named no longer.
  ASSERT_TRUE(admitted_.remove(taker_keys_.public_key).ok());
  EXPECT_FALSE(ask(kFewAttempts).has_value());
  EXPECT_FALSE(giver_.send(taker_keys_.public_key, Channel::kServe, frames("late")).ok());
}

TEST_F(ZmqServingTest, AnImpostorOfTheGiverIsNotHeard) {
  ASSERT_TRUE(admitted_.add(taker_keys_.public_key, "").ok());
  // The taker expects another key at that endpoint.
  PeerKey expected = generate_curve_keys().public_key;
  ASSERT_TRUE(taker_.connect(expected, Channel::kBulk, endpoint_).ok());
  for (int i = 0; i < kFewAttempts; ++i) {
    EXPECT_FALSE(taker_.send(expected, Channel::kBulk, frames("ask")).ok());
    EXPECT_FALSE(giver_.receive(kStep).has_value());
  }
}

TEST_F(ZmqServingTest, WithoutASocketThereIsNothingToServe) {
  EXPECT_FALSE(taker_.send(giver_keys_.public_key, Channel::kServe, frames("x")).ok());
  ZmqClientTransport third(generate_curve_keys());
  auto taken = third.serve(
      "127.0.0.1", static_cast<uint16_t>(std::stoi(endpoint_.substr(endpoint_.rfind(':') + 1))),
      admitted_);
  ASSERT_FALSE(taken.ok());
  EXPECT_NE(taken.error().message.find("cannot listen on"), std::string::npos);
}

}  // namespace
}  // namespace potluck
