#include "coordinator/serving/http/tls_context.h"

#include <openssl/ssl.h>

namespace potluck {
namespace {

using boost::asio::ssl::context;

Error unusable(const std::string& file, const boost::system::error_code& error) {
  return {ErrorCode::kInvalidArgument, file + ": " + error.message()};
}

// Without it OpenSSL asks for a pass phrase on the terminal, and serve would wait there.
int no_pass_phrase(char*, int, int, void*) {
  return 0;
}

}  // namespace

Result<std::unique_ptr<context>> load_tls(const TlsFiles& files) {
  auto made = std::make_unique<context>(context::tls_server);
  boost::system::error_code error;
  made->set_options(context::default_workarounds | context::no_sslv2 | context::no_sslv3 |
                        context::no_tlsv1 | context::no_tlsv1_1,
                    error);
  // A client must not make the server compute one handshake after the other on one connection.
  SSL_CTX_set_options(made->native_handle(), SSL_OP_NO_RENEGOTIATION);
  // Most connections are idle most of the time.
  SSL_CTX_set_mode(made->native_handle(), SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_default_passwd_cb(made->native_handle(), &no_pass_phrase);
  made->use_certificate_chain_file(files.certificate, error);
  if (error) return unusable(files.certificate, error);
  made->use_private_key_file(files.key, context::pem, error);
  if (error) return unusable(files.key, error);
  if (SSL_CTX_check_private_key(made->native_handle()) != 1) {
    return Error{ErrorCode::kInvalidArgument,
                 files.key + ": not the key of the certificate in " + files.certificate};
  }
  return made;
}

}  // namespace potluck
