#include "coordinator/cluster/beacon_answerer.h"

#include <algorithm>

namespace potluck {

std::optional<ByteVector> BeaconAnswerer::on_datagram(const Datagram& datagram) {
  if (!datagram.near) return std::nullopt;
  if (!interface_.empty() && datagram.interface != interface_) return std::nullopt;
  auto message = decode_beacon(datagram.bytes);
  const auto* question = message ? std::get_if<BeaconQuestion>(&*message) : nullptr;
  if (question == nullptr || !take_turn(datagram.from.host)) return std::nullopt;
  BeaconAnswer answer = answer_;
  answer.nonce = question->nonce;
  return encode_beacon(answer);
}

bool BeaconAnswerer::take_turn(const std::string& host) {
  const TimePoint now = clock_.now();
  if (!askers_.contains(host) && askers_.size() >= kAskers) {
    askers_.erase(std::min_element(
        askers_.begin(), askers_.end(),
        [](const auto& a, const auto& b) { return a.second.filled_at < b.second.filled_at; }));
  }
  Asker& asker = askers_.try_emplace(host, Asker{kBeaconBurst, now}).first->second;
  const auto fresh = (now - asker.filled_at) / kBeaconInterval;
  if (fresh > 0) {
    asker.filled_at += fresh * kBeaconInterval;
    asker.left = static_cast<uint32_t>(std::min<int64_t>(kBeaconBurst, asker.left + fresh));
  }
  if (asker.left == 0) return false;
  --asker.left;
  return true;
}

}  // namespace potluck
