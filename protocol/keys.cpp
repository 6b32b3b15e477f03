#include "protocol/keys.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <zmq.h>  // zmq.hpp has no calls for keys

#include "engine/base/check.h"
#include "engine/base/hash.h"

namespace potluck {
namespace {

constexpr size_t kZ85Characters = 40;  // of a 32-byte key
constexpr uint64_t kKeyFileBytes = 1024;
constexpr uint32_t kPrivateMode = 0600;
constexpr uint32_t kOthersMayRead = 0077;

// The lines of a key file.
constexpr std::string_view kFirstLine = "potluck device key 1\n";
constexpr std::string_view kCurveLabel = "curve ";
constexpr std::string_view kSigningLabel = "signing ";

std::string z85(const std::array<uint8_t, 32>& bytes) {
  char text[kZ85Characters + 1];
  CHECK(zmq_z85_encode(text, bytes.data(), bytes.size()) != nullptr);
  return text;
}

// Five characters can say more than 32 bits, and libzmq's decoder reads a C string. What encodes to
// the same text again has neither, so every key has one text.
Result<std::array<uint8_t, 32>> parse_z85(std::string_view text) {
  std::array<uint8_t, 32> bytes;
  std::string terminated(text);
  if (text.size() != kZ85Characters || terminated.find('\0') != std::string::npos ||
      zmq_z85_decode(bytes.data(), terminated.c_str()) == nullptr || z85(bytes) != text) {
    return Error{ErrorCode::kInvalidArgument, "a key is 40 characters of Z85"};
  }
  return bytes;
}

CurveKeyPair pair_of(const std::array<uint8_t, 32>& secret) {
  return {.public_key = curve_public_key(secret), .secret = secret};
}

std::string hex(const SigningKey::Secret& secret) {
  return Digest{secret}.hex();
}

std::string file_text(const DeviceKeys& keys) {
  return fmt::format("{}{}{}\n{}{}\n", kFirstLine, kCurveLabel, z85(keys.curve.secret),
                     kSigningLabel, hex(keys.signing.secret()));
}

// The rest of a line that starts with `label`; moves `text` behind it.
Result<std::string_view> take_line(std::string_view& text, std::string_view label) {
  size_t end = text.find('\n');
  if (end == std::string_view::npos || !text.starts_with(label) || end < label.size()) {
    return Error{ErrorCode::kCorrupt, fmt::format("expected a line \"{}...\"", label)};
  }
  std::string_view value = text.substr(label.size(), end - label.size());
  text.remove_prefix(end + 1);
  return value;
}

// Errors say which line is wrong and never what stands there. They may end up in a log or in a bug
// report.
Result<DeviceKeys> parse_keys(std::string_view text) {
  if (!text.starts_with(kFirstLine)) {
    return Error{ErrorCode::kCorrupt, "expected a potluck device key, version 1"};
  }
  text.remove_prefix(kFirstLine.size());
  auto curve_line = take_line(text, kCurveLabel);
  if (!curve_line) return curve_line.error();
  auto signing_line = take_line(text, kSigningLabel);
  if (!signing_line) return signing_line.error();
  auto curve = parse_z85(*curve_line);
  if (!curve) return Error{ErrorCode::kCorrupt, "the curve key is malformed"};
  auto signing = parse_digest(*signing_line);
  if (!signing || !text.empty()) {
    return Error{ErrorCode::kCorrupt, "the signing key is malformed or something follows it"};
  }
  return DeviceKeys{pair_of(*curve), SigningKey(signing->bytes)};
}

// Storage knows no permissions. A file that is not on the system's disk has none to check. Refused
// rather than repaired: other users may have read the keys already.
Status check_private(const std::string& path) {
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return {};
  if ((info.st_mode & kOthersMayRead) == 0) return {};
  return Error{ErrorCode::kRefused,
               fmt::format("{}: holds secret keys, but its mode {:04o} lets others in; expected "
                           "0600 (chmod 600)",
                           path, info.st_mode & 0777U)};
}

}  // namespace

std::string PeerKey::text() const {
  return z85(bytes);
}

std::string PeerKey::brief() const {
  return text().substr(0, 8);
}

Result<PeerKey> parse_peer_key(std::string_view text) {
  auto bytes = parse_z85(text);
  if (!bytes) return bytes.error();
  return PeerKey{*bytes};
}

CurveKeyPair generate_curve_keys() {
  char public_text[kZ85Characters + 1];
  char secret_text[kZ85Characters + 1];
  // Fails only for a libzmq without CURVE, with which nothing here could work.
  CHECK(zmq_curve_keypair(public_text, secret_text) == 0);
  auto secret = parse_z85(secret_text);
  auto public_key = parse_z85(public_text);
  return {.public_key = PeerKey{*public_key}, .secret = *secret};
}

PeerKey curve_public_key(const std::array<uint8_t, 32>& secret) {
  char public_text[kZ85Characters + 1];
  CHECK(zmq_curve_public(public_text, z85(secret).c_str()) == 0);
  return PeerKey{*parse_z85(public_text)};
}

Result<DeviceKeys> load_or_create_keys(Storage& storage, const std::string& directory,
                                       Entropy& entropy) {
  std::string path = directory + "/device.key";
  if (!storage.exists(path)) {
    Status made = storage.make_directories(directory);
    if (!made) return made.error();
    DeviceKeys keys = ephemeral_keys(entropy);
    // A file that is cut off by a power failure would be refused at every later start, hence
    // atomic.
    Status written = storage.write_atomic(path, as_bytes(file_text(keys)), kPrivateMode);
    if (!written) return written.error();
    return keys;
  }
  Status is_private = check_private(path);
  if (!is_private) return is_private.error();
  auto content = read_file(storage, path, kKeyFileBytes);
  if (!content) return content.error();
  auto keys = parse_keys(as_text(*content));
  if (!keys) return keys.error().in(path);
  return keys;
}

DeviceKeys ephemeral_keys(Entropy& entropy) {
  return {generate_curve_keys(), SigningKey::generate(entropy)};
}

}  // namespace potluck
