// Boost.Asio is known to this file alone. It reads and writes by itself instead of through Beast's
// composed operations, because a connection is read while its request is being answered: a client
// that leaves must be noticed.
#include "coordinator/serving/http/http_server.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <thread>

#include <fmt/format.h>

#include "coordinator/serving/http/request_reader.h"
#include "engine/base/out_of_resources.h"
#include "engine/base/thread_annotations.h"

namespace potluck {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kReadBytes = 64 * kKiB;
// Of requests that were sent before the one at hand was answered. Beyond it the connection is not
// read, and a client that leaves is noticed only when it is written to.
constexpr size_t kPipelinedBytes = 64 * kKiB;
constexpr size_t kLingerBytes = 64 * kMiB;
// Connections beyond the limit that are told so at the same time; others are closed without a word.
constexpr size_t kTurnedAway = 64;
constexpr Duration kAcceptPause = std::chrono::milliseconds(100);  // without descriptors

class Connection;

// What the server's thread works with. Exchanges keep it, so that what they post has somewhere to
// go after the server is gone; it is then never run.
struct Core {
  Core(const HttpServerOptions& given, HttpHandler* to, LogSink* sink)
      : limits(given.limits), handler(*to), log(sink) {}

  void say(LogLevel level, std::string message) {
    log_to(log, {level, "http", std::move(message)});
  }
  void remove(uint64_t id) {
    MutexLock lock(mutex);
    connections.erase(id);
    if (connections.empty()) changed.notify_all();
  }

  asio::io_context io;
  const HttpLimits limits;
  HttpHandler& handler;
  LogSink* const log;
  bool draining = false;
  uint64_t bodies = 0;  // bytes of bodies that are being received
  uint64_t next_id = 1;
  // The map is changed by the server's thread alone; the mutex is for wait_drained().
  Mutex mutex;
  Condition changed;
  std::map<uint64_t, std::shared_ptr<Connection>> connections;
};

// Bytes of one connection that its client has not taken.
struct Outgoing {
  std::atomic<size_t> posted{0};  // on the way to the server's thread
  std::atomic<size_t> queued{0};
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(std::shared_ptr<Core> core, uint64_t id, tcp::socket socket)
      : core_(std::move(core)),
        id_(id),
        socket_(std::move(socket)),
        deadline_(core_->io),
        silence_(core_->io) {}

  void start();
  // Answers 503 and goes: there are too many.
  void turn_away();
  void close();
  // Ends when its request is answered; at once if there is none.
  void drain();
  bool idle() const { return phase_ == Phase::kIdle; }
  uint64_t idle_since() const { return idle_since_; }

  // For the exchange of the request `serial`; those of earlier ones do nothing.
  void respond(uint64_t serial, HttpResponse response);
  void start_stream(uint64_t serial, HttpResponse head, std::string idle_comment);
  void write(uint64_t serial, const std::string& bytes);
  void end(uint64_t serial);
  void on_closed(uint64_t serial, std::function<void()> callback);

 private:
  enum class Phase { kIdle, kHead, kBody, kAnswer, kLinger, kClosed };

  void begin_idle();
  void read_more();
  void on_read(const error_code& error, size_t bytes);
  void on_end_of_input(const error_code& error);
  void process();
  bool take_request();
  bool account_body();
  void begin_request();
  void begin_answer();
  void refuse(int status, const std::string& message);
  void finish_answer();
  void begin_linger();

  bool current(uint64_t serial) const {
    return phase_ == Phase::kAnswer && serial == serial_ && !ended_;
  }
  void send(std::string_view bytes);
  void pump();
  void on_written(const error_code& error, size_t bytes);
  void arm(Duration time);
  void disarm() { ++deadline_turn_; }
  void on_deadline();
  void await_silence();

  const std::shared_ptr<Core> core_;
  const uint64_t id_;
  tcp::socket socket_;
  asio::steady_timer deadline_;  // of what the phase waits for
  uint64_t deadline_turn_ = 0;
  asio::steady_timer silence_;  // of a stream
  Phase phase_ = Phase::kIdle;
  uint64_t idle_since_ = 0;

  std::array<char, kReadBytes>* read_buffer() {
    if (!read_buffer_) read_buffer_ = std::make_unique<std::array<char, kReadBytes>>();
    return read_buffer_.get();
  }
  std::unique_ptr<std::array<char, kReadBytes>> read_buffer_;
  bool reading_ = false;
  std::string in_;
  std::optional<RequestReader> reader_;
  uint64_t accounted_body_ = 0;
  size_t lingered_ = 0;

  uint64_t serial_ = 0;  // of the request at hand
  bool keep_alive_ = false;
  bool ended_ = false;  // the answer is whole, but perhaps not sent
  bool streaming_ = false;
  BodyFraming framing_ = BodyFraming::kLength;
  bool leave_body_out_ = false;
  std::string idle_comment_;
  std::function<void()> on_closed_;

  bool writing_ = false;
  std::string out_;  // being written, from sent_ on
  size_t sent_ = 0;
  std::string pending_;
  std::shared_ptr<Outgoing> outgoing_ = std::make_shared<Outgoing>();

  friend class Exchange;
};

class Exchange final : public HttpExchange {
 public:
  Exchange(std::shared_ptr<Core> core, const std::shared_ptr<Connection>& connection)
      : core_(std::move(core)),
        connection_(connection),
        serial_(connection->serial_),
        outgoing_(connection->outgoing_) {}

  void respond(HttpResponse response) override {
    post([serial = serial_, response = std::move(response)](Connection& connection) mutable {
      connection.respond(serial, std::move(response));
    });
  }
  void start_stream(HttpResponse head, std::string idle_comment) override {
    post([serial = serial_, head = std::move(head),
          comment = std::move(idle_comment)](Connection& connection) mutable {
      connection.start_stream(serial, std::move(head), std::move(comment));
    });
  }
  void write(std::string bytes) override {
    if (bytes.empty() || overflown_) return;
    const size_t size = bytes.size();
    // What comes now does not count: the last event of a response repeats its whole text, and a
    // client that keeps up is to get it.
    const size_t waiting = outgoing_->posted.fetch_add(size) + outgoing_->queued;
    if (waiting > core_->limits.outgoing_bytes) {
      overflown_ = true;
      outgoing_->posted -= size;
      post([core = core_.get(), serial = serial_](Connection& connection) {
        if (!connection.current(serial)) return;
        core->say(LogLevel::kWarning, "closed a connection whose client does not read its answer");
        connection.close();
      });
      return;
    }
    post(
        [serial = serial_, bytes = std::move(bytes), outgoing = outgoing_](Connection& connection) {
          outgoing->posted -= bytes.size();
          connection.write(serial, bytes);
        });
  }
  void end() override {
    post([serial = serial_](Connection& connection) { connection.end(serial); });
  }
  void on_closed(std::function<void()> callback) override {
    asio::post(core_->io, [connection = connection_, serial = serial_,
                           callback = std::move(callback)]() mutable {
      if (const auto held = connection.lock()) return held->on_closed(serial, std::move(callback));
      callback();
    });
  }
  void run_soon(std::function<void()> callback) override {
    asio::post(core_->io, std::move(callback));
  }

 private:
  // Always posted, by the server's own thread as well: what two threads call one after the other
  // then arrives in that order.
  template <class Call>
  void post(Call call) {
    asio::post(core_->io, [connection = connection_, call = std::move(call)]() mutable {
      if (const auto held = connection.lock()) call(*held);
    });
  }

  const std::shared_ptr<Core> core_;
  const std::weak_ptr<Connection> connection_;
  const uint64_t serial_;
  const std::shared_ptr<Outgoing> outgoing_;
  bool overflown_ = false;
};

void Connection::start() {
  error_code ignored;
  socket_.set_option(tcp::no_delay(true), ignored);  // tokens come one by one
  socket_.non_blocking(true, ignored);
  begin_idle();
  process();
}

void Connection::turn_away() {
  begin_answer();
  HttpResponse response = core_->handler.refuse(503, "too many connections");
  send(response_head(response, BodyFraming::kLength, false) + response.body);
  ended_ = true;
  pump();
}

void Connection::close() {
  if (phase_ == Phase::kClosed) return;
  const bool cut_short = phase_ == Phase::kAnswer && !ended_;
  phase_ = Phase::kClosed;
  core_->bodies -= std::exchange(accounted_body_, 0);
  disarm();
  deadline_.cancel();
  silence_.cancel();
  error_code ignored;
  socket_.close(ignored);
  const auto callback = std::exchange(on_closed_, nullptr);
  const auto self = shared_from_this();  // the map may hold the last one
  core_->remove(id_);
  if (cut_short && callback) callback();
}

void Connection::drain() {
  if (phase_ == Phase::kIdle) close();
  keep_alive_ = false;
}

void Connection::begin_idle() {
  phase_ = Phase::kIdle;
  idle_since_ = core_->next_id++;
  reader_.emplace(core_->limits.head_bytes, core_->limits.body_bytes);
  arm(core_->limits.idle_time);
}

void Connection::read_more() {
  if (reading_ || phase_ == Phase::kClosed) return;
  reading_ = true;
  // An idle connection has no buffer: there may be thousands.
  if (phase_ == Phase::kIdle || phase_ == Phase::kAnswer) {
    read_buffer_.reset();
    socket_.async_wait(
        tcp::socket::wait_read, [self = shared_from_this()](const error_code& error) {
          self->reading_ = false;
          if (self->phase_ == Phase::kClosed) return;
          if (error) return self->on_end_of_input(error);
          error_code failed;
          const size_t bytes = self->socket_.read_some(asio::buffer(*self->read_buffer()), failed);
          self->on_read(failed, bytes);
        });
    return;
  }
  socket_.async_read_some(asio::buffer(*read_buffer()),
                          [self = shared_from_this()](const error_code& error, size_t bytes) {
                            self->reading_ = false;
                            self->on_read(error, bytes);
                          });
}

void Connection::on_read(const error_code& error, size_t bytes) {
  if (phase_ == Phase::kClosed) return;
  if (error == asio::error::would_block) return read_more();
  if (error) return on_end_of_input(error);
  if (phase_ == Phase::kLinger) {
    lingered_ += bytes;
    return lingered_ > kLingerBytes ? close() : read_more();
  }
  in_.append(read_buffer_->data(), bytes);
  process();
}

void Connection::on_end_of_input(const error_code& error) {
  // The answer is whole and only has to be sent: a client that closed its side may still read it.
  if (phase_ == Phase::kAnswer && ended_ && error == asio::error::eof) return;
  close();
}

void Connection::process() {
  while (phase_ == Phase::kIdle || phase_ == Phase::kHead || phase_ == Phase::kBody) {
    // Empty lines before a request are allowed; some clients send one after a body.
    while (phase_ == Phase::kIdle && in_.starts_with("\r\n")) in_.erase(0, 2);
    const bool may_be_empty_line = phase_ == Phase::kIdle && in_ == "\r";
    if (in_.empty() || may_be_empty_line || !take_request()) return read_more();
  }
  if (phase_ == Phase::kAnswer && in_.size() < kPipelinedBytes) read_more();
}

// Whether the phase has changed; if not, more bytes are needed.
bool Connection::take_request() {
  if (phase_ == Phase::kIdle) {
    phase_ = Phase::kHead;
    arm(core_->limits.head_time);
  }
  in_.erase(0, reader_->take(in_));
  if (reader_->refusal()) {
    refuse(reader_->refusal()->status, reader_->refusal()->message);
    return true;
  }
  if (!account_body()) {
    refuse(503, "too many requests are being received");
    return true;
  }
  if (reader_->done()) {
    begin_request();
    return true;
  }
  if (phase_ == Phase::kHead && reader_->head_done()) {
    phase_ = Phase::kBody;
    arm(core_->limits.body_time);
    if (reader_->expects_continue() && reader_->body_bytes() == 0) {
      send("HTTP/1.1 100 Continue\r\n\r\n");
      pump();
    }
  }
  return false;
}

bool Connection::account_body() {
  const uint64_t bytes = reader_->head_done() ? reader_->body_bytes() : 0;
  if (bytes <= accounted_body_) return true;
  core_->bodies += bytes - accounted_body_;
  accounted_body_ = bytes;
  return core_->bodies <= core_->limits.bodies_bytes;
}

void Connection::begin_answer() {
  phase_ = Phase::kAnswer;
  ++serial_;
  ended_ = false;
  streaming_ = false;
  leave_body_out_ = false;
  keep_alive_ = false;
  framing_ = BodyFraming::kLength;
  disarm();
}

void Connection::begin_request() {
  begin_answer();
  keep_alive_ = reader_->keep_alive() && !core_->draining;
  leave_body_out_ = reader_->is_head();
  framing_ = reader_->is_http11() ? BodyFraming::kChunked : BodyFraming::kUntilClose;
  const Status handled = guard_memory("a request", [this]() -> Status {
    core_->handler.handle(reader_->request(),
                          std::make_shared<Exchange>(core_, shared_from_this()));
    return {};
  });
  core_->bodies -= std::exchange(accounted_body_, 0);
  if (!handled) refuse(503, handled.error().message);
}

void Connection::refuse(int status, const std::string& message) {
  core_->bodies -= std::exchange(accounted_body_, 0);
  begin_answer();
  const HttpResponse response = core_->handler.refuse(status, message);
  send(response_head(response, BodyFraming::kLength, false) + response.body);
  ended_ = true;
  pump();
}

void Connection::respond(uint64_t serial, HttpResponse response) {
  if (!current(serial) || streaming_) return;
  std::string bytes = response_head(response, BodyFraming::kLength, keep_alive_);
  if (!leave_body_out_ && response.status != 204) bytes += response.body;
  send(bytes);
  ended_ = true;
  pump();
}

void Connection::start_stream(uint64_t serial, HttpResponse head, std::string idle_comment) {
  if (!current(serial) || streaming_) return;
  streaming_ = true;
  if (framing_ == BodyFraming::kUntilClose) keep_alive_ = false;
  idle_comment_ = std::move(idle_comment);
  send(response_head(head, framing_, keep_alive_));
  pump();
}

void Connection::write(uint64_t serial, const std::string& bytes) {
  if (!current(serial) || !streaming_ || leave_body_out_) return;
  send(framing_ == BodyFraming::kChunked ? chunk(bytes) : bytes);
  pump();
}

void Connection::end(uint64_t serial) {
  if (!current(serial) || !streaming_) return;
  if (framing_ == BodyFraming::kChunked && !leave_body_out_) send(kLastChunk);
  ended_ = true;
  silence_.cancel();
  pump();
}

void Connection::on_closed(uint64_t serial, std::function<void()> callback) {
  if (current(serial)) {
    on_closed_ = std::move(callback);
  } else if (phase_ == Phase::kClosed && serial == serial_ && !ended_) {
    callback();
  }
}

void Connection::send(std::string_view bytes) {
  pending_ += bytes;
  if (streaming_ && !ended_) await_silence();
}

void Connection::pump() {
  outgoing_->queued = out_.size() - sent_ + pending_.size();  // also while the client takes nothing
  if (writing_ || phase_ == Phase::kClosed) return;
  if (out_.empty()) out_.swap(pending_);
  if (out_.empty()) {
    if (phase_ != Phase::kAnswer) return;
    disarm();
    if (ended_) finish_answer();
    return;
  }
  writing_ = true;
  if (phase_ == Phase::kAnswer) arm(core_->limits.write_time);
  socket_.async_write_some(asio::buffer(out_.data() + sent_, out_.size() - sent_),
                           [self = shared_from_this()](const error_code& error, size_t bytes) {
                             self->on_written(error, bytes);
                           });
}

void Connection::on_written(const error_code& error, size_t bytes) {
  writing_ = false;
  if (phase_ == Phase::kClosed) return;
  if (error) return close();
  sent_ += bytes;
  if (sent_ == out_.size()) {
    out_ = {};
    sent_ = 0;
  }
  pump();
}

void Connection::finish_answer() {
  on_closed_ = nullptr;
  if (!keep_alive_ || core_->draining) return begin_linger();
  begin_idle();
  process();
}

// Closing while the client still sends would reset the connection, and the answer with it.
void Connection::begin_linger() {
  phase_ = Phase::kLinger;
  error_code ignored;
  socket_.shutdown(tcp::socket::shutdown_send, ignored);
  in_ = {};
  arm(core_->limits.linger_time);
  read_more();
}

void Connection::arm(Duration time) {
  deadline_.expires_after(time);
  deadline_.async_wait([weak = weak_from_this(), turn = ++deadline_turn_](const error_code& error) {
    const auto self = weak.lock();
    if (!error && self && self->deadline_turn_ == turn) self->on_deadline();
  });
}

void Connection::on_deadline() {
  if (phase_ == Phase::kHead || phase_ == Phase::kBody) {
    return refuse(408, "the request took too long to arrive");
  }
  if (phase_ == Phase::kAnswer) {
    core_->say(LogLevel::kWarning, "closed a connection whose client takes no answer");
  }
  close();
}

void Connection::await_silence() {
  if (idle_comment_.empty()) return;
  silence_.expires_after(core_->limits.comment_time);
  silence_.async_wait([weak = weak_from_this(), serial = serial_](const error_code& error) {
    const auto self = weak.lock();
    if (!error && self && self->current(serial)) self->write(serial, self->idle_comment_);
  });
}

}  // namespace

struct HttpServer::Parts {
  Parts(const HttpServerOptions& options, HttpHandler* handler, LogSink* log)
      : core(std::make_shared<Core>(options, handler, log)),
        acceptor(core->io),
        pause(core->io),
        work(asio::make_work_guard(core->io)) {}

  Status listen(const HttpServerOptions& options);
  void accept();
  void on_accepted(tcp::socket socket);
  void make_room();
  void run();
  std::vector<std::shared_ptr<Connection>> all_connections() const;

  std::shared_ptr<Core> core;
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
  const auto connection = std::make_shared<Connection>(core, id, std::move(socket));
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
  std::shared_ptr<Connection> longest;
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

std::vector<std::shared_ptr<Connection>> HttpServer::Parts::all_connections() const {
  std::vector<std::shared_ptr<Connection>> all;
  for (const auto& [id, connection] : core->connections) all.push_back(connection);
  return all;
}

HttpServer::HttpServer(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Result<std::unique_ptr<HttpServer>> HttpServer::start(const HttpServerOptions& options,
                                                      HttpHandler* handler, LogSink* log) {
  auto parts = std::make_unique<Parts>(options, handler, log);
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
  Core& core = *parts_->core;
  MutexLock lock(core.mutex);
  while (!core.connections.empty()) {
    if (!core.changed.wait_for(lock, at_most)) break;  // told only once all are gone
  }
  return core.connections.empty();
}

}  // namespace potluck
