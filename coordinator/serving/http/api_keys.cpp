#include "coordinator/serving/http/api_keys.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/chat/uncertain_end.h"

namespace potluck {
namespace {

constexpr uint64_t kFileBytes = 1 * kMiB;
constexpr size_t kKeyBytes = 4096;  // longer ones are not hashed
constexpr size_t kDigestDigits = 64;

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

}  // namespace

Result<ApiKeys> ApiKeys::parse(std::string_view text) {
  ApiKeys keys;
  for (size_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == '#') continue;
    const auto digest = parse_digest(line.substr(0, kDigestDigits));
    if (!digest || (line.size() > kDigestDigits &&
                    kWhiteSpace.find(line[kDigestDigits]) == std::string_view::npos)) {
      return Error{ErrorCode::kInvalidArgument,
                   fmt::format("line {}: expected the SHA-256 of a key as {} hexadecimal digits "
                               "and, if you like, a name",
                               number, kDigestDigits)};
    }
    const std::string_view name = trimmed(line.substr(kDigestDigits));
    keys.names_[*digest] = name.empty() ? digest->brief() : std::string(name);
  }
  if (keys.empty()) return Error{ErrorCode::kInvalidArgument, "there is no key in it"};
  return keys;
}

Result<ApiKeys> ApiKeys::load(Storage& storage, const std::string& path) {
  const auto bytes = read_file(storage, path, kFileBytes);
  if (!bytes) return bytes.error();
  auto keys = parse(as_text(*bytes));
  return keys ? std::move(keys) : keys.error().in(path);
}

std::optional<std::string> ApiKeys::find(const HttpHeaders& headers) const {
  const std::string_view key = presented_key(headers);
  if (key.empty() || key.size() > kKeyBytes) return std::nullopt;
  const auto found = names_.find(sha256(as_bytes(key)));
  if (found == names_.end()) return std::nullopt;
  return found->second;
}

}  // namespace potluck
