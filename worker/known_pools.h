// KnownPools: the pools this worker was admitted to, so that it finds them again without a token.
// One small text file per coordinator, named by its key. What is read back is checked like anything
// from outside. One thread.
//
//   DIR/pools/HEX    potluck-pool 2
//                    signing-key HEX
//                    place JOIN COMPUTE BULK       endpoints tcp://HOST:PORT, or - for none
//                    ...                           the place that worked last comes first
//
// Earlier versions wrote "potluck-pool 1" and one place in two or three lines; that is read, too:
//
//                    compute tcp://HOST:PORT
//                    bulk tcp://HOST:PORT
//                    join tcp://HOST:PORT          may be missing
#pragma once

#include <string>
#include <vector>

#include "engine/base/storage.h"
#include "worker/worker_core.h"

namespace potluck {

class KnownPools {
 public:
  // Coordinators that are made for one run come and go: when there are more, the one whose name
  // sorts first among the others makes room.
  static constexpr size_t kMost = 64;

  // `storage` must outlive the object.
  KnownPools(Storage& storage, const std::string& store_directory)
      : storage_(storage), directory_(store_directory + "/pools") {}

  // Files that are malformed are left out; `problems` says which and why.
  std::vector<PoolAddress> load_all(std::vector<std::string>* problems) const;
  // The endpoints known for one coordinator; kNotFound when there are none.
  Result<PoolAddress> load(const PeerKey& coordinator) const;
  // Writes nothing if it is all known already.
  Status save(const PoolAddress& address);

 private:
  std::string path_of(const PeerKey& coordinator) const;
  Result<std::vector<PeerKey>> coordinators() const;
  Status make_room(const PeerKey& coordinator);

  Storage& storage_;
  std::string directory_;
};

}  // namespace potluck
