#include "engine/experts/mended_source.h"

#include <fmt/format.h>

namespace potluck {

void MendedSource::request(std::span<const GrainId> wave) {
  wave_.assign(wave.begin(), wave.end());
  given_.assign(wave.size(), false);
  ask_for_the_rest();
}

void MendedSource::ask_for_the_rest() {
  asked_.clear();
  rest_.clear();
  for (size_t i = 0; i < wave_.size(); ++i) {
    if (given_[i]) continue;
    asked_.push_back(i);
    rest_.push_back(wave_[i]);
  }
  stored_.request(rest_);
}

Status MendedSource::take(std::vector<Arrival>* arrivals) {
  size_t before = arrivals->size();
  Status taken = stored_.take(arrivals);
  for (size_t i = before; i < arrivals->size(); ++i) {
    size_t& index = (*arrivals)[i].index;
    index = asked_[index];
    given_[index] = true;
  }
  // Without room nothing is wrong with the store.
  if (taken || taken.error().code == ErrorCode::kLimit || !stored_.failed_grain()) return taken;
  std::optional<size_t> index = awaited(*stored_.failed_grain());
  if (!index) return taken;
  auto view = cut(wave_[*index], taken.error());
  if (!view) return view.error();
  arrivals->push_back({*index, std::move(*view)});
  given_[*index] = true;
  ask_for_the_rest();
  return {};
}

// Where the wave waits for this grain, or for one of the same bytes that was read in its name.
std::optional<size_t> MendedSource::awaited(GrainId id) const {
  if (!manifest_.contains(id)) return std::nullopt;
  const Digest& digest = manifest_.digest_of(id);
  for (size_t i = 0; i < wave_.size(); ++i) {
    if (given_[i] || !manifest_.contains(wave_[i])) continue;
    if (manifest_.digest_of(wave_[i]) == digest) return i;
  }
  return std::nullopt;
}

Result<GrainView> MendedSource::cut(GrainId id, const Error& reason) {
  auto grain = std::make_shared<Buffer>(cutter_.grain_bytes(id));
  if (Status cut = cutter_.cut(id, grain->span()); !cut) return cut.error();
  const Digest& digest = manifest_.digest_of(id);
  if (sha256(grain->span()) != digest) {
    return Error{ErrorCode::kCorrupt,
                 fmt::format("{}; the model file, too, was altered since the store was built",
                             reason.message)};
  }
  put_back(digest, grain->span(), reason);
  return GrainView{grain->span(), grain};
}

// A store that takes nothing more is no reason to stop.
void MendedSource::put_back(const Digest& digest, ByteSpan grain, const Error& reason) {
  store_.distrust(digest);
  Status put = store_.put_trusted(digest, grain);
  ++mended_;
  if (!notice_ || mended_ > kNotices) return;
  notice_(fmt::format("{}; cut again from the model file{}{}", reason.message,
                      put ? "" : fmt::format(", but not stored: {}", put.error().message),
                      mended_ == kNotices ? "; further ones are not reported" : ""));
}

}  // namespace potluck
