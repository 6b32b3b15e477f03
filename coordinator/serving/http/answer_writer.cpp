#include "coordinator/serving/http/answer_writer.h"

#include <fmt/format.h>

namespace potluck {

// A comment, which every client of server-sent events skips.
std::string AnswerWriter::waiting(const CompletionQueued& queued) const {
  std::string when = queued.seconds > 0 ? fmt::format(", about {} s", queued.seconds) : "";
  return fmt::format(": waiting, {} before this one{}\n\n", queued.ahead, when);
}

}  // namespace potluck
