#include "coordinator/serving/http/api_keys.h"

#include <algorithm>

#include <fmt/format.h>
#include <openssl/crypto.h>

#include "engine/chat/uncertain_end.h"

namespace potluck {
namespace {

constexpr size_t kKeyBytes = 4096;  // longer ones are not hashed
constexpr size_t kDigestDigits = 64;
constexpr size_t kNameBytes = 128;
constexpr std::string_view kLocalMark = "[local]";

std::string_view presented_key(const HttpHeaders& headers) {
  constexpr std::string_view kBearer = "bearer ";
  if (const std::string* value = find_header(headers, "authorization")) {
    const bool bearer = value->size() > kBearer.size() &&
                        std::equal(kBearer.begin(), kBearer.end(), value->begin(),
                                   [](char a, char b) { return a == (b | 0x20); });
    if (bearer) return trimmed(std::string_view(*value).substr(kBearer.size()));
  }
  const std::string* value = find_header(headers, "x-api-key");
  return value == nullptr ? std::string_view() : trimmed(*value);
}

// Takes as long for any two.
bool same_digest(const Digest& a, const Digest& b) {
  return CRYPTO_memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
}

bool is_iso_time(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00T00:00:00Z";
  return std::ranges::equal(text, kForm, [](char found, char wanted) {
    return wanted == '0' ? found >= '0' && found <= '9' : found == wanted;
  });
}

}  // namespace

Result<std::optional<ApiKey>> read_key_line(std::string_view line) {
  line = trimmed(line);
  if (line.empty() || line.front() == '#') return std::optional<ApiKey>();
  const auto digest = parse_digest(line.substr(0, kDigestDigits));
  // What stands there is not repeated: it may be a key.
  if (!digest || (line.size() > kDigestDigits &&
                  kWhiteSpace.find(line[kDigestDigits]) == std::string_view::npos)) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("expected the SHA-256 of a key as {} hexadecimal digits and, if you "
                             "like, a name",
                             kDigestDigits)};
  }
  ApiKey key{*digest, {}, {}};
  std::string_view rest = trimmed(line.substr(kDigestDigits));
  const std::string_view first = rest.substr(0, rest.find_first_of(kWhiteSpace));
  if (is_iso_time(first)) {
    key.created = first;
    rest = trimmed(rest.substr(first.size()));
  }
  if (rest.substr(0, rest.find_first_of(kWhiteSpace)) == kLocalMark) {
    key.local = true;
    rest = trimmed(rest.substr(kLocalMark.size()));
  }
  if (rest.size() > kNameBytes) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("a name has at most {} bytes, found {}", kNameBytes, rest.size())};
  }
  key.name = rest.empty() ? digest->brief() : std::string(rest);
  return std::optional<ApiKey>(std::move(key));
}

std::string write_key_line(const ApiKey& key) {
  const std::string mark = key.local ? std::string(kLocalMark) + " " : std::string();
  return fmt::format("{} {} {}{}", key.digest.hex(), key.created, mark, key.name);
}

Result<ApiKeys> ApiKeys::parse(std::string_view text) {
  ApiKeys keys = for_no_one();
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    auto key = read_key_line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (!key) return key.error().in(fmt::format("line {}", number));
    if (!*key) continue;
    if (keys.list_.size() == kMost) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("line {}: expected at most {} keys", number, kMost)};
    }
    keys.list_.push_back(**std::move(key));
  }
  return keys;
}

Result<ApiKeys> ApiKeys::load(Storage& storage, const std::string& path) {
  const auto bytes = read_file(storage, path, kFileBytes);
  if (!bytes) return bytes.error();
  auto keys = parse(as_text(*bytes));
  return keys ? std::move(keys) : keys.error().in(path);
}

ApiKeys ApiKeys::for_no_one() {
  ApiKeys keys;
  keys.required_ = true;
  return keys;
}

std::optional<std::string> ApiKeys::find(const HttpHeaders& headers) const {
  const std::string_view key = presented_key(headers);
  if (key.empty() || key.size() > kKeyBytes) return std::nullopt;
  const Digest digest = sha256(as_bytes(key));
  const ApiKey* found = nullptr;
  // All of them each time, the found one as well.
  for (const ApiKey& known : list_) {
    if (same_digest(known.digest, digest)) found = &known;
  }
  if (found == nullptr) return std::nullopt;
  return found->name;
}

}  // namespace potluck
