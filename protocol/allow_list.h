// AllowList: the keys that may speak to us. Closed by default: an empty list admits no one. Kept in
// a text file, one Z85 key and an optional name per line. One thread.
#pragma once

#include <map>
#include <string>

#include "engine/base/storage.h"
#include "protocol/keys.h"

namespace potluck {

class AllowList {
 public:
  AllowList() = default;  // in memory only
  // Reads the file; a missing one is an empty list, a malformed one an error that names the line.
  static Result<AllowList> load(Storage& storage, const std::string& path);

  bool contains(const PeerKey& key) const { return names_.contains(key); }
  size_t size() const { return names_.size(); }
  const std::map<PeerKey, std::string>& entries() const { return names_; }

  // Both write the file, if there is one.
  Status add(const PeerKey& key, const std::string& name);
  Status remove(const PeerKey& key);

 private:
  Status save() const;

  Storage* storage_ = nullptr;
  std::string path_;
  std::map<PeerKey, std::string> names_;
};

}  // namespace potluck
