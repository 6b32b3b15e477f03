#include "coordinator/cluster/pairing_desk.h"

#include <algorithm>

#include <openssl/crypto.h>

#include "protocol/connection_gate.h"
#include "protocol/join_limits.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr size_t kDeviceNameBytes = 64;
// Addresses whose attempts are counted by themselves; beyond them the oldest is forgotten.
constexpr size_t kOriginsKept = 64;
// When the desk is full, a device that has waited for so long may have to make room.
constexpr Duration kDeskTurn = std::chrono::seconds(60);

Message refusal(RefusalReason reason, const char* why) {
  return Refusal{reason, why};
}

}  // namespace

PairingDesk::PairingDesk(const PeerKey& own_key, std::string name, Entropy& entropy,
                         const Clock& clock)
    : own_key_(own_key),
      name_(std::move(name)),
      entropy_(entropy),
      clock_(clock),
      attempts_{kPairingBurst, clock.now()} {}

// The same request again means that our answer was lost, or that the device's connection was made
// anew: it gets the same challenge. Another one is a new attempt, and takes the place of the first.
std::optional<Message> PairingDesk::on_request(const PeerKey& from, const AddressGroup& origin,
                                               const PairRequest& request) {
  Entry* known = entry_of(from);
  if (known != nullptr && known->commitment == request.commitment) {
    known->heard_at = clock_.now();
    return PairChallenge{known->nonce, name_};
  }
  if (!take_attempt(origin)) {
    return refusal(RefusalReason::kFull, "many devices ask to be admitted at present");
  }
  if (known != nullptr) {
    forget(from);
  } else if (!make_place(origin)) {
    return refusal(RefusalReason::kFull, "many devices wait to be admitted at present");
  }
  Entry entry;
  entry.key = from;
  entry.origin = origin;
  entry.name = clean_text(request.name, kDeviceNameBytes);
  entry.commitment = request.commitment;
  entropy_.fill(std::as_writable_bytes(std::span(entry.nonce)));
  entry.since = entry.heard_at = clock_.now();
  entries_.push_back(entry);
  return PairChallenge{entry.nonce, name_};
}

std::optional<Message> PairingDesk::on_reveal(const PeerKey& from, const PairReveal& reveal) {
  Entry* entry = entry_of(from);
  if (entry == nullptr) {
    return refusal(RefusalReason::kInvitation,
                   "nobody has admitted this device in time, or the coordinator has started again");
  }
  const PairKeys keys{from, own_key_};
  const Digest commitment = pairing_commitment(keys, reveal.nonce);
  if (CRYPTO_memcmp(commitment.bytes.data(), entry->commitment.bytes.data(),
                    commitment.bytes.size()) != 0) {
    forget(from);
    return refusal(RefusalReason::kInvitation, "the nonce is not the one that was committed to");
  }
  const TimePoint now = clock_.now();
  entry->heard_at = now;
  if (entry->code.empty()) {
    entry->code = pairing_code(keys, reveal.nonce, entry->nonce);
    entry->since = now;
    news_.push_back(describe(*entry));
  }
  const auto left = std::chrono::duration_cast<std::chrono::seconds>(deadline_of(*entry) - now);
  return PairPending{static_cast<uint32_t>(std::max<int64_t>(left.count(), 0))};
}

PairingDesk::Entry* PairingDesk::entry_of(const PeerKey& key) {
  auto found = std::find_if(entries_.begin(), entries_.end(),
                            [&](const Entry& entry) { return entry.key == key; });
  return found == entries_.end() ? nullptr : &*found;
}

WaitingDevice PairingDesk::describe(const Entry& entry) const {
  return {entry.key, entry.name, entry.code, clock_.now() - entry.since};
}

std::vector<WaitingDevice> PairingDesk::waiting() const {
  std::vector<WaitingDevice> devices;
  for (const Entry& entry : entries_) {
    if (!entry.code.empty()) devices.push_back(describe(entry));
  }
  return devices;
}

std::optional<WaitingDevice> PairingDesk::find(const std::string& code) const {
  for (const Entry& entry : entries_) {
    if (!entry.code.empty() && entry.code == code) return describe(entry);
  }
  return std::nullopt;
}

void PairingDesk::forget(const PeerKey& key) {
  std::erase_if(entries_, [&](const Entry& entry) { return entry.key == key; });
}

void PairingDesk::on_tick() {
  const TimePoint now = clock_.now();
  std::erase_if(entries_, [&](const Entry& entry) {
    return now >= deadline_of(entry) || now >= entry.heard_at + kPairingSilence;
  });
}

TimePoint PairingDesk::deadline_of(const Entry& entry) {
  return entry.since + (entry.code.empty() ? kRevealTime : kPairingTime);
}

TimePoint PairingDesk::next_tick() const {
  TimePoint next = TimePoint::max();
  for (const Entry& entry : entries_) {
    next = std::min({next, deadline_of(entry), entry.heard_at + kPairingSilence});
  }
  return next;
}

std::vector<WaitingDevice> PairingDesk::take_news() {
  return std::exchange(news_, {});
}

void PairingDesk::refill(Budget* budget, uint32_t most, Duration interval) const {
  const auto fresh = (clock_.now() - budget->filled_at) / interval;
  if (fresh <= 0) return;
  budget->filled_at += fresh * interval;
  budget->left = static_cast<uint32_t>(std::min<int64_t>(most, budget->left + fresh));
}

// An address that has used up its own attempts takes none of those of all.
bool PairingDesk::take_attempt(const AddressGroup& origin) {
  if (!origins_.contains(origin) && origins_.size() >= kOriginsKept) {
    auto oldest = std::min_element(
        origins_.begin(), origins_.end(),
        [](const auto& a, const auto& b) { return a.second.filled_at < b.second.filled_at; });
    origins_.erase(oldest);
  }
  Budget& own =
      origins_.try_emplace(origin, Budget{kPairingBurstPerOrigin, clock_.now()}).first->second;
  refill(&own, kPairingBurstPerOrigin, kPairingIntervalPerOrigin);
  refill(&attempts_, kPairingBurst, kPairingInterval);
  if (own.left == 0 || attempts_.left == 0) return false;
  --own.left;
  --attempts_.left;
  return true;
}

// As connections share the places of a listening socket.
bool PairingDesk::make_place(const AddressGroup& origin) {
  std::vector<GuestConnection> places;
  for (const Entry& entry : entries_) places.push_back({entry.origin, entry.since});
  const Admission admission =
      judge_arrival(places, origin, clock_.now(), limits::kWaitingDevices, kDeskTurn);
  if (admission.evicted) {
    entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(*admission.evicted));
  }
  return admission.admitted;
}

}  // namespace potluck
