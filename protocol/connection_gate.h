// ConnectionGate: which TCP connections a listening socket keeps. Any host can open connections,
// and each costs a descriptor and memory before we know who it is; so those that have not
// authenticated yet are few, shared fairly between the addresses that want them, and cut off when
// they send more than a handshake needs. Those that have are cut off when libzmq holds more of
// theirs than whole messages can explain: it bounds the number of messages, but not of what one
// consists. Asks the kernel about sockets and changes no data. Any thread.
#pragma once

#include <array>
#include <compare>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <sys/socket.h>

#include "engine/base/clock.h"
#include "engine/base/thread_annotations.h"
#include "protocol/address_group.h"

namespace potluck {

// --- the policy, pure ----------------------------------------------------------------------------

struct GuestConnection {
  AddressGroup group;
  TimePoint since{0};
};

struct Admission {
  bool admitted = false;
  std::optional<size_t> evicted{};  // the index of the guest that makes room
};

// A guest that has had so long may have to make room for the next one. A handshake takes three
// round trips; the shorter this is, the more often an honest device finds a place in a flood.
inline constexpr Duration kGuestTurn = std::chrono::milliseconds(250);

// Whether a connection from `newcomer` comes in beside `guests`, of which there may be `capacity`.
// When all places are taken, a group that has more of them than the newcomer's would then have
// gives up its oldest; else a guest that had its turn goes; else the newcomer has to try again.
// The connection that had `turn` may have to go.
Admission judge_arrival(std::span<const GuestConnection> guests, const AddressGroup& newcomer,
                        TimePoint now, size_t capacity, Duration turn = kGuestTurn);

// --- the gate ------------------------------------------------------------------------------------

struct GateLimits {
  size_t guests = 16;    // connections that have not authenticated
  size_t members = 512;  // those that have; 0: they stay guests
  // What a guest may send in all; more ends the connection. Nothing but a handshake needs 1 KiB.
  uint64_t guest_bytes = 4096;
  // The kernel drops what a connection sends beyond that, whether we look or not; 0: it does not.
  // Only for sockets that open_listen_socket() prepared for it.
  uint32_t lifetime_bytes = 0;
  // What a member may have sent beyond what delivered() was told of; more ends the connection.
  uint64_t backlog_bytes = UINT64_MAX;
};

struct GateCounts {
  size_t guests = 0;
  size_t members = 0;
  uint64_t turned_away = 0;  // since the start: refused, evicted or cut off
};

class ConnectionGate {
 public:
  explicit ConnectionGate(const GateLimits& limits) : limits_(limits) {}

  // Whether this accepted connection may stay. The caller closes it otherwise.
  bool admit(int descriptor, const sockaddr_storage& from, TimePoint now);
  // A message of so many bytes was taken from a connection. Messages outlive their connection, and
  // its descriptor may be another one's by then: `peer` tells them apart, the address that the
  // message came from as libzmq writes it; empty if libzmq does not know.
  void delivered(int descriptor, std::string_view peer, uint64_t bytes);
  // The address of this machine that the connection came to, as local_address_of() writes it; empty
  // if it is gone. Of two connections from one address, one after the other with one descriptor,
  // it may be the other's: that is one by which the same peer reaches us as well.
  std::string local_address(int descriptor, std::string_view peer) const;
  // Ends a connection that sent such a message: its key is not let in any more.
  void end(int descriptor, std::string_view peer);
  // Notices what became of connections, and cuts off those that send too much. Call it often.
  void sweep(TimePoint now);
  GateCounts counts() const;

 private:
  struct Connection {
    int descriptor = -1;
    uint64_t cookie = 0;  // the kernel's name of the socket: descriptors are used again
    GuestConnection guest;
    std::string peer;   // its address
    std::string local;  // ours
    uint64_t delivered = 0;

    bool sent(int from, std::string_view address) const {
      return descriptor == from && (address.empty() || address == peer);
    }
  };

  void refresh_guests() REQUIRES(mutex_);
  void refresh_members(TimePoint now) REQUIRES(mutex_);
  void cut_off(std::vector<Connection>* connections, size_t index) REQUIRES(mutex_);

  GateLimits limits_;
  mutable Mutex mutex_;
  std::vector<Connection> guests_ GUARDED_BY(mutex_);
  std::vector<Connection> members_ GUARDED_BY(mutex_);
  uint64_t turned_away_ GUARDED_BY(mutex_) = 0;
  TimePoint members_seen_at_ GUARDED_BY(mutex_){0};
};

}  // namespace potluck
