#include "coordinator/cli/output.h"

#include <cerrno>
#include <nlohmann/json.hpp>
#include <system_error>

#include <fmt/format.h>
#include <unistd.h>

#include "coordinator/cli/json_text.h"
#include "coordinator/cli/standard_streams.h"

namespace potluck {

void Output::line(std::string_view text) {
  write(terminal_line(text) + "\n");
}

void Output::json(const nlohmann::json& report) {
  write(json_text(report) + "\n");
}

void Output::page(std::string_view text) {
  write(text);
}

bool Output::text(std::string_view piece) {
  // A terminal obeys escape sequences, and a model can be made to write them. A file or pipe gets
  // the text as it is.
  return is_terminal_ ? write(shown_.push(piece)) : write(piece);
}

void Output::end_text() {
  if (is_terminal_) write(shown_.finish());
}

bool Output::reader_gone() const {
  return error_ == EPIPE;
}

Status Output::finish() {
  end_text();
  // Network file systems report what they could not write when a descriptor is closed; closing a
  // copy asks for that and keeps the original.
  const int copy = error_ == 0 ? dup(descriptor_) : -1;
  if (copy >= 0 && close(copy) != 0 && errno != EINTR) error_ = errno;
  if (error_ == 0) return {};
  return Error{ErrorCode::kIo, fmt::format("standard output: {}; what was written is not complete",
                                           std::generic_category().message(error_))};
}

bool Output::write(std::string_view bytes) {
  if (error_ == 0) error_ = write_all(descriptor_, bytes);
  return error_ == 0;
}

}  // namespace potluck
