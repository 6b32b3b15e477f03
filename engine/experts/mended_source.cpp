#include "engine/experts/mended_source.h"

#include <fmt/format.h>

namespace potluck {

void MendedSource::request(std::span<const GrainId> wave) {
  wave_.assign(wave.begin(), wave.end());
  stored_.request(wave);
}

// The store names every grain of a wave that it cannot give and goes on with the rest, so each such
// grain costs one failed read and one cut.
Status MendedSource::take(std::vector<Arrival>* arrivals) {
  failures_.clear();
  if (Status taken = stored_.take_each(arrivals, &failures_); !taken) return taken;
  for (const StoredSource::Failure& failure : failures_) {
    GrainId id = wave_[failure.index];
    // A lack of descriptors or memory says nothing about the store.
    if (failure.error.code == ErrorCode::kLimit || !manifest_.contains(id)) return failure.error;
    auto view = cut(id, failure.error);
    if (!view) return view.error();
    arrivals->push_back({failure.index, std::move(*view)});
  }
  return {};
}

Result<GrainView> MendedSource::cut(GrainId id, const Error& reason) {
  auto grain = std::make_shared<Buffer>(cutter_.grain_bytes(id));
  if (Status cut = cutter_.cut(id, grain->span()); !cut) return cut.error();
  // Compared with the manifest, not with the store: a model file that was replaced meanwhile must
  // not mend a store of the old one.
  if (sha256(grain->span()) != manifest_.digest_of(id)) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}; the model file, too, was altered since the store was built",
                             reason.message)};
  }
  put_back(id, grain->span(), reason);
  return GrainView{grain->span(), grain};
}

// A store that takes nothing more is no reason to stop.
void MendedSource::put_back(GrainId id, ByteSpan grain, const Error& reason) {
  const Digest& digest = manifest_.digest_of(id);
  // Its pages go into quarantine, so that the new copy is not written to the bad place.
  store_.distrust(digest);
  Status put = store_.put_trusted(digest, grain);
  ++mended_;
  if (mended_ > kNotices) return;
  std::string text =
      fmt::format("{}; cut again from the model file{}{}", reason.message,
                  put ? "" : fmt::format(", but not stored: {}", put.error().message),
                  mended_ == kNotices ? "; further ones are not reported" : "");
  log_to(log_, {LogLevel::kWarning,
                kStoreComponent,
                std::move(text),
                {{"layer", id.layer},
                 {"expert", id.expert},
                 {"grain", id.grain},
                 {"reason", reason.message},
                 {"stored", static_cast<bool>(put)}}});
}

}  // namespace potluck
