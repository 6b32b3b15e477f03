#include "coordinator/serving/http/http_connection.h"

#include <boost/asio/post.hpp>

#include "engine/base/out_of_resources.h"

namespace potluck {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr size_t kReadBytes = 64 * kKiB;
constexpr size_t kEncryptedReadBytes = 16 * kKiB;  // the most that a TLS record holds
// Of requests that were sent before the one at hand was answered. Beyond it the connection is not
// read, and a client that leaves is noticed only when it is written to.
constexpr size_t kPipelinedBytes = 64 * kKiB;
constexpr size_t kLingerBytes = 64 * kMiB;
}  // namespace

class ConnectionExchange final : public HttpExchange {
 public:
  ConnectionExchange(std::shared_ptr<HttpCore> core,
                     const std::shared_ptr<HttpConnection>& connection)
      : core_(std::move(core)),
        connection_(connection),
        serial_(connection->serial_),
        outgoing_(connection->outgoing_) {}

  void respond(HttpResponse response) override {
    post([serial = serial_, response = std::move(response)](HttpConnection& connection) {
      connection.respond(serial, response);
    });
  }
  void start_stream(HttpResponse head, std::string idle_comment) override {
    post([serial = serial_, head = std::move(head),
          comment = std::move(idle_comment)](HttpConnection& connection) mutable {
      connection.start_stream(serial, head, std::move(comment));
    });
  }
  void write(std::string bytes) override {
    if (bytes.empty() || overflown_) return;
    const size_t size = bytes.size();
    // What comes now does not count: the last event of a response repeats its whole text, and a
    // client that keeps up is to get it.
    // Counted before it is posted: what waits for the server's thread is memory, too, and its
    // client may be stuck.
    const size_t waiting = outgoing_->posted.fetch_add(size) + outgoing_->queued;
    if (waiting > core_->limits.outgoing_bytes) {
      overflown_ = true;
      outgoing_->posted -= size;
      post([core = core_.get(), serial = serial_](HttpConnection& connection) {
        if (!connection.current(serial)) return;
        core->say(LogLevel::kWarning, "closed a connection whose client does not read its answer");
        connection.close();
      });
      return;
    }
    post([serial = serial_, bytes = std::move(bytes),
          outgoing = outgoing_](HttpConnection& connection) {
      outgoing->posted -= bytes.size();
      connection.write(serial, bytes);
    });
  }
  void end() override {
    post([serial = serial_](HttpConnection& connection) { connection.end(serial); });
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

  const std::shared_ptr<HttpCore> core_;
  const std::weak_ptr<HttpConnection> connection_;
  const uint64_t serial_;
  const std::shared_ptr<OutgoingBytes> outgoing_;
  bool overflown_ = false;
};

void HttpConnection::start() {
  error_code ignored;
  stream_.socket().set_option(tcp::no_delay(true), ignored);  // tokens come one by one
  stream_.socket().non_blocking(true, ignored);
  if (stream_.encrypted()) return begin_handshake();
  begin_idle();
  process();
}

// A client that speaks no TLS, or none that is safe, is left without a word: it could not read one.
void HttpConnection::begin_handshake() {
  phase_ = Phase::kHandshake;
  idle_since_ = core_->next_id++;
  arm(core_->limits.head_time);
  stream_.async_handshake([self = shared_from_this()](const error_code& error) {
    if (self->phase_ == Phase::kClosed) return;
    if (error) return self->close();
    self->begin_idle();
    self->process();
  });
}

void HttpConnection::turn_away() {
  if (stream_.encrypted()) return close();  // not worth a handshake
  begin_answer();
  HttpResponse response = core_->handler.refuse(503, "too many connections");
  send(response_head(response, BodyFraming::kLength, false) + response.body);
  ended_ = true;
  pump();
}

void HttpConnection::close() {
  if (phase_ == Phase::kClosed) return;
  const bool cut_short = phase_ == Phase::kAnswer && !ended_;
  phase_ = Phase::kClosed;
  core_->bodies -= std::exchange(accounted_body_, 0);
  disarm();
  deadline_.cancel();
  silence_.cancel();
  error_code ignored;
  stream_.socket().close(ignored);
  const auto callback = std::exchange(on_closed_, nullptr);
  const auto self = shared_from_this();  // the map may hold the last one
  core_->remove(id_);
  if (cut_short && callback) callback();
}

void HttpConnection::drain() {
  if (idle()) close();
  keep_alive_ = false;
}

void HttpConnection::begin_idle() {
  phase_ = Phase::kIdle;
  idle_since_ = core_->next_id++;
  reader_.emplace(core_->limits.head_bytes, core_->limits.body_bytes);
  arm(core_->limits.idle_time);
}

void HttpConnection::read_more() {
  if (reading_ || phase_ == Phase::kClosed) return;
  reading_ = true;
  const bool waits = phase_ == Phase::kIdle || phase_ == Phase::kAnswer;
  // An idle connection has no buffer: there may be thousands. With TLS it has one, because bytes
  // may be there that the socket does not tell of; it is smaller.
  if (waits && !stream_.encrypted()) return await_bytes();
  stream_.async_read_some(read_buffer(),
                          [self = shared_from_this()](const error_code& error, size_t bytes) {
                            self->reading_ = false;
                            self->on_read(error, bytes);
                          });
}

void HttpConnection::await_bytes() {
  read_buffer_ = {};
  stream_.socket().async_wait(
      tcp::socket::wait_read, [self = shared_from_this()](const error_code& error) {
        self->reading_ = false;
        if (self->phase_ == Phase::kClosed) return;
        if (error) return self->on_end_of_input(error);
        error_code failed;
        const size_t bytes = self->stream_.socket().read_some(self->read_buffer(), failed);
        self->on_read(failed, bytes);
      });
}

asio::mutable_buffer HttpConnection::read_buffer() {
  if (read_buffer_.empty()) {
    read_buffer_.resize(stream_.encrypted() ? kEncryptedReadBytes : kReadBytes);
  }
  return asio::buffer(read_buffer_);
}

void HttpConnection::on_read(const error_code& error, size_t bytes) {
  if (phase_ == Phase::kClosed) return;
  if (error == asio::error::would_block) return read_more();
  if (error) return on_end_of_input(error);
  if (phase_ == Phase::kLinger) {
    lingered_ += bytes;
    return lingered_ > kLingerBytes ? close() : read_more();
  }
  in_.append(read_buffer_.data(), bytes);
  process();
}

void HttpConnection::on_end_of_input(const error_code& error) {
  // The answer is whole and only has to be sent: a client that closed its side may still read it.
  if (phase_ == Phase::kAnswer && ended_ && error == asio::error::eof) return;
  close();
}

void HttpConnection::process() {
  while (phase_ == Phase::kIdle || phase_ == Phase::kHead || phase_ == Phase::kBody) {
    // Empty lines before a request are allowed (RFC 9112, 2.2); some clients send one after a body.
    while (phase_ == Phase::kIdle && in_.starts_with("\r\n")) in_.erase(0, 2);
    const bool may_be_empty_line = phase_ == Phase::kIdle && in_ == "\r";
    if (in_.empty() || may_be_empty_line || !take_request()) return read_more();
  }
  if (phase_ == Phase::kAnswer && in_.size() < kPipelinedBytes) read_more();
}

// Whether the phase has changed; if not, more bytes are needed.
bool HttpConnection::take_request() {
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
    // Not needed once the body comes anyway (RFC 9110, 10.1.1).
    if (reader_->expects_continue() && reader_->body_bytes() == 0) {
      send("HTTP/1.1 100 Continue\r\n\r\n");
      pump();
    }
  }
  return false;
}

bool HttpConnection::account_body() {
  const uint64_t bytes = reader_->head_done() ? reader_->body_bytes() : 0;
  if (bytes <= accounted_body_) return true;
  core_->bodies += bytes - accounted_body_;
  accounted_body_ = bytes;
  return core_->bodies <= core_->limits.bodies_bytes;
}

void HttpConnection::begin_answer() {
  phase_ = Phase::kAnswer;
  ++serial_;
  ended_ = false;
  streaming_ = false;
  leave_body_out_ = false;
  keep_alive_ = false;
  framing_ = BodyFraming::kLength;
  disarm();
}

void HttpConnection::begin_request() {
  begin_answer();
  keep_alive_ = reader_->keep_alive() && !core_->draining;
  leave_body_out_ = reader_->is_head();
  // A client of HTTP/1.0 knows no chunks: the end of the connection ends its body.
  framing_ = reader_->is_http11() ? BodyFraming::kChunked : BodyFraming::kUntilClose;
  const Status handled = guard_memory("a request", [this]() -> Status {
    core_->handler.handle(reader_->request(),
                          std::make_shared<ConnectionExchange>(core_, shared_from_this()));
    return {};
  });
  core_->bodies -= std::exchange(accounted_body_, 0);
  if (!handled) refuse(503, handled.error().message);
}

// Never kept alive: what else the client sends of this request would be read as the next one.
void HttpConnection::refuse(int status, const std::string& message) {
  core_->bodies -= std::exchange(accounted_body_, 0);
  begin_answer();
  const HttpResponse response = core_->handler.refuse(status, message);
  send(response_head(response, BodyFraming::kLength, false) + response.body);
  ended_ = true;
  pump();
}

void HttpConnection::respond(uint64_t serial, const HttpResponse& response) {
  if (!current(serial) || streaming_) return;
  std::string bytes = response_head(response, BodyFraming::kLength, keep_alive_);
  if (!leave_body_out_ && response.status != 204 && response.status != 304) bytes += response.body;
  send(bytes);
  ended_ = true;
  pump();
}

void HttpConnection::start_stream(uint64_t serial, const HttpResponse& head,
                                  std::string idle_comment) {
  if (!current(serial) || streaming_) return;
  streaming_ = true;
  if (framing_ == BodyFraming::kUntilClose) keep_alive_ = false;
  idle_comment_ = std::move(idle_comment);
  send(response_head(head, framing_, keep_alive_));
  pump();
}

void HttpConnection::write(uint64_t serial, const std::string& bytes) {
  if (!current(serial) || !streaming_ || leave_body_out_) return;
  send(framing_ == BodyFraming::kChunked ? chunk(bytes) : bytes);
  pump();
}

void HttpConnection::end(uint64_t serial) {
  if (!current(serial) || !streaming_) return;
  if (framing_ == BodyFraming::kChunked && !leave_body_out_) send(kLastChunk);
  ended_ = true;
  silence_.cancel();
  pump();
}

void HttpConnection::on_closed(uint64_t serial, std::function<void()> callback) {
  if (current(serial)) {
    on_closed_ = std::move(callback);
  } else if (phase_ == Phase::kClosed && serial == serial_ && !ended_) {
    callback();
  }
}

void HttpConnection::send(std::string_view bytes) {
  pending_ += bytes;
  if (streaming_ && !ended_) await_silence();
}

void HttpConnection::pump() {
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
  stream_.async_write_some(asio::buffer(out_.data() + sent_, out_.size() - sent_),
                           [self = shared_from_this()](const error_code& error, size_t bytes) {
                             self->on_written(error, bytes);
                           });
}

void HttpConnection::on_written(const error_code& error, size_t bytes) {
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

void HttpConnection::finish_answer() {
  on_closed_ = nullptr;
  if (!keep_alive_ || core_->draining) return begin_linger();
  begin_idle();
  process();
}

// Closing while the client still sends would reset the connection, and the answer with it (RFC
// 9112, 9.6).
void HttpConnection::begin_linger() {
  phase_ = Phase::kLinger;
  in_ = {};
  arm(core_->limits.linger_time);
  stream_.end_sending([self = shared_from_this()](const error_code&) { self->close(); });
  if (!stream_.encrypted()) read_more();  // the end of TLS reads by itself
}

// A timer that has expired may have its handler queued already when it is armed anew or canceled:
// by its turn such a handler knows that it is not meant any more.
void HttpConnection::arm(Duration time) {
  deadline_.expires_after(time);
  deadline_.async_wait([weak = weak_from_this(), turn = ++deadline_turn_](const error_code& error) {
    const auto self = weak.lock();
    if (!error && self && self->deadline_turn_ == turn) self->on_deadline();
  });
}

void HttpConnection::on_deadline() {
  if (phase_ == Phase::kHead || phase_ == Phase::kBody) {
    return refuse(408, "the request took too long to arrive");
  }
  if (phase_ == Phase::kAnswer) {
    core_->say(LogLevel::kWarning, "closed a connection whose client takes no answer");
  }
  close();
}

void HttpConnection::await_silence() {
  if (idle_comment_.empty()) return;
  silence_.expires_after(core_->limits.comment_time);
  silence_.async_wait([weak = weak_from_this(), serial = serial_](const error_code& error) {
    const auto self = weak.lock();
    if (!error && self && self->current(serial)) self->write(serial, self->idle_comment_);
  });
}

}  // namespace potluck
