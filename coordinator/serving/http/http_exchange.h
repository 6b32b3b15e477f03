// The border between the HTTP server and what answers requests: a handler gets a request and an
// exchange, through which it answers now or later, as a whole or as a stream.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "coordinator/serving/http/http_message.h"

namespace potluck {

// One request being answered: either respond() once, or start_stream(), writes, end(). Any thread
// may call; calls of one exchange must not overlap. Nothing blocks. After the client has gone or
// the server has stopped, calls do nothing.
class HttpExchange {
 public:
  virtual ~HttpExchange() = default;

  virtual void respond(HttpResponse response) = 0;

  // Sends the head at once; the body of `head` must be empty. While nothing is written for a while,
  // `idle_comment` is sent so that neither side takes the other for dead; empty: nothing is.
  virtual void start_stream(HttpResponse head, std::string idle_comment) = 0;
  // What the client does not take waits in memory. Where more than a bound waits already, the
  // connection is closed.
  virtual void write(std::string bytes) = 0;
  virtual void end() = 0;

  // Called once, by the server's thread, if the connection closes before the answer has ended; at
  // once if it has closed already.
  virtual void on_closed(std::function<void()> callback) = 0;

  // Called once by the server's thread, soon.
  virtual void run_soon(std::function<void()> callback) = 0;
};

// Called by the server's thread for each request; must not block. Must outlive the server.
class HttpHandler {
 public:
  virtual ~HttpHandler() = default;
  virtual void handle(HttpRequest request, std::shared_ptr<HttpExchange> exchange) = 0;
  // The answer to what is no HTTP request, or to one beyond the limits.
  virtual HttpResponse refuse(int status, const std::string& message) = 0;
};

}  // namespace potluck
