// ApiServer: the HTTP APIs of one CompletionService on one port. Owns the HTTP server and its
// thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/http_server.h"
#include "coordinator/serving/http/routes.h"
#include "engine/base/storage.h"

namespace potluck {

struct ApiServerOptions {
  HttpServerOptions http;
  std::string api_key_file;                  // empty: everyone who reaches the port may use it
  bool api_key_file_may_be_missing = false;  // so it is until there is one
  std::vector<std::string> cors_origins;
  SamplingSettings sampling;            // where a request says nothing
  std::string version;                  // of the program
  MoreMetrics more_metrics = {};        // as ApiOptions has them, and
  std::span<const WebFile> pages = {};  // these
};

class ApiServer {
 public:
  // Listens from now on, also while the service is loading. All but the options must outlive the
  // server; the sink may be null and takes any thread.
  static Result<std::unique_ptr<ApiServer>> start(const ApiServerOptions& options,
                                                  CompletionService* service, Storage& storage,
                                                  const Clock* clock, Entropy* entropy,
                                                  LogSink* log);

  uint16_t port() const { return http_->port(); }
  // Of the dashboard.
  std::string page_url() const { return (tls_ ? "https://" : "http://") + http_->address() + "/"; }
  std::string url() const { return (tls_ ? "https://" : "http://") + http_->address() + "/v1"; }

  // Any thread.
  DashboardRoutes& dashboard() { return routes_.dashboard(); }

  // No new requests; true once those under way have ended, false if some have not after this time.
  // Those are closed, and cancelled, when the server goes.
  bool drain(Duration at_most);

 private:
  ApiServer(CompletionService* service, ApiOptions options, const Clock* clock, Entropy* entropy)
      : routes_(service, std::move(options), clock, entropy) {}

  ApiRoutes routes_;
  std::unique_ptr<HttpServer> http_;
  bool tls_ = false;
};

}  // namespace potluck
