// The flags of `serve` that are about its HTTP API, and what becomes of them. Plain values.
#pragma once

#include <string>
#include <vector>

#include "coordinator/cli/cli11_fwd.h"
#include "coordinator/serving/http/api_server.h"

namespace potluck {

struct ApiFlags {
  std::string host = "127.0.0.1";
  uint16_t port = 8080;
  std::string key_file;
  std::string tls_certificate;
  std::string tls_key;
  std::vector<std::string> cors_origins;
  uint32_t drain_seconds = 10;
  bool no_dashboard = false;
};

// The list of keys that `potluck keys` writes and `serve` reads where no other file is named.
std::string own_key_file();

void add_api_flags(CLI::App* parser, ApiFlags* flags);

// What can be known before the model is read: whether the file of keys is one that lets anyone in.
Status check_api_flags(const ApiFlags& flags, Storage& storage, const Clock& clock);

ApiServerOptions api_options(const ApiFlags& flags);

}  // namespace potluck
