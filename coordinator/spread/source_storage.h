// SourceStorage: opens the files of a model where they are, a path or an http or https address, and
// keeps ranges of them in memory for as long as experts are cut out of them: what is held is read
// from the source once, in one piece, however many reads take from it. What the files are is told
// by their identities, so that a source that has changed is noticed. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordinator/spread/http_file.h"
#include "coordinator/spread/resident_file.h"
#include "engine/base/forwarding_storage.h"

namespace potluck {

class HeldRanges;

class SourceStorage final : public ForwardingStorage {
 public:
  // `query`: follows the path of every address ("?download=true"); may be empty.
  SourceStorage(Storage& next, HttpOptions http, std::string query);
  ~SourceStorage() override;

  // Opened so far, in this order; what is "file" for hold() is an index into them.
  Result<std::unique_ptr<ReadableFile>> open(const std::string& path, ReadMode mode) override;
  // Of each: size, and what tells its content from another one.
  const std::vector<std::string>& identities() const { return identities_; }
  std::vector<uint64_t> sizes() const;
  const ReadableFile& file(size_t index) const;

  // Reads a range into memory. Reads that lie inside it are answered from there until release().
  Status hold(const TensorPlace& place);
  void release();
  uint64_t held_bytes() const;

 private:
  HttpOptions http_;
  std::string query_;
  std::vector<std::shared_ptr<HeldRanges>> files_;
  std::vector<std::string> identities_;
};

// Whether it is the address of a file on a server.
bool is_web_address(const std::string& source);
// An address in two: its path, and what follows it ("?download=true"). Another source is all path.
std::string source_path(const std::string& source);
std::string source_query(const std::string& source);

}  // namespace potluck
