// AnswerWriter: turns the events of one request's choices into the bytes of an HTTP answer; each
// API has its own, for streams and for whole answers. Belongs to one request; calls must not
// overlap.
#pragma once

#include <string>
#include <string_view>

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/api_error.h"
#include "coordinator/serving/http/sse.h"

namespace potluck {

class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;

  // Whether bytes are sent as they come. If not, the last take() returns the whole body.
  virtual bool streams() const = 0;
  // What has to be sent now; may be empty. Failures and cancelled choices do not come here.
  virtual std::string take(size_t choice, const CompletionEvent& event) = 0;
  // Every choice has finished.
  virtual bool done() const = 0;

  // Told before the first event: another model than the one that is served here answers.
  virtual void answered_by(const std::string& /*model*/) {}

  // A stream's last bytes when it cannot go on: its head was sent, so a status cannot say it.
  virtual std::string failure(const ApiError& error) const { return sse_data(error_json(error)); }
  virtual std::string_view content_type() const {
    return streams() ? kSseContentType : std::string_view("application/json");
  }
  virtual std::string_view idle_comment() const { return kSseComment; }
  // What a stream says of a request's place in the queue; may be empty.
  virtual std::string waiting(const CompletionQueued& queued) const;
};

}  // namespace potluck
