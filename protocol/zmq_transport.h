// The transport over ZeroMQ with CURVE on every socket: ROUTERs at the coordinator, DEALERs at the
// worker, one pair per channel. A key that is not on the allow list gets no further than the
// handshake (except on the join channel). All socket options are set in one function in
// zmq_socket.cpp, with the reason for each. Each object belongs to one thread.
#pragma once

#include <memory>
#include <vector>

#include "protocol/allow_list.h"
#include "protocol/transport.h"

namespace potluck {

struct ZmqWatch;

// The listening side: the coordinator, and workers towards each other. Fails to start if the
// address is taken, or if the authentication handler cannot run: closed, never open. Handshakes are
// answered inside receive(): no peer can connect unless the owner calls it. What strangers can cost
// is bounded: see ConnectionGate.
class ZmqServerTransport final : public Transport {
 public:
  struct Options {
    CurveKeyPair keys;
    // A numeric address of this machine, IPv6 in brackets; for all interfaces "0.0.0.0" or "[::]".
    std::string listen_host = "127.0.0.1";
    // The host in the endpoints below: needed for all interfaces, else the same.
    std::string advertised_host{};
    // Of the join socket; 0: any. Compute and bulk take the two ports behind it if they are free,
    // so that workers find a coordinator that restarts; else any, see missed_ports().
    uint16_t port = 0;
    // A worker that serves grains: no other channel than bulk, which takes the port above.
    bool only_bulk = false;
  };
  // `allow_list` is asked at every handshake; it must outlive the transport and belong to its
  // thread.
  static Result<std::unique_ptr<ZmqServerTransport>> listen(const Options& options,
                                                            const AllowList& allow_list);
  ~ZmqServerTransport() override;

  Status send(const PeerKey& peer, Channel channel, Frames frames) override;
  std::optional<Envelope> receive(Duration timeout) override;
  uint64_t compute_bytes() const override;

  std::string join_endpoint() const;
  std::string compute_endpoint() const;
  std::string bulk_endpoint() const;
  // Ports behind the chosen one that were taken: a worker that was away has to ask on the join
  // channel for the ones that are used instead.
  const std::vector<uint16_t>& missed_ports() const;
  // The local address by which a peer last reached the join channel, fit for an endpoint; the
  // advertised host if it did not.
  std::string reached_host(const PeerKey& peer) const;
  // Whether keys that are not on the list may use the join channel (at first: no). Close it while
  // no invitation is open: strangers then get no further than the handshake anywhere.
  void open_join(bool open);
  // Connections that were turned away before they authenticated: too many, or too talkative.
  uint64_t turned_away() const;
  // Handshakes that were refused because the key is on no list, and the last of them for a log.
  uint64_t refused_handshakes() const;
  std::string last_refusal() const;
  // Messages that were not two frames, or came from a key that is no longer on the list.
  uint64_t dropped_messages() const;

  // For a thread that waits for several transports: what to wait for. receive() afterwards.
  void add_watches(std::vector<ZmqWatch*>* watches);

 private:
  struct State;
  explicit ZmqServerTransport(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// The worker's side: connections to several coordinators and to workers that serve grains, and a
// socket of its own where it serves grains itself (kServe). send() fails with kNotFound while a
// connection is not finished or was lost: nothing is queued for a peer that is not there.
class ZmqClientTransport final : public Transport {
 public:
  explicit ZmqClientTransport(const CurveKeyPair& keys);
  ~ZmqClientTransport() override;

  // Connects one channel to a peer whose key must be `server`; reconnects by itself. A connection
  // of that channel that was there is closed.
  Status connect(const PeerKey& server, Channel channel, const std::string& endpoint);
  // Closes all channels to a peer.
  void disconnect(const PeerKey& server);
  void disconnect(const PeerKey& server, Channel channel);

  // Opens the socket for kServe; peers on the list may connect. Returns its endpoint, with the
  // advertised host if there is one. The list must outlive the transport and belong to its thread.
  Result<std::string> serve(const std::string& host, uint16_t port, const AllowList& allow_list,
                            const std::string& advertised_host = {});

  Status send(const PeerKey& peer, Channel channel, Frames frames) override;
  std::optional<Envelope> receive(Duration timeout) override;
  uint64_t compute_bytes() const override;

  LinkState link_state(const PeerKey& server, Channel channel);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace potluck
