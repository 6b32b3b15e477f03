// The TLS side of the HTTP server. Plain functions.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>

#include "coordinator/serving/http/http_server.h"

namespace potluck {

// Errors name the file. TLS 1.2 and above.
Result<std::unique_ptr<boost::asio::ssl::context>> load_tls(const TlsFiles& files);

}  // namespace potluck
