// ManifestFetch: gets the manifest that a Welcome has announced: from this device's disk, or part
// by part from the coordinator, and believes it only with the announced digest and the pool's
// signature. What has arrived stays while the coordinator is away: after the same Welcome only the
// rest is asked for. Owned by PoolSession, which calls it in these cases alone: a Welcome, a part,
// and, while the session is welcomed, ticks and new connections. The coordinator's window is handed
// in, since grains from there go through the same one. One thread.
//
//   nothing wanted --begin()--> asking --the last part--> nothing wanted: a manifest, or the end
//                               ^    |
//                               +----+ pausing: the coordinator did not have it, or a wrong part
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <variant>

#include "engine/experts/manifest.h"
#include "worker/bulk_assembly.h"
#include "worker/coordinator_link.h"
#include "worker/manifest_store.h"
#include "worker/part_window.h"

namespace potluck {

// Keeps a manifest on disk, if there is room for it.
using SaveManifest = std::function<Status(const Digest& digest, const SignedManifest& manifest)>;

class ManifestFetch {
 public:
  // `stored` may be null: then nothing is loaded or saved. The others must outlive the object.
  ManifestFetch(const SigningPublicKey& signing_key, ManifestStore* stored,
                const SaveManifest& save, CoordinatorLink& link)
      : signing_key_(signing_key), stored_(stored), save_(save), link_(link) {}

  // From now on manifests have to be signed by this key.
  void trust(const SigningPublicKey& signing_key) { signing_key_ = signing_key; }
  // The manifest, if it is on disk; else it is asked for.
  std::unique_ptr<Manifest> begin(const Welcome& welcome, PartWindow& window);
  // From begin() until it is there.
  bool wanted() const { return !std::holds_alternative<std::monostate>(state_); }
  // Whether on_part() is to be told of data with this digest.
  bool awaits(const Digest& digest) const;
  // The manifest, if this was the last part of it. The session may have ended instead.
  std::unique_ptr<Manifest> on_part(const BulkData& data, ByteSpan part, PartWindow& window);
  // Asks for as much of what is missing as the window has room for.
  void ask(PartWindow& window);
  // What was on its way is lost: asks for it again.
  void ask_again(PartWindow& window);

  // Asks again for what is overdue, or was not there a while ago.
  void on_tick(PartWindow& window);
  // TimePoint::max() when nothing is wanted.
  TimePoint next_tick(const PartWindow& window) const;

 private:
  struct Asking {
    BulkAssembly parts;
    Signature signature{};
  };
  struct Pausing {
    TimePoint until{0};
  };

  std::unique_ptr<Manifest> load();
  void begin_asking(PartWindow& window);
  std::unique_ptr<Manifest> finish(const SignedManifest& signed_manifest);
  Result<Manifest> verified(const SignedManifest& signed_manifest) const;
  void fail(const std::string& reason, PartWindow& window);
  void end(const std::string& reason);

  SigningPublicKey signing_key_;
  ManifestStore* stored_;
  const SaveManifest& save_;
  CoordinatorLink& link_;
  Welcome announced_;  // while it is wanted
  std::variant<std::monostate, Asking, Pausing> state_;
  uint32_t failures_ = 0;  // since begin()
};

}  // namespace potluck
