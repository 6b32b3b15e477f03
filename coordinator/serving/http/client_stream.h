// ClientStream: the socket of one client, plain or with TLS around it. Boost.Asio is known to this
// file, to http_connection and to http_server. The server's thread.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <optional>
#include <utility>

namespace potluck {

class ClientStream {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  // `tls` may be null; otherwise it must outlive the stream.
  ClientStream(Socket socket, boost::asio::ssl::context* tls) {
    if (tls == nullptr) {
      plain_.emplace(std::move(socket));
    } else {
      encrypted_.emplace(std::move(socket), *tls);
    }
  }

  bool encrypted() const { return encrypted_.has_value(); }
  Socket& socket() { return encrypted_ ? encrypted_->next_layer() : *plain_; }

  // Before anything is read or written of an encrypted stream. Handler: void(error_code).
  template <class Handler>
  void async_handshake(Handler handler) {
    encrypted_->async_handshake(boost::asio::ssl::stream_base::server, std::move(handler));
  }
  // Handler: void(error_code, size_t).
  template <class Buffer, class Handler>
  void async_read_some(const Buffer& buffer, Handler handler) {
    if (encrypted_) {
      encrypted_->async_read_some(buffer, std::move(handler));
    } else {
      plain_->async_read_some(buffer, std::move(handler));
    }
  }
  template <class Buffer, class Handler>
  void async_write_some(const Buffer& buffer, Handler handler) {
    if (encrypted_) {
      encrypted_->async_write_some(buffer, std::move(handler));
    } else {
      plain_->async_write_some(buffer, std::move(handler));
    }
  }
  // Tells the client that nothing more will be sent. Handler: void(error_code).
  template <class Handler>
  void end_sending(Handler handler) {
    if (encrypted_) {
      encrypted_->async_shutdown(std::move(handler));
      return;
    }
    boost::system::error_code error;
    plain_->shutdown(Socket::shutdown_send, error);
  }

 private:
  std::optional<Socket> plain_;
  std::optional<boost::asio::ssl::stream<Socket>> encrypted_;
};

}  // namespace potluck
