#include "coordinator/serving/http/cors.h"

#include <algorithm>

namespace potluck {
namespace {

// "http://localhost:3000" and the like: a page of this machine.
bool is_local(std::string_view origin) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!origin.starts_with(scheme)) continue;
    std::string_view host = origin.substr(scheme.size());
    const size_t colon = host.rfind(':');
    const bool port =
        colon != host.npos && colon + 1 < host.size() &&
        std::ranges::all_of(host.substr(colon + 1), [](char c) { return c >= '0' && c <= '9'; });
    if (port) host = host.substr(0, colon);
    return host == "localhost" || host == "127.0.0.1" || host == "[::1]" ||
           host.ends_with(".localhost");
  }
  return false;
}

}  // namespace

bool CorsPolicy::allows(std::string_view origin) const {
  return is_local(origin) || std::ranges::any_of(origins_, [&](const std::string& allowed) {
           return allowed == "*" || allowed == origin;
         });
}

HttpHeaders CorsPolicy::headers(const HttpHeaders& request) const {
  const std::string* origin = find_header(request, "origin");
  if (origin == nullptr) return {};
  // Caches must not give one page's answer to another.
  HttpHeaders headers{{"Vary", "Origin"}};
  if (!allows(*origin)) return headers;
  headers.emplace_back("Access-Control-Allow-Origin", *origin);
  headers.emplace_back("Access-Control-Expose-Headers",
                       "x-request-id, retry-after, x-potluck-upstream, x-potluck-upstream-model, "
                       "x-potluck-upstream-failed");
  return headers;
}

HttpResponse CorsPolicy::preflight(const HttpHeaders& request) const {
  HttpResponse response;
  response.status = 204;
  const std::string* origin = find_header(request, "origin");
  if (origin == nullptr || !allows(*origin)) return response;
  const std::string* wanted = find_header(request, "access-control-request-headers");
  response.headers = {
      {"Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS"},
      {"Access-Control-Allow-Headers", wanted != nullptr ? *wanted : "authorization, content-type"},
      {"Access-Control-Max-Age", "86400"}};
  // A page of the internet that was allowed by name reaches this machine only with this.
  if (find_header(request, "access-control-request-private-network") != nullptr) {
    response.headers.emplace_back("Access-Control-Allow-Private-Network", "true");
  }
  return response;
}

}  // namespace potluck
