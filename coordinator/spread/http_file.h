// HttpFile: a file on an http or https server, read by ranges (libcurl). Whatever the server says
// is checked before it is used: status, range, length, and that the file is still the one that was
// opened. A transfer that was cut off goes on where it stopped; a server that is busy is asked
// again after the time that it names, within bounds, until too many attempts in a row brought
// nothing. Redirections are followed, a few of them and never from https to http; the token goes to
// the host of the address alone. Reads block; any thread, one at a time.
#pragma once

#include <memory>
#include <string>

#include "coordinator/spread/http_handle.h"
#include "engine/base/storage.h"

namespace potluck {

class HttpFile final : public ReadableFile {
 public:
  // kInvalidArgument: an address that cannot be used; kUnsupported: a server that gives no ranges;
  // kNotFound, kRefused: as it says; kIo: it cannot be reached.
  static Result<std::unique_ptr<HttpFile>> open(const std::string& address, HttpOptions options);
  ~HttpFile() override;

  uint64_t size() const override;
  // What the server tells this content by: its strong ETag, else its date, else nothing.
  const std::string& tag() const;
  // What a hub says beside its redirection that the content is called (HttpReply::linked_tag()).
  const std::string& linked_tag() const;
  uint64_t direct_alignment() const override { return 1; }
  // kCorrupt: the file is not the one that was opened any more. kIo: it cannot be had now.
  Status read_at(uint64_t offset, MutableByteSpan out) const override;

 private:
  class Transfer;
  explicit HttpFile(std::unique_ptr<Transfer> transfer);

  std::unique_ptr<Transfer> transfer_;
};

}  // namespace potluck
