#include "protocol/invitation.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <openssl/crypto.h>

#include "protocol/base64url.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr std::string_view kPrefix = "potluck1.";
// Against slips in copying, noticed before anything is sent; the secret protects itself. Of altered
// tokens one in four billion passes.
constexpr size_t kChecksumBytes = 4;
// Keys, secret, expiry and the longest endpoint come to less.
constexpr size_t kTokenCharacters = 600;
// With what people paste along.
constexpr size_t kPastedCharacters = 8192;

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
ByteVector checksum(ByteSpan body) {
  Sha256Stream stream;
  stream.update(as_bytes(kPrefix));
  stream.update(body);
  Digest digest = stream.finish();
  auto bytes = std::as_bytes(std::span(digest.bytes)).first(kChecksumBytes);
  return {bytes.begin(), bytes.end()};
}

template <size_t kSize>
Status read_array(ByteReader& reader, std::array<uint8_t, kSize>* out) {
  auto taken = reader.take(kSize);
  if (!taken) return taken.error();
  std::transform(taken->begin(), taken->end(), out->begin(),
                 [](std::byte byte) { return std::to_integer<uint8_t>(byte); });
  return {};
}

Result<Invitation> parse_body(ByteSpan body) {
  ByteReader reader(body);
  Invitation invitation;
  for (auto* part : {&invitation.coordinator.bytes, &invitation.signing_key, &invitation.secret}) {
    Status read = read_array(reader, part);
    if (!read) return bad_token("it is too short");
  }
  auto expires = reader.read<int64_t>();
  if (!expires) return bad_token("it is too short");
  invitation.expires_unix_seconds = *expires;
  auto endpoint = reader.take(reader.remaining());
  invitation.join_endpoint = as_text(*endpoint);
  Status fits = check_endpoint(invitation.join_endpoint);
  if (!fits) return bad_token("it does not name an endpoint tcp://HOST:PORT");
  return invitation;
}

Result<Invitation> parse_token(std::string_view token) {
  if (token.size() > kTokenCharacters) return bad_token("it is too long");
  auto bytes = decode_base64url(token.substr(kPrefix.size()));
  if (!bytes) return bad_token("a character is missing, altered or added");
  if (bytes->size() < kChecksumBytes) return bad_token("it is too short");
  ByteSpan body = ByteSpan(*bytes).first(bytes->size() - kChecksumBytes);
  ByteSpan found = ByteSpan(*bytes).last(kChecksumBytes);
  ByteVector expected = checksum(body);
  if (!std::equal(found.begin(), found.end(), expected.begin())) {
    return bad_token("the checksum does not match; a character is missing or altered");
  }
  return parse_body(body);
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

std::string Invitation::token() const {
  ByteWriter body;
  for (const auto* part : {&coordinator.bytes, &signing_key, &secret}) {
    body.write(ByteSpan(std::as_bytes(std::span(*part))));
  }
  body.write(expires_unix_seconds);
  body.write(as_bytes(join_endpoint));
  body.write(ByteSpan(checksum(body.bytes())));
  return std::string(kPrefix) + encode_base64url(body.bytes());
}

Result<Invitation> parse_invitation(std::string_view pasted) {
  if (pasted.size() > kPastedCharacters) return bad_token("it is too long");
  std::vector<std::string_view> words = words_of(pasted);
  auto word = std::find_if(words.begin(), words.end(),
                           [](std::string_view text) { return text.starts_with(kPrefix); });
  if (word == words.end()) return bad_token("expected it to begin with \"potluck1.\"");
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
  entropy.fill(std::as_writable_bytes(std::span(blank.secret)));
  blank.expires_unix_seconds = expires_unix_seconds;
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
