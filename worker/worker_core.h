// WorkerCore: the worker as a state machine: event in, actions out. It joins coordinators, fetches
// the units it is assigned, verifies and stores them, and computes. It keeps no state of any
// conversation: hidden state in, partial sum out. It may belong to several pools at once; grains
// that two models share lie on disk once. Clock, storage, kernels and threads are handed in;
// sockets live outside. One thread.
//
//   per coordinator:  kJoining -> kGreeting -> kFetchingManifest -> kMember
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/base/clock.h"
#include "engine/base/thread_pool.h"
#include "engine/experts/expert_compute.h"
#include "engine/experts/grain_store.h"
#include "engine/experts/stored_source.h"
#include "protocol/message.h"
#include "protocol/transport.h"

namespace potluck {

struct WorkerOptions {
  std::string name;         // for people
  std::string software;     // "potluck 0.1.0, avx2"
  uint64_t ram_bytes = 0;   // cache of all pools together
  uint64_t disk_bytes = 0;  // = the store's quota
};

// What the surroundings have to do.
struct SendMessage {
  PeerKey peer;
  Channel channel = Channel::kCompute;
  Message message;
  ByteVector tensor;
};
struct ConnectChannel {
  PeerKey coordinator;
  Channel channel = Channel::kCompute;
  std::string endpoint;
};
struct DisconnectPeer {
  PeerKey coordinator;
};
// Something a person should read; `fatal` ends the membership (refused, invitation expired).
struct Notice {
  PeerKey coordinator;
  std::string text;
  bool fatal = false;
};
using WorkerAction = std::variant<SendMessage, ConnectChannel, DisconnectPeer, Notice>;

// How to reach a pool: an invitation, or what JoinAccept said the last time.
struct PoolAddress {
  PeerKey coordinator;
  SigningPublicKey signing_key{};
  std::optional<Invitation> invitation;  // set: redeem it first
  std::string compute_endpoint;          // else: go straight there
  std::string bulk_endpoint;
};

// Progress of one membership, for the terminal.
struct MembershipStatus {
  PeerKey coordinator;
  std::string phase;  // "joining", "greeting", "fetching manifest", "member"
  uint32_t units_assigned = 0;
  uint32_t units_ready = 0;
  uint64_t bytes_fetched = 0;
  uint64_t rows_computed = 0;
  uint64_t units_computed = 0;
};

class WorkerCore {
 public:
  // All references must outlive the core.
  WorkerCore(WorkerOptions options, GrainStore& store, const KernelTable& kernels, ThreadPool& pool,
             const Clock& clock);
  ~WorkerCore();

  void add_pool(const PoolAddress& address);
  void on_message(const PeerKey& from, Channel channel, Message message, ByteVector tensor);
  // The transport could not deliver to this coordinator.
  void on_unreachable(const PeerKey& coordinator);
  void on_tick();
  void leave_all();  // says goodbye

  // What to do now, in order; empties the list.
  std::vector<WorkerAction> take_actions();
  TimePoint next_tick() const;

  std::vector<MembershipStatus> status() const;
  uint64_t resident_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace potluck
