#include "coordinator/runtime/trace_file.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/bytes.h"
#include "engine/template/json.h"

namespace potluck {
namespace {

constexpr size_t kBuffer = 64 * 1024;

double microseconds(Duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

}  // namespace

Result<std::unique_ptr<TraceFile>> TraceFile::open(Storage& storage, const std::string& path) {
  auto file = storage.open_writable(path, WriteMode::kBuffered);
  if (!file) return file.error().in("--trace");
  if (Status emptied = (*file)->resize(0); !emptied) return emptied.error().in("--trace");
  return std::unique_ptr<TraceFile>(new TraceFile(std::move(*file)));
}

void TraceFile::name_process(uint32_t process, const std::string& name) {
  add_name("process_name", process, 0, name);
}

void TraceFile::name_thread(uint32_t process, uint32_t thread, const std::string& name) {
  add_name("thread_name", process, thread, name);
}

void TraceFile::add_name(const char* kind, uint32_t process, uint32_t thread,
                         const std::string& name) {
  append(fmt::format(R"({{"name":"{}","ph":"M","pid":{},"tid":{},"args":{{"name":{}}}}})", kind,
                     process, thread, write_json({name})));
}

void TraceFile::add(const TraceSpan& span) {
  Duration length = std::max(span.end - span.start, Duration::zero());
  append(fmt::format(R"({{"name":"{}","ph":"X","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f},)"
                     R"("args":{{"layer":{}{}}}}})",
                     span.name, span.process, span.thread, microseconds(span.start),
                     microseconds(length), span.layer,
                     span.rows > 0 ? fmt::format(R"(,"rows":{})", span.rows) : ""));
}

// The closing bracket may be missing in this format, so the trace of a process that was killed can
// be opened all the same.
void TraceFile::append(const std::string& event) {
  if (!first_) buffer_ += ",\n";
  first_ = false;
  buffer_ += event;
  if (buffer_.size() >= kBuffer) flush();
}

void TraceFile::flush() {
  // The first error is kept and reported at the end: a full disk must not stop the generation that
  // is being traced.
  if (status_) status_ = file_->write_at(written_, as_bytes(buffer_));
  written_ += buffer_.size();
  buffer_.clear();
}

Status TraceFile::finish() {
  buffer_ += "\n]\n";
  flush();
  if (status_) return {};
  return status_.error().in("--trace");
}

}  // namespace potluck
