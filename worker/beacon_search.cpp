#include "worker/beacon_search.h"

#include <algorithm>

#include <fmt/format.h>

#include "protocol/peer_text.h"

namespace potluck {
namespace {

// A datagram may be lost, or come while a radio sleeps.
constexpr Duration kFirstPause = std::chrono::milliseconds(250);
constexpr Duration kLongestPause = std::chrono::seconds(2);

}  // namespace

BeaconSearch::BeaconSearch(Entropy& entropy, const Clock& clock)
    : clock_(clock), nonce_(entropy.next64()), ask_at_(clock.now()), pause_(kFirstPause) {}

std::optional<ByteVector> BeaconSearch::take_question() {
  if (clock_.now() < ask_at_) return std::nullopt;
  ask_at_ = clock_.now() + pause_;
  pause_ = std::min(2 * pause_, kLongestPause);
  return encode_beacon(BeaconQuestion{nonce_});
}

void BeaconSearch::on_datagram(const Datagram& datagram) {
  auto message = decode_beacon(datagram.bytes);
  const auto* answer = message ? std::get_if<BeaconAnswer>(&*message) : nullptr;
  // Another nonce: the answer to another device's question, or to none.
  if (answer == nullptr || answer->nonce != nonce_) return;
  std::string endpoint = fmt::format("tcp://{}:{}", datagram.from.host, answer->join_port);
  if (!check_endpoint(endpoint)) return;
  FoundPool* pool = pool_of(*answer, datagram.from.host);
  if (pool == nullptr) return;
  if (!found_at_) found_at_ = clock_.now();
  auto& endpoints = pool->endpoints;
  bool known = std::find(endpoints.begin(), endpoints.end(), endpoint) != endpoints.end();
  if (!known && endpoints.size() < kMostEndpoints) endpoints.push_back(std::move(endpoint));
}

FoundPool* BeaconSearch::pool_of(const BeaconAnswer& answer, const std::string& host) {
  const std::string prefix = "tcp://" + host + ":";
  size_t of_host = 0;
  for (FoundPool& pool : found_) {
    if (pool.coordinator == answer.coordinator) return &pool;
    if (pool.endpoints.front().starts_with(prefix)) ++of_host;
  }
  if (found_.size() >= kMostPools || of_host >= kMostPoolsPerHost) return nullptr;
  return &found_.emplace_back(FoundPool{answer.coordinator, answer.name, {}});
}

bool BeaconSearch::settled() const {
  return found_at_ && clock_.now() >= *found_at_ + kEnough;
}

}  // namespace potluck
