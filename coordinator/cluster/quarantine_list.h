// QuarantineList: the keys of devices that answered wrongly, until when each gets no work, and why.
// Each time is twice as long as the one before. Kept in a text file, if it has one: a device does
// not get out by the coordinator's restart. One thread.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "engine/base/storage.h"
#include "protocol/keys.h"

namespace potluck {

struct QuarantineEntry {
  uint32_t times = 0;         // how often it was put here
  int64_t until_seconds = 0;  // Unix time; it stays until it greets after that. 0: it is out
  std::string reason;

  bool operator==(const QuarantineEntry&) const = default;
};

class QuarantineList {
 public:
  static constexpr int64_t kFirstSeconds = 600;  // long enough to be seen, and to be looked after
  static constexpr int64_t kLongestSeconds = 7 * 24 * 3600;

  QuarantineList() = default;  // in memory only
  // Reads the file; a missing one is an empty list, a malformed one an error that names the line.
  static Result<QuarantineList> load(Storage& storage, const std::string& path);

  bool contains(const PeerKey& key) const;
  // Also of devices that are out, for the next time.
  const std::map<PeerKey, QuarantineEntry>& entries() const { return entries_; }

  // It holds at once; the status says whether the file could be written, too.
  Status add(const PeerKey& key, const std::string& reason, int64_t unix_seconds);
  // Lets it out; false if it is not in.
  bool release(const PeerKey& key);
  // The same if its time is over.
  bool release_if_due(const PeerKey& key, int64_t unix_seconds);

 private:
  Status save() const;
  void make_room();

  Storage* storage_ = nullptr;
  std::string path_;
  std::map<PeerKey, QuarantineEntry> entries_;
};

}  // namespace potluck
