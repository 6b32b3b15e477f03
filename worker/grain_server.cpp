#include "worker/grain_server.h"

#include <algorithm>

namespace potluck {

ByteSpan GrainServer::content(const BulkRequest& request) {
  // A peer that may not have the grain (its total is 0) gets none, not even one that is in memory
  // for another peer.
  if (request.total == 0) return {};
  auto found = std::find_if(loaded_.begin(), loaded_.end(),
                            [&](const Loaded& grain) { return grain.digest == request.digest; });
  if (found != loaded_.end()) {
    loaded_.splice(loaded_.begin(), loaded_, found);
    const ByteVector& bytes = loaded_.front().bytes;
    return bytes.size() == request.total ? ByteSpan(bytes) : ByteSpan();
  }
  // The length is a manifest's: where the store's is another one, this is not the grain that is
  // meant.
  if (!store_.contains(request.digest, request.total)) return {};
  ByteVector bytes(request.total);
  if (!store_.read(request.digest, bytes)) return {};
  while (!loaded_.empty() && loaded_bytes_ + bytes.size() > kLoadedBytes) {
    loaded_bytes_ -= loaded_.back().bytes.size();
    loaded_.pop_back();
  }
  loaded_bytes_ += bytes.size();
  loaded_.push_front({request.digest, std::move(bytes)});
  return loaded_.front().bytes;
}

// The queue is empty for a moment between two parts of a transfer, so grains are kept for a while.
void GrainServer::drop_loaded(TimePoint now) {
  if (loaded_.empty() || now - used_at_ < kLoadedFor) return;
  loaded_.clear();
  loaded_bytes_ = 0;
}

std::optional<BulkPart> GrainServer::next(TimePoint now) {
  if (queue_.empty()) drop_loaded(now);
  if (queue_.empty() || !pacer_.may_send(now)) return std::nullopt;
  last_ = queue_.take(now);
  if (!last_) return std::nullopt;
  BulkPart part = make_part(*last_, content(*last_));
  last_bytes_ = part.bytes.size();
  used_at_ = now;
  pacer_.sent(last_bytes_, now);
  bytes_served_ += last_bytes_;
  return part;
}

void GrainServer::not_sent(bool gone, TimePoint now) {
  if (!last_) return;
  bytes_served_ -= last_bytes_;
  if (gone) {
    queue_.forget(last_->peer);
  } else {
    queue_.put_back(*last_, now + BulkQueue::kFullPause);
  }
  last_.reset();
}

std::optional<TimePoint> GrainServer::next_tick(TimePoint now) const {
  std::optional<TimePoint> turn = queue_.next_turn();
  if (!turn) return std::nullopt;
  return std::max(*turn, pacer_.next(now));
}

}  // namespace potluck
