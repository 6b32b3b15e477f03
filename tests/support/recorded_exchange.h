// RecordedExchange: what a handler answers, for a test to look at. Callbacks are run by the test.
// One thread.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "coordinator/serving/http/http_exchange.h"

namespace potluck::test {

struct RecordedExchange final : HttpExchange {
  void respond(HttpResponse response) override {
    ++responses;
    head = std::move(response);
    body = head.body;
  }
  void start_stream(HttpResponse given, std::string comment) override {
    streaming = true;
    head = std::move(given);
    idle_comment = std::move(comment);
  }
  void write(std::string bytes) override { body += bytes; }
  void end() override { ended = true; }
  void on_closed(std::function<void()> callback) override { closed = std::move(callback); }
  void run_soon(std::function<void()> callback) override { soon.push_back(std::move(callback)); }

  void run_all() {
    for (auto& callback : std::exchange(soon, {})) callback();
  }
  std::string header(std::string_view name) const {
    const std::string* value = find_header(head.headers, name);
    return value == nullptr ? "" : *value;
  }

  int responses = 0;
  bool streaming = false;
  bool ended = false;
  HttpResponse head;
  std::string body;
  std::string idle_comment;
  std::function<void()> closed;
  std::vector<std::function<void()>> soon;
};

}  // namespace potluck::test
