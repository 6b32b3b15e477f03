// ChunkValues: the values of a chunk whose cache keeps them in the keys (latent attention), brought
// to where the attention kernel reads values: once for all rows and heads that share a call of it.
// Owns memory for one chunk; one thread.
#pragma once

#include <algorithm>
#include <span>

#include "engine/base/bytes.h"
#include "engine/base/scratch.h"
#include "engine/kernels/kernels.h"

namespace potluck {

class ChunkValues {
 public:
  // If the chunk has no values: those that the queries, at least one, see; valid until the next
  // call.
  void complete(AttentionChunk* chunk, std::span<const AttentionQuery> queries) {
    if (chunk->values != nullptr) return;
    uint32_t begin = kAttentionChunk;
    uint32_t end = 0;
    for (const AttentionQuery& query : queries) {
      begin = std::min(begin, query.begin);
      end = std::max(end, query.end);
    }
    grow(values_, kAttentionChunk * kv_bytes(chunk->type, chunk->value_dim));
    copy_values(chunk->type, chunk->head_dim, chunk->value_dim, chunk->keys, begin, end,
                values_.data());
    chunk->values = values_.data();
  }

 private:
  ByteVector values_;
};

}  // namespace potluck
