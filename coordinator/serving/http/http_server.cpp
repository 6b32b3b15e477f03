#include "coordinator/serving/http/http_server.h"

#include <boost/asio/post.hpp>
#include <thread>

#include <fmt/format.h>

#include "coordinator/serving/http/http_connection.h"
#include "coordinator/serving/http/tls_context.h"
#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

// Connections beyond the limit that are told so at the same time; others are closed without a word.
constexpr size_t kTurnedAway = 64;
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);  // without descriptors

}  // namespace

struct HttpServer::Parts {
  Parts(const HttpServerOptions& options, HttpHandler* handler, LogSink* log)
      : core(std::make_shared<HttpCore>(options, handler, log)),
        acceptor(core->io),
        pause(core->io),
        work(asio::make_work_guard(core->io)) {}

  Status listen(const HttpServerOptions& options);
  void accept();
  void on_accepted(tcp::socket socket);
  void make_room();
  void run();
  std::vector<std::shared_ptr<HttpConnection>> all_connections() const;

  std::shared_ptr<HttpCore> core;
  tcp::acceptor acceptor;
  asio::steady_timer pause;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  tcp::endpoint endpoint;
  std::thread thread;
};

Status HttpServer::Parts::listen(const HttpServerOptions& options) {
  error_code error;
  const auto failed = [&](const char* what) -> Status {
    return Error{ErrorCode::kIo, fmt::format("cannot {} {} port {}: {}", what, options.host,
                                             options.port, error.message())};
  };
  tcp::resolver resolver(core->io);
  const auto found =
      resolver.resolve(options.host, std::to_string(options.port), tcp::resolver::passive, error);
  if (error || found.empty()) return failed("find");
  endpoint = found.begin()->endpoint();
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  // Taken over by what is accepted. The size is a wish.
  error_code ignored;
  acceptor.set_option(
      asio::socket_base::send_buffer_size(static_cast<int>(core->limits.socket_bytes)), ignored);
  if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return failed("listen on");
  endpoint = acceptor.local_endpoint(error);
  return error ? failed("listen on") : Status();
}

void HttpServer::Parts::accept() {
  acceptor.async_accept([this](const error_code& error, tcp::socket socket) {
    if (!acceptor.is_open()) return;
    if (!error) {
      on_accepted(std::move(socket));
      return accept();
    }
    // Without a descriptor the connection stays in the queue, and accepting fails again at once:
    // the pause keeps this from spinning.
    core->say(LogLevel::kWarning, "cannot accept a connection: " + error.message());
    pause.expires_after(kAcceptPause);
    pause.async_wait([this](const error_code& ended) {
      if (!ended && acceptor.is_open()) accept();
    });
  });
}

void HttpServer::Parts::on_accepted(tcp::socket socket) {
  make_room();
  const size_t open = core->connections.size();
  if (open >= core->limits.connections + kTurnedAway) return;
  const bool full = open >= core->limits.connections;
  const uint64_t id = core->next_id++;
  const auto connection = std::make_shared<HttpConnection>(core, id, std::move(socket));
  {
    MutexLock lock(core->mutex);
    core->connections.emplace(id, connection);
  }
  full ? connection->turn_away() : connection->start();
}

// Where all connections are taken, the one goes that has waited longest for its next request. A
// few more than allowed may be there while they are turned away.
void HttpServer::Parts::make_room() {
  if (core->connections.size() < core->limits.connections) return;
  std::shared_ptr<HttpConnection> longest;
  for (const auto& [id, connection] : core->connections) {
    if (!connection->idle()) continue;
    if (!longest || connection->idle_since() < longest->idle_since()) longest = connection;
  }
  if (longest) longest->close();
}

// An exception here is a lack of memory in the library: the connection at hand is left to its
// deadline.
void HttpServer::Parts::run() {
  for (;;) {
    try {
      core->io.run();
      return;
    } catch (const std::exception& error) {
      core->say(LogLevel::kError, std::string("a connection failed: ") + error.what());
    }
  }
}

std::vector<std::shared_ptr<HttpConnection>> HttpServer::Parts::all_connections() const {
  std::vector<std::shared_ptr<HttpConnection>> all;
  for (const auto& [id, connection] : core->connections) all.push_back(connection);
  return all;
}

HttpServer::HttpServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Status HttpServer::check_tls(const TlsFiles& files) {
  if (!files.wanted()) return {};
  if (files.certificate.empty() || files.key.empty()) {
    return Error{ErrorCode::kInvalidArgument, "one needs the other"};
  }
  auto tls = load_tls(files);
  return tls ? Status() : Status(tls.error());
}

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpServerOptions& options,
                                                      HttpHandler* handler, LogSink* log) {
  auto parts = std::make_unique<Parts>(options, handler, log);
  if (options.tls.wanted()) {
    auto tls = load_tls(options.tls);
    if (!tls) return tls.error();
    parts->core->tls = std::move(*tls);
  }
  if (Status listening = parts->listen(options); !listening) return listening.error();
  parts->accept();
  auto thread = start_thread([running = parts.get()] { running->run(); });
  if (!thread) return thread.error();
  parts->thread = std::move(*thread);
  return std::unique_ptr<HttpServer>(new HttpServer(std::move(parts)));
}

HttpServer::~HttpServer() {
  asio::post(parts_->core->io, [parts = parts_.get()] {
    error_code ignored;
    parts->acceptor.close(ignored);
    parts->pause.cancel();
    for (const auto& connection : parts->all_connections()) connection->close();
    // run() returns once nothing is left to do.
    parts->work.reset();
  });
  parts_->thread.join();
}

uint16_t HttpServer::port() const {
  return parts_->endpoint.port();
}

std::string HttpServer::address() const {
  const asio::ip::address address = parts_->endpoint.address();
  return address.is_v6() ? fmt::format("[{}]:{}", address.to_string(), port())
                         : fmt::format("{}:{}", address.to_string(), port());
}

bool HttpServer::is_loopback() const {
  return parts_->endpoint.address().is_loopback();
}

void HttpServer::drain() {
  asio::post(parts_->core->io, [parts = parts_.get()] {
    error_code ignored;
    parts->acceptor.close(ignored);
    parts->core->draining = true;
    for (const auto& connection : parts->all_connections()) connection->drain();
  });
}

bool HttpServer::wait_drained(Duration at_most) {
  HttpCore& core = *parts_->core;
  const SystemClock clock;
  const TimePoint deadline = clock.now() + at_most;
  MutexLock lock(core.mutex);
  // A wait may end without a reason: the next one takes only what is left.
  while (!core.connections.empty() && clock.now() < deadline) {
    core.changed.wait_for(lock, deadline - clock.now());
  }
  return core.connections.empty();
}

}  // namespace potluck
