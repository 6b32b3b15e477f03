// ApiKeys: who may use the API. Keys are known by their SHA-256 alone, so the file that lists them
// lets no reader in. That hash is fast on purpose: it is taken of every request, and a slow one
// would only help against guessing, which keys of 256 random bits leave no hope for. Immutable; any
// thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "coordinator/serving/http/http_message.h"
#include "engine/base/hash.h"
#include "engine/base/storage.h"

namespace potluck {

struct ApiKey {
  Digest digest;
  std::string created;  // "2026-01-31T12:00:00Z"; empty where the file does not say
  std::string name;     // never empty: keys without one have the beginning of their digest
  bool local = false;   // what is asked with it stays in this pool
};

// One line of such a file: 64 hexadecimal digits; behind them, if it is to have them, the time at
// which the key was made, the word [local], and a name. Nothing for empty lines and those that
// begin with #.
Result<std::optional<ApiKey>> read_key_line(std::string_view line);
std::string write_key_line(const ApiKey& key);  // without a line end

class ApiKeys {
 public:
  static constexpr size_t kMost = 1024;
  static constexpr uint64_t kFileBytes = 1 * kMiB;

  // Everyone may.
  ApiKeys() = default;

  // Only those with one of these keys may; without any, no one.
  static Result<ApiKeys> parse(std::string_view text);
  static Result<ApiKeys> load(Storage& storage, const std::string& path);
  static ApiKeys for_no_one();

  bool required() const { return required_; }
  const std::vector<ApiKey>& list() const { return list_; }
  // The name of the key in "Authorization: Bearer .." or "X-Api-Key: .."; nothing if there is none
  // that is known. How long it takes says nothing about the keys.
  std::optional<std::string> find(const HttpHeaders& headers) const;

 private:
  bool required_ = false;
  std::vector<ApiKey> list_;
};

}  // namespace potluck
