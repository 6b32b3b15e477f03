// LineReader: the lines of a descriptor as messages, without an editor: pipes, files, and terminals
// whose standard error goes elsewhere. One thread.
#pragma once

#include <optional>
#include <string>

#include "coordinator/cli/message_input.h"
#include "engine/base/clock.h"

namespace potluck {

class LineReader final : public MessageInput {
 public:
  // The descriptor stays open and is the caller's. `prompts`: it is a terminal, where a person is
  // asked for each line.
  LineReader(int descriptor, bool prompts, Terminal& terminal)
      : descriptor_(descriptor), prompts_(prompts), terminal_(terminal) {}

  // A line that the end of the input cuts off counts as one.
  Result<std::optional<std::string>> next(const std::string& prompt,
                                          const WhileWaiting& while_waiting) override;

 private:
  void read_available(Duration patience);
  std::string take_line(size_t end);
  Status check(const std::string& line) const;

  int descriptor_;
  bool prompts_;
  Terminal& terminal_;
  std::string buffer_;
  bool closed_ = false;
  bool skips_ = false;  // the rest of a line that was too long
};

}  // namespace potluck
