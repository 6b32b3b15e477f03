#include "coordinator/serving/http/api_server.h"

#include <utility>

namespace potluck {

Result<std::unique_ptr<ApiServer>> ApiServer::start(const ApiServerOptions& options,
                                                    CompletionService* service, Storage& storage,
                                                    const Clock* clock, Entropy* entropy,
                                                    LogSink* log) {
  ApiOptions api;
  if (!options.api_key_file.empty()) {
    auto watch = ApiKeyWatch::open(&storage, options.api_key_file,
                                   options.api_key_file_may_be_missing, clock, log);
    if (!watch) return watch.error().in("--api-key-file");
    api.key_watch = std::move(*watch);
  }
  const bool open = api.key_watch == nullptr || !api.key_watch->keys().required();
  api.cors = CorsPolicy(options.cors_origins);
  api.sampling = options.sampling;
  api.more_metrics = options.more_metrics;
  api.pages = options.pages;
  api.fingerprint = options.version.empty() ? "potluck" : "potluck-" + options.version;
  std::unique_ptr<ApiServer> server(new ApiServer(service, std::move(api), clock, entropy));
  if (Status tls = HttpServer::check_tls(options.http.tls); !tls) {
    return tls.error().in("--tls-cert and --tls-key");
  }
  server->tls_ = options.http.tls.wanted();
  auto http = HttpServer::start(options.http, &server->routes_, log);
  if (!http) return http.error().in("--host and --port");
  server->http_ = std::move(*http);
  if (server->http_->is_loopback()) server->routes_.dashboard().open_to_this_machine();
  if (open && !server->http_->is_loopback()) {
    log_to(log, {LogLevel::kWarning, "http",
                 "everyone who reaches " + server->http_->address() +
                     " may use the model: make keys with 'potluck keys add NAME', or give a list "
                     "of them with --api-key-file"});
  }
  return server;
}

bool ApiServer::drain(Duration at_most) {
  routes_.dashboard().close();
  http_->drain();
  return http_->wait_drained(at_most);
}

}  // namespace potluck
