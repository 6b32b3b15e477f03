// HttpServer: HTTP/1.1 on a TCP port, with or without TLS, for a handler that knows no sockets.
// Owns one thread, which does all reading, writing and waiting and calls the handler; it ends with
// the server. What clients can make it keep is bounded: connections, heads, bodies, answers that
// they do not take, and time.
//
// The methods may be called by any thread but the server's own.
#pragma once

#include <memory>
#include <string>

#include "coordinator/serving/http/http_exchange.h"
#include "engine/base/bytes.h"
#include "engine/base/clock.h"
#include "engine/base/log_sink.h"
#include "engine/base/result.h"

namespace potluck {

struct HttpLimits {
  uint32_t connections = 2048;
  uint32_t head_bytes = 16 * kKiB;
  uint64_t body_bytes = 16 * kMiB;     // a context of a million tokens takes some 6 MiB
  uint64_t bodies_bytes = 64 * kMiB;   // of all requests that are being received
  uint64_t outgoing_bytes = 1 * kMiB;  // of a stream, waiting for its client: thousands of tokens
  uint32_t socket_bytes = 256 * kKiB;  // on the way to a client, in the system: it would take 4 MiB
  Duration idle_time = std::chrono::seconds(75);   // between two requests; browsers use 60 or so
  Duration head_time = std::chrono::seconds(10);   // from its first byte to its last
  Duration body_time = std::chrono::seconds(120);  // the largest body over 1 Mbit/s
  Duration write_time = std::chrono::seconds(30);  // in which a client takes nothing at all
  // Clients and proxies give up after 30 seconds or more without a byte.
  Duration comment_time = std::chrono::seconds(10);
  Duration linger_time = std::chrono::seconds(2);  // for a client to read why it was refused
};

// PEM files. Both or none.
struct TlsFiles {
  std::string certificate;  // the server's, then those that signed it
  std::string key;          // without a pass phrase

  bool wanted() const { return !certificate.empty() || !key.empty(); }
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";  // an address, or a name that stands for one
  uint16_t port = 8080;            // 0: any that is free
  TlsFiles tls;                    // empty: plain HTTP
  HttpLimits limits;
};

class HttpServer {
 public:
  // Whether the files can be used; errors name the file.
  static Status check_tls(const TlsFiles& files);
  // Listens from now on. The handler must outlive the server; so must the sink, which may be null.
  static Result<std::unique_ptr<HttpServer>> start(const HttpServerOptions& options,
                                                   HttpHandler* handler, LogSink* log);
  // Closes what is open: exchanges under way are told so.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  uint16_t port() const;
  std::string address() const;  // "127.0.0.1:8080", "[::1]:8080"
  bool is_loopback() const;     // only this machine can reach it

  // From now on there are no new connections, and those there are end with their requests.
  void drain();
  // Waits until no connection is left; false if some are after this time.
  bool wait_drained(Duration at_most);

 private:
  struct Parts;
  explicit HttpServer(std::unique_ptr<Parts> parts);

  std::unique_ptr<Parts> parts_;
};

}  // namespace potluck
