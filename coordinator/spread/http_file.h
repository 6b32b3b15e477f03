// HttpFile: a file on an http or https server, read by ranges (libcurl). Whatever the server says
// is checked before it is used: status, range, length, and that the file is still the one that was
// opened. A transfer that was cut off goes on where it stopped; a server that is busy is asked
// again after the time that it names, within bounds, until too many attempts in a row brought
// nothing. Redirections are followed, a few of them and never from https to http; the token goes to
// the host of the address alone. Reads block; any thread, one at a time.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "engine/base/clock.h"
#include "engine/base/storage.h"

namespace potluck {

struct HttpOptions {
  std::string ca_file;  // certificates to trust; empty: the system's
  std::string token;    // sent as "Authorization: Bearer" to the host of the address; may be empty
  // Reads end soon after this becomes true. Must outlive the files; null: they do not.
  const std::atomic<bool>* stop = nullptr;
  // Unix time, for a server that names the moment at which it wants to be asked again; null: such a
  // server is asked after the usual pause.
  std::function<int64_t()> unix_seconds{};
  // Attempts in a row without a new byte, after which a read fails; and the pause after the first,
  // twice as long each time.
  uint32_t attempts = 8;
  Duration first_pause = std::chrono::milliseconds(500);
  // A transfer slower than a byte in so long counts as cut off.
  uint32_t stall_seconds = 30;
};

class HttpFile final : public ReadableFile {
 public:
  // kInvalidArgument: an address that cannot be used; kUnsupported: a server that gives no ranges;
  // kNotFound, kRefused: as it says; kIo: it cannot be reached.
  static Result<std::unique_ptr<HttpFile>> open(const std::string& address, HttpOptions options);
  ~HttpFile() override;

  uint64_t size() const override;
  // What the server tells this content by: its strong ETag, else its date, else nothing.
  const std::string& tag() const;
  uint64_t direct_alignment() const override { return 1; }
  // kCorrupt: the file is not the one that was opened any more. kIo: it cannot be had now.
  Status read_at(uint64_t offset, MutableByteSpan out) const override;

 private:
  class Transfer;
  explicit HttpFile(std::unique_ptr<Transfer> transfer);

  std::unique_ptr<Transfer> transfer_;
};

}  // namespace potluck
