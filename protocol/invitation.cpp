#include "protocol/invitation.h"

#include <algorithm>
#include <array>
#include <optional>
#include <vector>

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/crypto.h>

#include "protocol/base64url.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr std::string_view kPrefix = "potluck2.";
constexpr std::string_view kFirstPrefix = "potluck1.";  // of earlier versions
// Against slips in copying, noticed before anything is sent; the secret protects itself. Of altered
// tokens one in 17 million passes; in the first form, one in four billion.
constexpr size_t kChecksumBytes = 3;
constexpr size_t kFirstChecksumBytes = 4;
// Keys, secret and the longest host name come to less.
constexpr size_t kTokenCharacters = 600;
// Base64 has three bytes in four characters.
constexpr size_t kBodyBytes = (kTokenCharacters - kPrefix.size()) * 3 / 4 - kChecksumBytes;
// With what people paste along.
constexpr size_t kPastedCharacters = 8192;
// The port that is not written down.
constexpr uint16_t kUsualPort = 7700;

Error bad_token(const char* what) {
  return {ErrorCode::kInvalidArgument, fmt::format("invitation token: {}", what)};
}

// Without what stands around a word when it was quoted, from a letter or a shell.
std::string_view unquoted(std::string_view word) {
  constexpr std::string_view kMarks = "\"'`<>()[],;:.!?";
  size_t first = word.find_first_not_of(kMarks);
  if (first == std::string_view::npos) return {};
  return word.substr(first, word.find_last_not_of(kMarks) - first + 1);
}

std::vector<std::string_view> words_of(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r\n\v\f";
  std::vector<std::string_view> words;
  while (!text.empty()) {
    size_t begin = std::min(text.find_first_not_of(kBlanks), text.size());
    size_t end = std::min(text.find_first_of(kBlanks, begin), text.size());
    if (std::string_view word = unquoted(text.substr(begin, end - begin)); !word.empty()) {
      words.push_back(word);
    }
    text.remove_prefix(end);
  }
  return words;
}

// Over the prefix as well, so that a token of another version never passes for one of this.
ByteVector checksum(std::string_view prefix, ByteSpan body, size_t length) {
  Sha256Stream stream;
  stream.update(as_bytes(prefix));
  stream.update(body);
  Digest digest = stream.finish();
  auto bytes = std::as_bytes(std::span(digest.bytes)).first(length);
  return {bytes.begin(), bytes.end()};
}

template <size_t kSize>
Status read_array(ByteReader& reader, std::array<uint8_t, kSize>* out) {
  auto taken = reader.take(kSize);
  if (!taken) return bad_token("it is too short");
  std::transform(taken->begin(), taken->end(), out->begin(),
                 [](std::byte byte) { return std::to_integer<uint8_t>(byte); });
  return {};
}

Status add_endpoint(std::string endpoint, Invitation* invitation) {
  if (Status fits = check_endpoint(endpoint); !fits) {
    return bad_token("it does not name an endpoint tcp://HOST:PORT");
  }
  invitation->endpoints.push_back(std::move(endpoint));
  return {};
}

// --- addresses -----------------------------------------------------------------------------------
// One after the other: a byte that says what follows, a port if it is another one than that of the
// address before, and the host. Addresses take 4 or 16 bytes; anything else is a byte with its
// length, and the text as it stands in an endpoint.

enum HostKind : uint8_t { kIpv4 = 0, kIpv6 = 1, kText = 2 };
constexpr uint8_t kOwnPort = 4;

// The bytes of an address that is written in the one usual way; nothing of any other host.
template <size_t kSize>
std::optional<std::array<std::byte, kSize>> address_bytes(int family, const std::string& text) {
  std::array<std::byte, kSize> bytes{};
  std::array<char, INET6_ADDRSTRLEN> back{};
  bool usual = inet_pton(family, text.c_str(), bytes.data()) == 1 &&
               inet_ntop(family, bytes.data(), back.data(), back.size()) != nullptr &&
               text == back.data();
  return usual ? std::optional(bytes) : std::nullopt;
}

std::string numeric_host(int family, ByteSpan bytes) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  return inet_ntop(family, bytes.data(), text.data(), text.size()) == nullptr ? "" : text.data();
}

// "tcp://HOST:PORT", which check_endpoint() has seen.
struct HostAndPort {
  std::string host;
  uint16_t port = 0;
};

HostAndPort split_endpoint(const std::string& endpoint) {
  constexpr size_t kScheme = std::string_view("tcp://").size();
  size_t colon = endpoint.rfind(':');
  uint32_t port = 0;
  for (char c : endpoint.substr(colon + 1)) port = port * 10 + static_cast<uint32_t>(c - '0');
  return {endpoint.substr(kScheme, colon - kScheme), static_cast<uint16_t>(port)};
}

ByteVector packed_address(const HostAndPort& place, uint16_t port_before) {
  ByteWriter writer;
  uint8_t own_port = place.port == port_before ? 0 : kOwnPort;
  auto begin = [&](HostKind kind) {
    writer.write(static_cast<uint8_t>(kind | own_port));
    if (own_port != 0) writer.write(place.port);
  };
  const std::string& host = place.host;
  bool bracketed = host.starts_with('[') && host.ends_with(']');
  if (auto ipv4 = address_bytes<4>(AF_INET, host)) {
    begin(kIpv4);
    writer.write(ByteSpan(*ipv4));
  } else if (auto ipv6 = address_bytes<16>(
                 AF_INET6, bracketed ? host.substr(1, host.size() - 2) : std::string())) {
    begin(kIpv6);
    writer.write(ByteSpan(*ipv6));
  } else {
    begin(kText);
    writer.write(static_cast<uint8_t>(host.size()));
    writer.write(as_bytes(host));
  }
  return writer.take();
}

Result<std::string> read_host(ByteReader& reader, uint8_t kind) {
  if (kind == kIpv4 || kind == kIpv6) {
    auto bytes = reader.take(kind == kIpv4 ? 4 : 16);
    if (!bytes) return bad_token("it is too short");
    if (kind == kIpv4) return numeric_host(AF_INET, *bytes);
    return "[" + numeric_host(AF_INET6, *bytes) + "]";
  }
  auto length = reader.read<uint8_t>();
  if (!length) return bad_token("it is too short");
  auto text = reader.take(*length);
  if (!text) return bad_token("it is too short");
  return std::string(as_text(*text));
}

Status read_addresses(ByteReader& reader, Invitation* invitation) {
  uint16_t port = kUsualPort;
  do {
    if (invitation->endpoints.size() == Invitation::kMostEndpoints) {
      return bad_token("it names too many addresses");
    }
    auto tag = reader.read<uint8_t>();
    if (!tag) return bad_token("it names no address");
    if ((*tag & ~kOwnPort) > kText) return bad_token("it is of a later version");
    if ((*tag & kOwnPort) != 0) {
      auto own = reader.read<uint16_t>();
      if (!own) return bad_token("it is too short");
      port = *own;
    }
    auto host = read_host(reader, *tag & ~kOwnPort);
    if (!host) return host.error();
    Status added = add_endpoint(fmt::format("tcp://{}:{}", *host, port), invitation);
    if (!added) return added;
  } while (reader.remaining() > 0);
  return {};
}

// --- the two forms -------------------------------------------------------------------------------

Result<Invitation> parse_first_body(ByteSpan body) {
  ByteReader reader(body);
  Invitation invitation;
  for (auto* part : {&invitation.coordinator.bytes, &invitation.signing_key, &invitation.secret}) {
    if (Status read = read_array(reader, part); !read) return read.error();
  }
  // The coordinator knows when it expires.
  if (!reader.read<int64_t>()) return bad_token("it is too short");
  auto endpoint = reader.take(reader.remaining());
  Status added = add_endpoint(std::string(as_text(*endpoint)), &invitation);
  if (!added) return added.error();
  return invitation;
}

Result<Invitation> parse_body(ByteSpan body) {
  ByteReader reader(body);
  Invitation invitation;
  if (Status read = read_array(reader, &invitation.coordinator.bytes); !read) return read.error();
  if (Status read = read_array(reader, &invitation.seed); !read) return read.error();
  invitation.secret = invitation_secret(invitation.seed);
  if (Status read = read_addresses(reader, &invitation); !read) return read.error();
  return invitation;
}

bool is_token(std::string_view word) {
  return word.starts_with(kPrefix) || word.starts_with(kFirstPrefix);
}

Result<Invitation> parse_token(std::string_view token) {
  if (token.size() > kTokenCharacters) return bad_token("it is too long");
  bool first = token.starts_with(kFirstPrefix);
  size_t check_bytes = first ? kFirstChecksumBytes : kChecksumBytes;
  auto bytes = decode_base64url(token.substr(kPrefix.size()));
  if (!bytes) return bad_token("a character is missing, altered or added");
  if (bytes->size() < check_bytes) return bad_token("it is too short");
  ByteSpan body = ByteSpan(*bytes).first(bytes->size() - check_bytes);
  ByteSpan found = ByteSpan(*bytes).last(check_bytes);
  ByteVector expected = checksum(first ? kFirstPrefix : kPrefix, body, check_bytes);
  if (!std::equal(found.begin(), found.end(), expected.begin())) {
    return bad_token("the checksum does not match; a character is missing or altered");
  }
  return first ? parse_first_body(body) : parse_body(body);
}

Digest hash_of(const InvitationSecret& secret) {
  return sha256(std::as_bytes(std::span(secret)));
}

// Looks at every entry and every byte, even after a match. Otherwise the time an answer takes could
// tell a stranger how close a guess came.
std::map<Digest, int64_t>::iterator find_constant_time(std::map<Digest, int64_t>& entries,
                                                       const Digest& wanted) {
  auto found = entries.end();
  for (auto entry = entries.begin(); entry != entries.end(); ++entry) {
    bool equal =
        CRYPTO_memcmp(entry->first.bytes.data(), wanted.bytes.data(), wanted.bytes.size()) == 0;
    found = equal ? entry : found;
  }
  return found;
}

}  // namespace

InvitationSecret invitation_secret(const InvitationSeed& seed) {
  Sha256Stream stream;
  stream.update(as_bytes("potluck invitation"));
  stream.update(std::as_bytes(std::span(seed)));
  return stream.finish().bytes;
}

std::string Invitation::token() const {
  ByteWriter body;
  body.write(ByteSpan(std::as_bytes(std::span(coordinator.bytes))));
  body.write(ByteSpan(std::as_bytes(std::span(seed))));
  uint16_t port = kUsualPort;
  for (size_t i = 0; i < std::min(endpoints.size(), kMostEndpoints); ++i) {
    if (!check_endpoint(endpoints[i])) continue;
    HostAndPort place = split_endpoint(endpoints[i]);
    ByteVector packed = packed_address(place, port);
    if (body.bytes().size() + packed.size() > kBodyBytes) break;
    body.write(ByteSpan(packed));
    port = place.port;
  }
  body.write(ByteSpan(checksum(kPrefix, body.bytes(), kChecksumBytes)));
  return std::string(kPrefix) + encode_base64url(body.bytes());
}

Result<Invitation> parse_invitation(std::string_view pasted) {
  if (pasted.size() > kPastedCharacters) return bad_token("it is too long");
  std::vector<std::string_view> words = words_of(pasted);
  auto word = std::find_if(words.begin(), words.end(), is_token);
  if (word == words.end()) return bad_token("expected it to begin with \"potluck2.\"");
  // A token that was broken over lines comes in several words. What is whole has the right
  // checksum; of a broken one, the reason that its first word gives is the best.
  std::string token(*word);
  Result<Invitation> first = parse_token(token);
  for (++word; word != words.end() && token.size() <= kTokenCharacters; ++word) {
    if (first) return first;
    token += *word;
    Result<Invitation> longer = parse_token(token);
    if (longer) return longer;
  }
  return first;
}

Invitation InvitationBook::issue(Invitation blank, int64_t expires_unix_seconds, Entropy& entropy) {
  entropy.fill(std::as_writable_bytes(std::span(blank.seed)));
  blank.secret = invitation_secret(blank.seed);
  open_[hash_of(blank.secret)] = expires_unix_seconds;
  return blank;
}

Status InvitationBook::redeem(const InvitationSecret& secret, int64_t now_unix_seconds,
                              const std::function<Status()>& admit) {
  Digest hash = hash_of(secret);
  auto entry = find_constant_time(open_, hash);
  if (entry == open_.end()) {
    // Used ones are kept for this sentence only, and no longer than they would have been good for
    // anyway.
    bool used = find_constant_time(used_, hash) != used_.end();
    std::erase_if(used_, [=](const auto& old) { return old.second <= now_unix_seconds; });
    return Error{ErrorCode::kRefused, used ? "the invitation was used already; ask for a new one"
                                           : "the invitation is unknown here; ask for a new one"};
  }
  int64_t expires = entry->second;
  if (expires <= now_unix_seconds) {
    open_.erase(entry);
    return Error{ErrorCode::kRefused, "the invitation has expired; ask for a new one"};
  }
  // First admitted, then used up: a full disk must not cost the user the invitation.
  if (Status admitted = admit(); !admitted) return admitted;
  open_.erase(entry);
  used_[hash] = expires;
  return {};
}

size_t InvitationBook::open_count(int64_t now_unix_seconds) const {
  auto open = [=](const auto& entry) { return entry.second > now_unix_seconds; };
  return static_cast<size_t>(std::count_if(open_.begin(), open_.end(), open));
}

}  // namespace potluck
