// CorsPolicy: which web pages may read answers of the API in a browser. Unless told otherwise,
// those that this machine serves itself. Immutable; any thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/serving/http/http_message.h"

namespace potluck {

class CorsPolicy {
 public:
  CorsPolicy() = default;
  // Further origins, as "https://chat.example.org"; "*" allows all.
  explicit CorsPolicy(std::vector<std::string> origins) : origins_(std::move(origins)) {}

  bool allows(std::string_view origin) const;
  // For every answer to this request.
  HttpHeaders headers(const HttpHeaders& request) const;
  // The answer to OPTIONS, by which browsers ask beforehand; without headers().
  HttpResponse preflight(const HttpHeaders& request) const;

 private:
  std::vector<std::string> origins_;
};

}  // namespace potluck
