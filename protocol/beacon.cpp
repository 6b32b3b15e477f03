#include "protocol/beacon.h"

#include <algorithm>

#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr std::string_view kMagic = "PotluckB";
constexpr uint8_t kVersion = 1;

enum BeaconKind : uint8_t { kQuestion = 0, kAnswer = 1 };

constexpr size_t kHeadBytes = kMagic.size() + 2 + sizeof(uint64_t);
static_assert(kHeadBytes + 32 + 2 + 1 + kBeaconNameBytes <= kBeaconQuestionBytes);

Error bad_datagram(const char* what) {
  return {ErrorCode::kCorrupt, std::string("beacon: ") + what};
}

ByteWriter begin(BeaconKind kind, uint64_t nonce) {
  ByteWriter writer;
  writer.write(as_bytes(kMagic));
  writer.write(kVersion);
  writer.write(static_cast<uint8_t>(kind));
  writer.write(nonce);
  return writer;
}

ByteVector encode(const BeaconQuestion& question) {
  ByteVector bytes = begin(kQuestion, question.nonce).take();
  bytes.resize(kBeaconQuestionBytes);
  return bytes;
}

ByteVector encode(const BeaconAnswer& answer) {
  ByteWriter writer = begin(kAnswer, answer.nonce);
  std::string name = clean_text(answer.name, kBeaconNameBytes);
  writer.write(std::as_bytes(std::span(answer.coordinator.bytes)));
  writer.write(answer.join_port);
  writer.write(static_cast<uint8_t>(name.size()));
  writer.write(as_bytes(name));
  return writer.take();
}

Result<BeaconMessage> read_question(uint64_t nonce, ByteReader& reader) {
  auto rest = reader.take(kBeaconQuestionBytes - kHeadBytes);
  if (!rest || reader.remaining() > 0) return bad_datagram("a question has another length");
  bool zeros =
      std::all_of(rest->begin(), rest->end(), [](std::byte b) { return b == std::byte{}; });
  if (!zeros) return bad_datagram("a question ends in zeros");
  return BeaconMessage(BeaconQuestion{nonce});
}

Result<BeaconMessage> read_answer(uint64_t nonce, ByteReader& reader) {
  BeaconAnswer answer;
  answer.nonce = nonce;
  auto key = reader.take(answer.coordinator.bytes.size());
  auto port = reader.read<uint16_t>();
  auto length = reader.read<uint8_t>();
  if (!key || !port || !length) return bad_datagram("an answer is too short");
  if (*port == 0) return bad_datagram("an answer without a port");
  if (*length > kBeaconNameBytes || reader.remaining() != *length) {
    return bad_datagram("an answer has another length than its name");
  }
  answer.name = as_text(*reader.take(*length));
  if (clean_text(answer.name, kBeaconNameBytes) != answer.name) {
    return bad_datagram("a name with control characters");
  }
  std::transform(key->begin(), key->end(), answer.coordinator.bytes.begin(),
                 [](std::byte byte) { return std::to_integer<uint8_t>(byte); });
  answer.join_port = *port;
  return BeaconMessage(std::move(answer));
}

}  // namespace

ByteVector encode_beacon(const BeaconMessage& message) {
  return std::visit([](const auto& m) { return encode(m); }, message);
}

Result<BeaconMessage> decode_beacon(ByteSpan datagram) {
  ByteReader reader(datagram);
  auto magic = reader.take(kMagic.size());
  if (!magic || as_text(*magic) != kMagic) return bad_datagram("it does not begin with PotluckB");
  auto version = reader.read<uint8_t>();
  if (!version || *version != kVersion) return bad_datagram("it is of another version");
  auto kind = reader.read<uint8_t>();
  auto nonce = reader.read<uint64_t>();
  if (!kind || !nonce) return bad_datagram("it is too short");
  if (*kind == kQuestion) return read_question(*nonce, reader);
  if (*kind == kAnswer) return read_answer(*nonce, reader);
  return bad_datagram("it is neither a question nor an answer");
}

}  // namespace potluck
