// ApiKeyFile: changes to a list of API keys (api_keys.h), each of them whole or not at all, and one
// at a time. What people wrote into the file, comments too, stays. For `potluck keys`; one thread.
#pragma once

#include <string>
#include <string_view>

#include "coordinator/serving/http/api_keys.h"
#include "engine/base/random.h"
#include "engine/base/storage.h"

namespace potluck {

class ApiKeyFile {
 public:
  // The storage must outlive it.
  ApiKeyFile(Storage* storage, std::string path) : storage_(*storage), path_(std::move(path)) {}

  // Without a file, everyone may.
  Result<ApiKeys> read() const;

  // Makes a key, which is returned and written nowhere. Makes the file where there is none; its
  // directory must be there. kRefused: another process is changing the file.
  // `local`: what is asked with it stays in this pool.
  Result<std::string> add(std::string_view name, int64_t unix_seconds, Entropy& entropy,
                          bool local = false);

  // Removes all keys of that name and says how many are left.
  Result<size_t> remove(std::string_view name);

 private:
  Result<std::string> text() const;
  Status write(const std::string& text);

  Storage& storage_;
  const std::string path_;
};

// What is wrong with the name of a new key; empty if nothing is.
std::string fault_of_key_name(std::string_view name);

}  // namespace potluck
