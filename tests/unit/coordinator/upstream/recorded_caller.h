// RecordedCaller: an HttpCaller without a network: the test says what the other server answers. One
// thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/upstream/http_caller.h"

namespace potluck::test {

class RecordedCaller final : public HttpCaller {
 public:
  struct Made {
    HttpCall call;
    std::string body;
    std::shared_ptr<HttpCallSink> sink;
    bool cancelled = false;
  };

  Result<HttpCallId> call(HttpCall call, std::shared_ptr<HttpCallSink> sink) override {
    if (refuses) return Error{ErrorCode::kLimit, "too many"};
    made.push_back({std::move(call), {}, std::move(sink)});
    return made.size();
  }
  void cancel(HttpCallId id) override { made.at(id - 1).cancelled = true; }

  // As the thread of a real one does it: after the order.
  void send(size_t index) {
    made.at(index).body = made.at(index).call.body();
    made.at(index).call.body = nullptr;
  }
  // Answers with these bytes, in pieces of so many.
  void answer(size_t index, int status, std::string_view bytes, size_t piece = 1 << 20) {
    send(index);
    HttpCallSink& sink = *made.at(index).sink;
    bool wanted = sink.on_status(status);
    while (wanted && !bytes.empty()) {
      wanted = sink.on_bytes(bytes.substr(0, piece));
      bytes.remove_prefix(std::min(piece, bytes.size()));
    }
    end(index, wanted ? Status() : Status(Error{ErrorCode::kCancelled, "ended"}));
  }
  void end(size_t index, const Status& how) { made.at(index).sink->on_end(how); }

  std::vector<Made> made;
  bool refuses = false;
};

}  // namespace potluck::test
