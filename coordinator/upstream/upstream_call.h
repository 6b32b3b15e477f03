// UpstreamCall: one answer of another server: the bytes that come become the events of a
// completion, within bounds. Told by the thread of the HttpCaller alone.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "coordinator/serving/completion.h"
#include "coordinator/upstream/answer_events.h"
#include "coordinator/upstream/event_reader.h"
#include "coordinator/upstream/http_caller.h"
#include "engine/base/clock.h"

namespace potluck {

// Told what an upstream answers, in this order.
class UpstreamListener {
 public:
  virtual ~UpstreamListener() = default;

  // Its answer begins: from now on the request stays there.
  virtual void on_answer() = 0;
  virtual void on_piece(AnswerPiece piece) = 0;
  // One of these is the last. `failed`: why, for people, without anything secret.
  virtual void on_finished(const CompletionFinished& finished, uint64_t bytes) = 0;
  virtual void on_failed(const Error& failed, uint64_t bytes) = 0;
};

class UpstreamCall final : public HttpCallSink {
 public:
  // Of a whole answer, its wrapping included.
  static constexpr uint64_t kMostBytes = 256 << 20;
  // Of what a server says to a refusal.
  static constexpr size_t kMostRefusal = 16 << 10;

  // `secret` is taken out of what the server says of a refusal. The clock must outlive the call.
  UpstreamCall(UpstreamStyle style, std::string secret, std::shared_ptr<UpstreamListener> listener,
               const Clock* clock);

  bool on_status(int status) override;
  bool on_bytes(std::string_view bytes) override;
  void on_end(const Status& ended) override;

 private:
  Status take_event(std::string_view data);
  Error refusal() const;
  void finish();

  const std::string secret_;
  const std::shared_ptr<UpstreamListener> listener_;
  const Clock& clock_;
  const std::unique_ptr<AnswerEvents> events_;
  EventReader reader_;
  TimePoint asked_at_;
  TimePoint began_at_;
  int status_ = 0;
  uint64_t bytes_ = 0;
  std::string refusal_;
  Status fault_;
};

}  // namespace potluck
