// Boost.Beast is known to this file alone.
#include "coordinator/serving/http/request_reader.h"

#include <algorithm>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <utility>

namespace potluck {
namespace {

namespace http = boost::beast::http;
using boost::beast::iequals;

HttpRefusal describe(const boost::system::error_code& error) {
  if (error == http::error::header_limit) return {431, "the head of the request is too large"};
  if (error == http::error::body_limit) return {413, "the body of the request is too large"};
  if (error == http::error::buffer_overflow || error == http::error::bad_alloc) {
    return {503, "no memory for the request"};
  }
  return {400, "not an HTTP request: " + error.message()};
}

// Proxies are asked for whole addresses, "http://host/path".
std::string_view without_authority(std::string_view target) {
  const size_t scheme = target.find("://");
  if (target.starts_with('/') || scheme == target.npos) return target;
  return target.substr(std::min(target.find('/', scheme + 3), target.size()));
}

}  // namespace

struct RequestReader::Parser {
  http::request_parser<http::string_body> beast;
};

RequestReader::RequestReader(uint32_t head_bytes, uint64_t body_bytes)
    : parser_(std::make_unique<Parser>()) {
  parser_->beast.header_limit(head_bytes);
  parser_->beast.body_limit(body_bytes);
}
RequestReader::~RequestReader() = default;
RequestReader::RequestReader(RequestReader&&) noexcept = default;
RequestReader& RequestReader::operator=(RequestReader&&) noexcept = default;

size_t RequestReader::take(std::string_view bytes) {
  auto& beast = parser_->beast;
  size_t used = 0;
  while (!refusal_ && !beast.is_done()) {
    const bool had_head = beast.is_header_done();
    boost::system::error_code error;
    const boost::asio::const_buffer rest(bytes.data() + used, bytes.size() - used);
    const size_t taken = beast.put(rest, error);
    used += taken;
    if (error == http::error::need_more) break;
    if (error) refusal_ = describe(error);
    if (!had_head && !refusal_ && beast.is_header_done()) refusal_ = check_head();
    if (taken == 0) break;
  }
  return used;
}

std::optional<HttpRefusal> RequestReader::check_head() const {
  const auto& message = parser_->beast.get();
  const auto length = message[http::field::content_length];
  if (message.count(http::field::content_length) > 1 || length.find(',') != length.npos) {
    return HttpRefusal{400, "more than one Content-Length"};
  }
  if (message.count(http::field::transfer_encoding) > 0) {
    if (!is_http11()) return HttpRefusal{400, "Transfer-Encoding in HTTP/1.0"};
    if (!iequals(message[http::field::transfer_encoding], "chunked")) {
      return HttpRefusal{501, "the only Transfer-Encoding known here is chunked"};
    }
  }
  const size_t hosts = message.count(http::field::host);
  if (hosts > 1 || (is_http11() && hosts == 0)) return HttpRefusal{400, "expected one Host header"};
  return std::nullopt;
}

bool RequestReader::head_done() const {
  return parser_->beast.is_header_done();
}

bool RequestReader::done() const {
  return parser_->beast.is_done();
}

size_t RequestReader::body_bytes() const {
  return parser_->beast.get().body().size();
}

bool RequestReader::keep_alive() const {
  return parser_->beast.keep_alive();
}

bool RequestReader::is_http11() const {
  return parser_->beast.get().version() >= 11;
}

bool RequestReader::is_head() const {
  return parser_->beast.get().method() == http::verb::head;
}

bool RequestReader::expects_continue() const {
  return is_http11() && iequals(parser_->beast.get()[http::field::expect], "100-continue");
}

HttpRequest RequestReader::request() {
  auto& message = parser_->beast.get();
  HttpRequest request;
  request.method = is_head() ? "GET" : std::string(message.method_string());
  const std::string_view target =
      without_authority({message.target().data(), message.target().size()});
  const size_t question = target.find('?');
  request.path = percent_decoded(target.substr(0, question));
  if (question != target.npos) request.query = target.substr(question + 1);
  for (const auto& field : message) {
    request.headers.emplace_back(field.name_string(), field.value());
  }
  request.body = std::move(message.body());
  return request;
}

}  // namespace potluck
