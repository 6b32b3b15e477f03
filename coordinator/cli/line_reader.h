// LineReader: whole lines from standard input, waiting no longer than it is told. One thread.
#pragma once

#include <optional>
#include <string>

#include "engine/base/clock.h"

namespace potluck {

class LineReader {
 public:
  // The next line if there is one within `patience`. A line that the end of the input cuts off
  // counts as one.
  std::optional<std::string> next(Duration patience);
  // Nothing will come any more.
  bool ended() const { return closed_ && buffer_.empty(); }

 private:
  void read_available(Duration patience);

  std::string buffer_;
  bool closed_ = false;
};

}  // namespace potluck
