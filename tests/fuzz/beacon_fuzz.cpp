// Any bytes as a datagram from the network: to the decoder, to a coordinator that answers, and to a
// worker that looks for one.
#include "coordinator/cluster/beacon_answerer.h"
#include "engine/base/check.h"
#include "protocol/peer_text.h"
#include "worker/beacon_search.h"

namespace potluck {
namespace {

// What was accepted reads the same after being written again, and there is one form of each.
void try_decoder(ByteSpan bytes) {
  auto message = decode_beacon(bytes);
  if (!message) return;
  ByteVector again = encode_beacon(*message);
  CHECK(std::equal(again.begin(), again.end(), bytes.begin(), bytes.end()));
}

Datagram datagram_of(ByteSpan bytes) {
  return {{"192.168.1.7", 40000}, "eth0", true, {bytes.begin(), bytes.end()}};
}

// An answer never makes more traffic than the question.
void try_answerer(ByteSpan bytes) {
  const ManualClock clock;
  BeaconAnswer facts;
  facts.join_port = 7700;
  facts.name = std::string(kBeaconNameBytes, 'n');
  auto answer = BeaconAnswerer(facts, "", clock).on_datagram(datagram_of(bytes));
  if (answer) CHECK(answer->size() <= bytes.size());
}

// With the right nonce, which the first bytes of a real answer would have to guess.
void try_search(ByteSpan bytes) {
  const ManualClock clock;
  SeededEntropy entropy(1);
  BeaconSearch search(entropy, clock);
  ByteVector question = *search.take_question();
  ByteVector answer(bytes.begin(), bytes.end());
  constexpr size_t kNonce = 10;
  for (size_t i = kNonce; i < kNonce + 8 && i < answer.size(); ++i) answer[i] = question[i];
  search.on_datagram(datagram_of(answer));
  for (const FoundPool& pool : search.found()) {
    CHECK(clean_text(pool.name, kBeaconNameBytes) == pool.name);
    for (const std::string& endpoint : pool.endpoints) CHECK(check_endpoint(endpoint).ok());
  }
}

}  // namespace
}  // namespace potluck

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace potluck;
  ByteSpan bytes = std::as_bytes(std::span(data, size));
  if (size > Datagram::kMostBytes) return 0;
  try_decoder(bytes);
  try_answerer(bytes);
  try_search(bytes);
  return 0;
}
