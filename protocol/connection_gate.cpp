// Two threads meet here. libzmq's I/O thread asks admit() about each connection that it accepts;
// the transport's thread reports what it took (delivered()) and lets the gate look around
// (sweep()). The descriptors are libzmq's: it closes them at any time, and the system then gives
// the same number to another file. Hence the kernel's cookie, which is never used twice, is
// compared before each use.
#include "protocol/connection_gate.h"

#include <algorithm>
#include <cstring>
#include <map>

#include <linux/filter.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>

#include "protocol/local_address.h"

namespace potluck {
namespace {

// libzmq does not tell which connection has authenticated, but the kernel knows how many of our
// bytes the peer has confirmed, and only a key that may come in is sent the last of them. What our
// side of a handshake comes to (RFC 23 and 26 of ZeroMQ): a greeting of 64 bytes and a WELCOME of
// 170, then a READY of 60 and more for a peer whose key may come in, or an ERROR of 14 at most for
// any other.
constexpr uint64_t kAuthenticatedBytes = 64 + 170 + 30;
// What encryption and framing add to a message, at most; and what libzmq's own signs of life come
// to, generously.
constexpr uint64_t kShareOfOverhead = 64;
constexpr uint64_t kMessageOverhead = 256;
constexpr uint64_t kBeatBytesPerSecond = 256;
// A look at one member takes three system calls, and there may be hundreds of members.
constexpr Duration kMemberInterval = std::chrono::milliseconds(100);

struct SocketFacts {
  uint64_t cookie = 0;
  uint64_t received = 0;  // bytes of the stream
  uint64_t taken = 0;     // bytes of ours that the peer has confirmed
};

std::optional<uint64_t> cookie_of(int descriptor) {
  uint64_t cookie = 0;
  socklen_t size = sizeof cookie;
  if (getsockopt(descriptor, SOL_SOCKET, SO_COOKIE, &cookie, &size) != 0) return std::nullopt;
  return cookie;
}

// Nothing if the descriptor is no open TCP connection any more.
std::optional<SocketFacts> facts_of(int descriptor) {
  auto cookie = cookie_of(descriptor);
  tcp_info info{};
  socklen_t size = sizeof info;
  if (!cookie || getsockopt(descriptor, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) {
    return std::nullopt;
  }
  return SocketFacts{*cookie, info.tcpi_bytes_received, info.tcpi_bytes_acked};
}

// Bytes of the stream that still wait in the kernel, which bounds them itself.
uint64_t unread_bytes(int descriptor) {
  int unread = 0;
  return ioctl(descriptor, FIONREAD, &unread) == 0 ? static_cast<uint64_t>(unread) : 0;
}

// The number of the first byte of the stream, from the packet that opened it. The kernel saved that
// packet because ListenSocket asked for it. It begins with the IP header; the TCP header behind it
// has its sequence number in bytes 4 to 7 (RFC 9293), and the packet that opens a connection uses
// up one number itself.
std::optional<uint32_t> first_sequence(int descriptor) {
  constexpr size_t kIpv6Header = 40;
  std::array<uint8_t, 256> packet{};
  socklen_t size = packet.size();
  if (getsockopt(descriptor, IPPROTO_TCP, TCP_SAVED_SYN, packet.data(), &size) != 0) {
    return std::nullopt;
  }
  size_t ip_header = packet[0] >> 4 == 6 ? kIpv6Header : (packet[0] & 0xfU) * 4;
  if (size < ip_header + 8) return std::nullopt;
  uint32_t sequence = 0;
  for (size_t i = 4; i < 8; ++i) sequence = sequence << 8 | packet[ip_header + i];
  return sequence + 1;
}

// A packet filter on the connection: data beyond `limit` never reaches the socket. Not every system
// has filters; then what libzmq limits, and sweep(), must do.
void limit_stream(int descriptor, uint32_t limit) {
  std::optional<uint32_t> first = first_sequence(descriptor);
  if (!first) return;
  // Packets begin with the TCP header: byte 12 holds its length in its upper half, in words; the
  // sequence number is at 4. Packets without data (confirmations, ends) always pass. Sequence
  // numbers wrap at 32 bits, and so does the subtraction: its result is where in the stream the
  // packet begins. A packet that begins before the limit passes whole.
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 12),
      BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
      BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 2),
      BPF_STMT(BPF_MISC | BPF_TAX, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_X, 0, 3, 0),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
      BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, *first),
      BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, limit, 1, 0),
      BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
      BPF_STMT(BPF_RET | BPF_K, 0),
  };
  sock_fprog program{static_cast<unsigned short>(std::size(code)), code};
  (void)setsockopt(descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

}  // namespace

Admission judge_arrival(std::span<const GuestConnection> guests, const AddressGroup& newcomer,
                        TimePoint now, size_t capacity, Duration turn) {
  if (guests.size() < capacity) return {true};
  std::map<AddressGroup, size_t> counts;
  for (const GuestConnection& guest : guests) ++counts[guest.group];
  auto fullest = std::max_element(counts.begin(), counts.end(),
                                  [](const auto& a, const auto& b) { return a.second < b.second; });
  if (fullest == counts.end()) return {false};  // no places at all
  // More than one place apart: otherwise two groups would take the same place from each other in
  // turn.
  bool unfair = fullest->second > counts[newcomer] + 1;
  std::optional<size_t> oldest;
  for (size_t i = 0; i < guests.size(); ++i) {
    if (unfair && guests[i].group != fullest->first) continue;
    if (!oldest || guests[i].since < guests[*oldest].since) oldest = i;
  }
  if (unfair || now - guests[*oldest].since >= turn) return {true, oldest};
  return {false};
}

bool ConnectionGate::admit(int descriptor, const sockaddr_storage& from, TimePoint now) {
  MutexLock lock(mutex_);
  // The previous connection with this descriptor is gone.
  auto gone = [&](const Connection& old) { return old.descriptor == descriptor; };
  std::erase_if(guests_, gone);
  std::erase_if(members_, gone);
  refresh_guests();
  // Only when it matters: connections that have ended still count as members until the next look.
  if (limits_.members > 0 && members_.size() >= limits_.members) refresh_members(now);
  bool full = limits_.members > 0 && members_.size() >= limits_.members;
  std::vector<GuestConnection> guests;
  for (const Connection& guest : guests_) guests.push_back(guest.guest);
  AddressGroup group = AddressGroup::of(from);
  Admission admission = full ? Admission{} : judge_arrival(guests, group, now, limits_.guests);
  std::optional<uint64_t> cookie = cookie_of(descriptor);
  if (!admission.admitted || !cookie) {
    ++turned_away_;
    return false;
  }
  if (admission.evicted) cut_off(&guests_, *admission.evicted);
  if (limits_.lifetime_bytes > 0) limit_stream(descriptor, limits_.lifetime_bytes);
  guests_.push_back(
      {descriptor, *cookie, {group, now}, address_text(from), local_address_of(descriptor)});
  return true;
}

void ConnectionGate::delivered(int descriptor, std::string_view peer, uint64_t bytes) {
  MutexLock lock(mutex_);
  for (std::vector<Connection>* connections : {&members_, &guests_}) {
    for (Connection& connection : *connections) {
      if (!connection.sent(descriptor, peer)) continue;
      // What libzmq adds to a message crosses the wire but is not delivered, so it is estimated
      // generously: a member that is cut off by mistake costs more than some memory.
      connection.delivered += bytes + bytes / kShareOfOverhead + kMessageOverhead;
      return;
    }
  }
}

void ConnectionGate::end(int descriptor, std::string_view peer) {
  MutexLock lock(mutex_);
  for (std::vector<Connection>* connections : {&members_, &guests_}) {
    for (size_t i = connections->size(); i-- > 0;) {
      if ((*connections)[i].sent(descriptor, peer)) cut_off(connections, i);
    }
  }
}

std::string ConnectionGate::local_address(int descriptor, std::string_view peer) const {
  MutexLock lock(mutex_);
  for (const std::vector<Connection>* connections : {&members_, &guests_}) {
    for (const Connection& connection : *connections) {
      if (connection.sent(descriptor, peer)) return connection.local;
    }
  }
  return {};
}

void ConnectionGate::sweep(TimePoint now) {
  MutexLock lock(mutex_);
  refresh_guests();
  if (now - members_seen_at_ >= kMemberInterval) refresh_members(now);
}

GateCounts ConnectionGate::counts() const {
  MutexLock lock(mutex_);
  return {guests_.size(), members_.size(), turned_away_};
}

void ConnectionGate::refresh_guests() {
  for (size_t i = guests_.size(); i-- > 0;) {
    std::optional<SocketFacts> facts = facts_of(guests_[i].descriptor);
    if (!facts || facts->cookie != guests_[i].cookie) {
      guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(i));
    } else if (limits_.members > 0 && facts->taken >= kAuthenticatedBytes) {
      members_.push_back(guests_[i]);
      guests_.erase(guests_.begin() + static_cast<std::ptrdiff_t>(i));
    } else if (facts->received > limits_.guest_bytes) {
      cut_off(&guests_, i);
    }
  }
}

void ConnectionGate::refresh_members(TimePoint now) {
  members_seen_at_ = now;
  for (size_t i = members_.size(); i-- > 0;) {
    const Connection& member = members_[i];
    std::optional<SocketFacts> facts = facts_of(member.descriptor);
    auto age = std::chrono::duration_cast<std::chrono::seconds>(now - member.guest.since).count();
    // The kernel's count of received bytes includes those that libzmq has not read yet.
    uint64_t explained = member.delivered + static_cast<uint64_t>(age) * kBeatBytesPerSecond +
                         unread_bytes(member.descriptor);
    if (!facts || facts->cookie != member.cookie) {
      members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(i));
    } else if (facts->received > explained && facts->received - explained > limits_.backlog_bytes) {
      cut_off(&members_, i);
    }
  }
}

// Ends the stream instead of closing the descriptor, which is libzmq's: it notices, and closes it
// itself. The gate's mutex is held from the look at the cookie on, so admit() cannot hand the same
// descriptor to a new connection in between.
void ConnectionGate::cut_off(std::vector<Connection>* connections, size_t index) {
  const Connection& connection = (*connections)[index];
  if (cookie_of(connection.descriptor) == connection.cookie) {
    (void)shutdown(connection.descriptor, SHUT_RDWR);
  }
  connections->erase(connections->begin() + static_cast<std::ptrdiff_t>(index));
  ++turned_away_;
}

}  // namespace potluck
