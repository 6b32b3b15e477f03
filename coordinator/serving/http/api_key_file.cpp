#include "coordinator/serving/http/api_key_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/serving/http/iso_time.h"
#include "engine/base/terminal_text.h"
#include "engine/chat/uncertain_end.h"

namespace potluck {
namespace {

// Clients and those who look for lost secrets know keys by such a beginning.
constexpr std::string_view kNewKeyPrefix = "sk-potluck-";
constexpr size_t kNewKeyBytes = 32;
constexpr size_t kNewNameBytes = 64;
constexpr uint32_t kForOwnerAlone = 0600;

std::string draw_key(Entropy& entropy) {
  Digest random;  // as many bytes, and a form in digits
  static_assert(kNewKeyBytes == sizeof random.bytes);
  entropy.fill(std::as_writable_bytes(std::span(random.bytes)));
  return std::string(kNewKeyPrefix) + random.hex();
}

bool has_name(const ApiKeys& keys, std::string_view name) {
  return std::ranges::any_of(keys.list(), [&](const ApiKey& key) { return key.name == name; });
}

}  // namespace

std::string fault_of_key_name(std::string_view name) {
  const auto expected = [](std::string_view what) {
    return fmt::format("expected a name of 1 to {} bytes, found {}", kNewNameBytes, what);
  };
  if (name.empty()) return expected("none");
  if (name.size() > kNewNameBytes) return expected(fmt::format("{}", name.size()));
  // In a line of the file, that would be the mark of keys whose requests stay.
  if (name.starts_with("[local]")) return "expected a name that does not begin with [local]";
  if (trimmed(name) != name) return "expected a name that neither begins nor ends with a blank";
  // The same name in lists, in metrics and in the log.
  if (terminal_line(name) != name) return "expected a name without control characters, in UTF-8";
  return {};
}

Result<ApiKeys> ApiKeyFile::read() const {
  auto keys = ApiKeys::load(storage_, path_);
  if (!keys && keys.error().code == ErrorCode::kNotFound) return ApiKeys();
  return keys;
}

Result<std::string> ApiKeyFile::text() const {
  const auto bytes = read_file(storage_, path_, ApiKeys::kFileBytes);
  if (!bytes && bytes.error().code == ErrorCode::kNotFound) return std::string();
  if (!bytes) return bytes.error();
  return std::string(as_text(*bytes));
}

Status ApiKeyFile::write(const std::string& text) {
  // What serve could not read must not get there.
  if (text.size() > ApiKeys::kFileBytes) {
    return Error{ErrorCode::kLimit, fmt::format("{}: a list of keys has at most {} bytes", path_,
                                                ApiKeys::kFileBytes)};
  }
  if (auto keys = ApiKeys::parse(text); !keys) return keys.error().in(path_);
  return storage_.write_atomic(path_, as_bytes(text), kForOwnerAlone);
}

Result<std::string> ApiKeyFile::add(std::string_view name, int64_t unix_seconds, Entropy& entropy,
                                    bool local) {
  if (const std::string fault = fault_of_key_name(name); !fault.empty()) {
    return Error{ErrorCode::kInvalidArgument, fault};
  }
  const auto lock = storage_.lock(path_ + ".lock");
  if (!lock) return lock.error();
  const auto keys = read();
  if (!keys) return keys.error();
  if (has_name(*keys, name)) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: there is a key '{}' already; remove it first, or take another "
                             "name",
                             path_, name)};
  }
  auto lines = text();
  if (!lines) return lines.error();
  if (!lines->empty() && !lines->ends_with('\n')) *lines += '\n';
  std::string key = draw_key(entropy);
  *lines +=
      write_key_line({sha256(as_bytes(key)), iso_time(unix_seconds), std::string(name), local});
  *lines += '\n';
  if (Status written = write(*lines); !written) return written.error();
  return key;
}

Result<size_t> ApiKeyFile::remove(std::string_view name) {
  const auto lock = storage_.lock(path_ + ".lock");
  if (!lock) return lock.error();
  const auto keys = read();
  if (!keys) return keys.error();
  if (!has_name(*keys, name)) {
    return Error{ErrorCode::kNotFound, fmt::format("{}: there is no key '{}'", path_, name)};
  }
  const auto lines = text();
  if (!lines) return lines.error();
  std::string kept;
  size_t left = 0;
  for (std::string_view rest = *lines; !rest.empty();) {
    const std::string_view line = rest.substr(0, std::min(rest.find('\n'), rest.size() - 1) + 1);
    rest.remove_prefix(line.size());
    const auto key = read_key_line(line);
    const bool is_key = key && key->has_value();
    if (is_key && (*key)->name == name) continue;
    left += is_key ? 1 : 0;
    kept += line;
  }
  if (Status written = write(kept); !written) return written.error();
  return left;
}

}  // namespace potluck
