// HttpConnection: one client of the HTTP server, from its first byte to its last. Reads while a
// request is being answered, so that a client that leaves is noticed; hence it reads and writes by
// itself instead of through Beast's composed operations. Held by HttpCore and by what it waits for;
// the server's thread.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/serving/http/client_stream.h"
#include "coordinator/serving/http/http_server.h"
#include "coordinator/serving/http/request_reader.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

class HttpConnection;

// What the server's thread works with. Exchanges keep it, so that what they post has somewhere to
// go after the server is gone; it is then never run.
struct HttpCore {
  HttpCore(const HttpServerOptions& given, HttpHandler* to, LogSink* sink)
      : limits(given.limits), handler(*to), log(sink) {}

  void say(LogLevel level, std::string message) {
    log_to(log, {level, "http", std::move(message)});
  }
  void remove(uint64_t id) {
    MutexLock lock(mutex);
    connections.erase(id);
    if (connections.empty()) changed.notify_all();
  }

  boost::asio::io_context io;
  const HttpLimits limits;
  HttpHandler& handler;
  LogSink* const log;
  std::unique_ptr<boost::asio::ssl::context> tls;  // null: connections are plain
  bool draining = false;
  uint64_t bodies = 0;  // bytes of bodies that are being received
  uint64_t next_id = 1;
  // The map is changed by the server's thread alone; the mutex is for wait_drained().
  Mutex mutex;
  Condition changed;
  std::map<uint64_t, std::shared_ptr<HttpConnection>> connections;
};

// Bytes of one connection that its client has not taken.
struct OutgoingBytes {
  std::atomic<size_t> posted{0};  // on the way to the server's thread
  std::atomic<size_t> queued{0};
};

class HttpConnection : public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(std::shared_ptr<HttpCore> core, uint64_t id, boost::asio::ip::tcp::socket socket)
      : core_(std::move(core)),
        id_(id),
        stream_(std::move(socket), core_->tls.get()),
        deadline_(core_->io),
        silence_(core_->io) {}

  void start();
  // Answers 503 and goes: there are too many.
  void turn_away();
  void close();
  // Ends when its request is answered; at once if there is none.
  void drain();
  // No request is under way: it may be closed to make room.
  bool idle() const { return phase_ == Phase::kIdle || phase_ == Phase::kHandshake; }
  uint64_t idle_since() const { return idle_since_; }

  // For the exchange of the request `serial`; those of earlier ones do nothing.
  void respond(uint64_t serial, const HttpResponse& response);
  void start_stream(uint64_t serial, const HttpResponse& head, std::string idle_comment);
  void write(uint64_t serial, const std::string& bytes);
  void end(uint64_t serial);
  void on_closed(uint64_t serial, std::function<void()> callback);

 private:
  enum class Phase { kHandshake, kIdle, kHead, kBody, kAnswer, kLinger, kClosed };

  void begin_handshake();
  void begin_idle();
  void read_more();
  void await_bytes();
  boost::asio::mutable_buffer read_buffer();
  void on_read(const boost::system::error_code& error, size_t bytes);
  void on_end_of_input(const boost::system::error_code& error);
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
  void on_written(const boost::system::error_code& error, size_t bytes);
  void arm(Duration time);
  void disarm() { ++deadline_turn_; }
  void on_deadline();
  void await_silence();

  const std::shared_ptr<HttpCore> core_;
  const uint64_t id_;
  ClientStream stream_;
  boost::asio::steady_timer deadline_;  // of what the phase waits for
  uint64_t deadline_turn_ = 0;
  boost::asio::steady_timer silence_;  // of a stream
  Phase phase_ = Phase::kIdle;
  uint64_t idle_since_ = 0;

  std::vector<char> read_buffer_;
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
  std::shared_ptr<OutgoingBytes> outgoing_ = std::make_shared<OutgoingBytes>();

  friend class ConnectionExchange;
};

}  // namespace potluck
