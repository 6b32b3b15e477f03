// Boost.Beast is known to this file alone. It reads heads only; chunked_body.h says why.
#include "coordinator/serving/http/request_reader.h"

#include <algorithm>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <utility>

#include "engine/base/out_of_resources.h"

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
  http::request_parser<http::empty_body> beast;
};

RequestReader::RequestReader(uint32_t head_bytes, uint64_t body_bytes)
    : head_bytes_(head_bytes), parser_(std::make_unique<Parser>()), body_bytes_(body_bytes) {
  parser_->beast.header_limit(head_bytes);
  parser_->beast.body_limit(body_bytes);
}
RequestReader::~RequestReader() = default;
RequestReader::RequestReader(RequestReader&&) noexcept = default;
RequestReader& RequestReader::operator=(RequestReader&&) noexcept = default;

size_t RequestReader::take(std::string_view bytes) {
  size_t used = 0;
  if (!refusal_ && !head_done()) used = take_head(bytes);
  if (!refusal_ && head_done() && !done()) used += take_body(bytes.substr(used));
  return used;
}

// Beast gets a head once it is whole. Given pieces, it would hold each of them alone to the limit,
// and what it finds wrong, and when, would depend on how the network had cut them.
size_t RequestReader::take_head(std::string_view bytes) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  if (!bytes.empty() && (bytes[0] <= ' ' || bytes[0] > '~')) {  // no method: TLS, for instance
    refusal_ = HttpRefusal{400, "not an HTTP request"};
    return 0;
  }
  const size_t end = bytes.substr(0, head_bytes_).find(kEnd);
  if (end == bytes.npos) {
    if (bytes.size() >= head_bytes_) refusal_ = describe(http::error::header_limit);
    return 0;
  }
  boost::system::error_code error;
  const size_t taken =
      parser_->beast.put(boost::asio::const_buffer(bytes.data(), end + kEnd.size()), error);
  // An error where more is wanted as well: nothing of the head is to come.
  refusal_ = error ? describe(error) : check_head();
  if (refusal_) return taken;
  if (parser_->beast.chunked()) {
    chunks_.emplace(head_bytes_, body_bytes_);
  } else {
    length_ = parser_->beast.content_length().value_or(0);
  }
  return taken;
}

size_t RequestReader::take_body(std::string_view bytes) {
  size_t taken = 0;
  Status memory = guard_memory("the body of a request", [&]() -> Status {
    if (chunks_) {
      taken = chunks_->take(bytes, &body_);
      refusal_ = chunks_->refusal();
    } else {
      taken = std::min<uint64_t>(bytes.size(), length_ - body_.size());
      body_.append(bytes.substr(0, taken));
    }
    return {};
  });
  if (!memory) refusal_ = HttpRefusal{503, memory.error().message};
  return taken;
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
  if (refusal_ || !head_done()) return false;
  return chunks_ ? chunks_->done() : body_.size() == length_;
}

size_t RequestReader::body_bytes() const {
  return body_.size();
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
  const auto& message = parser_->beast.get();
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
  request.body = std::move(body_);
  return request;
}

}  // namespace potluck
