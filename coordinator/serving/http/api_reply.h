// ApiReply: an exchange together with the headers that every answer to its request has, and the
// form of errors in its API. A plain value; the rules of HttpExchange hold for its calls.
#pragma once

#include <memory>
#include <string>

#include "coordinator/serving/http/api_error.h"
#include "coordinator/serving/http/http_exchange.h"

namespace potluck {

class ApiReply {
 public:
  ApiReply(std::shared_ptr<HttpExchange> exchange, HttpHeaders headers)
      : exchange_(std::move(exchange)), headers_(std::move(headers)) {}

  void respond(HttpResponse response) const {
    add_headers(&response);
    exchange_->respond(std::move(response));
  }
  void json(const JsonValue& body) const { respond(json_response(200, body)); }
  void error(const ApiError& error) const { respond(error_response(error, form_)); }
  void set_error_form(ErrorForm form) { form_ = form; }
  // For every answer from now on.
  void add_header(std::string name, std::string value) {
    headers_.emplace_back(std::move(name), std::move(value));
  }

  void start_stream(std::string_view content_type, std::string_view idle_comment) const {
    HttpResponse head;
    head.headers = {{"Content-Type", std::string(content_type)},
                    {"Cache-Control", "no-cache"},
                    // nginx would keep tokens back until it has some kilobytes of them
                    {"X-Accel-Buffering", "no"}};
    add_headers(&head);
    exchange_->start_stream(std::move(head), std::string(idle_comment));
  }
  HttpExchange& exchange() const { return *exchange_; }
  const std::shared_ptr<HttpExchange>& shared_exchange() const { return exchange_; }

 private:
  void add_headers(HttpResponse* response) const {
    response->headers.insert(response->headers.end(), headers_.begin(), headers_.end());
  }

  std::shared_ptr<HttpExchange> exchange_;
  HttpHeaders headers_;
  ErrorForm form_ = error_json;
};

}  // namespace potluck
