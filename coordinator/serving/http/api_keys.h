// ApiKeys: who may use the API. Keys are known by their SHA-256 alone, so the file that lists them
// lets no reader in. Immutable; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "coordinator/serving/http/http_message.h"
#include "engine/base/hash.h"
#include "engine/base/storage.h"

namespace potluck {

class ApiKeys {
 public:
  // No keys: everyone may.
  ApiKeys() = default;

  // One key a line: 64 hexadecimal digits, and a name behind them if it is to have one. Empty lines
  // and those that begin with # are skipped. At least one key.
  static Result<ApiKeys> parse(std::string_view text);
  static Result<ApiKeys> load(Storage& storage, const std::string& path);

  bool empty() const { return names_.empty(); }
  // The name of the key in "Authorization: Bearer .." or "X-Api-Key: .."; nothing if there is none
  // that is known. Keys without a name have the beginning of their digest.
  std::optional<std::string> find(const HttpHeaders& headers) const;

 private:
  std::unordered_map<Digest, std::string> names_;
};

}  // namespace potluck
