// MessageBuilder: makes one message of several typed lines: a backslash at the end of a line goes
// on with the next one, and three quotation marks begin a block that ends with three more. A plain
// value; one thread.
#pragma once

#include <string>
#include <string_view>

namespace potluck {

class MessageBuilder {
 public:
  // True when the message is whole; take() gives it.
  bool push(std::string_view line);
  // Something was begun.
  bool unfinished() const { return begun_; }
  std::string take();

 private:
  bool push_block(std::string_view line);

  std::string text_;
  bool begun_ = false;
  bool in_block_ = false;
};

}  // namespace potluck
