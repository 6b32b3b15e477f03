// TraceFile: spans of time in Chrome's trace format, an array of complete events that
// chrome://tracing and ui.perfetto.dev open. Written piece by piece, so that a long trace needs no
// memory. One thread.
#pragma once

#include <memory>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/storage.h"

namespace potluck {

struct TraceSpan {
  const char* name;
  uint32_t process = 0;  // a device
  uint32_t thread = 0;   // what it does; spans of one thread nest
  TimePoint start{0};
  TimePoint end{0};
  uint32_t layer = 0;
  uint32_t rows = 0;  // tokens in the step; 0: not said
};

class TraceFile {
 public:
  // Replaces a file that was there. `storage` must outlive the object.
  static Result<std::unique_ptr<TraceFile>> open(Storage& storage, const std::string& path);

  void name_process(uint32_t process, const std::string& name);
  void name_thread(uint32_t process, uint32_t thread, const std::string& name);
  void add(const TraceSpan& span);
  // Ends the array; an error says why the trace is not complete.
  Status finish();

 private:
  explicit TraceFile(std::unique_ptr<WritableFile> file) : file_(std::move(file)) {}
  void add_name(const char* kind, uint32_t process, uint32_t thread, const std::string& name);
  void append(const std::string& event);
  void flush();

  std::unique_ptr<WritableFile> file_;
  std::string buffer_ = "[\n";
  uint64_t written_ = 0;
  bool first_ = true;
  Status status_;
};

}  // namespace potluck
