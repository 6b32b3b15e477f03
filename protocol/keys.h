// Keys and identities. A device is its CURVE public key, nothing else: not its address, not a
// routing id, not a name it gives itself. Secret keys live in files of mode 0600 and are never
// logged. Plain values; any thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>

#include "engine/base/bytes.h"
#include "engine/base/random.h"
#include "engine/base/result.h"
#include "engine/base/signature.h"
#include "engine/base/storage.h"

namespace potluck {

// The identity of a device.
struct PeerKey {
  std::array<uint8_t, 32> bytes{};

  auto operator<=>(const PeerKey&) const = default;
  std::string text() const;   // Z85, 40 characters
  std::string brief() const;  // the first 8 of them, for logs
};

struct CurveKeyPair {
  PeerKey public_key;
  std::array<uint8_t, 32> secret{};
};

Result<PeerKey> parse_peer_key(std::string_view z85);

CurveKeyPair generate_curve_keys();
PeerKey curve_public_key(const std::array<uint8_t, 32>& secret);

// What a device keeps: its CURVE key pair and the key it signs manifests with (coordinators).
struct DeviceKeys {
  CurveKeyPair curve;
  SigningKey signing;
};

// Reads DIR/device.key, or creates it (mode 0600) at the first start. A key file that others may
// read, or that is malformed, is refused by name.
Result<DeviceKeys> load_or_create_keys(Storage& storage, const std::string& directory,
                                       Entropy& entropy);
DeviceKeys ephemeral_keys(Entropy& entropy);

}  // namespace potluck

template <>
struct std::hash<potluck::PeerKey> {
  size_t operator()(const potluck::PeerKey& key) const noexcept {
    return potluck::load<size_t>(key.bytes.data());
  }
};
