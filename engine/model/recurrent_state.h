// RecurrentState: what the recurrent layers of one conversation carry from token to token. Unlike
// keys and values it cannot be cut off at an earlier position. What can be gone back to:
//
//   - any position of the last step, if it had at most kLoggedRows tokens: what each of them put
//     in is logged, and the state is computed again from the one before the step;
//   - the position before the last step, regardless of its length;
//   - the last kCheckpoints positions at which checkpoint() was called; and 0.
//
// So the tokens that a speculative step got wrong can be dropped. A step that fails leaves the
// state at the length untouched. Belongs to one session; one thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "engine/base/buffer.h"
#include "engine/base/thread_pool.h"
#include "engine/model/recurrent_shape.h"

namespace potluck {

// What one token puts into the state of one layer. Null pointers: not logged.
struct RecurrentInputs {
  float* mixed = nullptr;   // [channels]: the convolution's input
  float* keys = nullptr;    // [key_heads, key_dim]
  float* values = nullptr;  // [heads, value_dim]
  float* decays = nullptr;  // [heads, decays_per_head]
  float* betas = nullptr;   // [heads]
  float* kept = nullptr;    // [kept]: as they are after the token

  explicit operator bool() const { return mixed != nullptr; }
};

// The values of all layers at one position, which no longer change. Any thread may read them.
struct RecurrentSnapshot {
  uint32_t position = 0;
  Buffer values;  // [layers, values_per_layer] of float
};

class RecurrentState {
 public:
  // Checkpoints beside the current version and the one before; the oldest makes way.
  static constexpr uint32_t kCheckpoints = 2;
  // More than any speculative step; prompts come in longer ones.
  static constexpr uint32_t kLoggedRows = 16;

  // Starts at length 0, where all values are zero. No layers: every length can be reached.
  RecurrentState(uint32_t layers, const RecurrentShape& shape);

  uint32_t length() const { return length_; }
  // Forwards to where a step has ended, or back to a position that is known (CHECK).
  void set_length(uint32_t length);
  // The largest position up to `length` that set_length() can go back to.
  uint32_t reachable(uint32_t length) const;
  // The largest position up to `length`, at most this length, whose values are there as they are.
  uint32_t copyable(uint32_t length) const;
  // Takes over the values of another one at a position that is copyable(); this one must be at
  // length 0 (CHECK).
  void copy_from(const RecurrentState& from, uint32_t position);
  // Becomes what stands in the snapshot, at its position, which is `position`. Null: there are no
  // layers, or the position is 0.
  void begin(uint32_t position, const RecurrentSnapshot* from);
  // Keeps the version at the length, and returns it. Null: there are no layers, or the length is 0.
  std::shared_ptr<const RecurrentSnapshot> checkpoint();
  // Does what going back into the last step has left to do. Needed before advance().
  void settle(ThreadPool& pool);

  // The log of one layer during a step.
  class Log {
   public:
    Log() = default;
    Log(float* rows, const RecurrentShape* shape) : rows_(rows), shape_(shape) {}
    // Of the i-th token of the step; rows may be filled by several threads.
    RecurrentInputs row(uint32_t i) const;

   private:
    float* rows_ = nullptr;
    const RecurrentShape* shape_ = nullptr;
  };

  // One layer's values before and after a step that ends at position `end`, and where to write what
  // its tokens put in. `after` and the log count once set_length(end) is called.
  struct Versions {
    const float* before = nullptr;
    float* after = nullptr;
    Log log;
  };
  Versions advance(uint32_t layer, uint32_t end);

  // Upper bound of what one object takes, its checkpoints included; and what one snapshot takes.
  static uint64_t bytes_for(uint32_t layers, const RecurrentShape& shape);
  static uint64_t snapshot_bytes(uint32_t layers, const RecurrentShape& shape);

 private:
  static constexpr uint32_t kNowhere = UINT32_MAX;

  struct Version {
    uint32_t position = kNowhere;
    Buffer values;  // [layers, values_per_layer]; allocated when first used
  };

  bool empty() const { return layers_ == 0; }
  using Snapshot = std::shared_ptr<const RecurrentSnapshot>;

  // The values at a position below or at the length, if they are there; or null.
  const Buffer* values_at(uint32_t position) const;
  uint64_t values() const { return layers_ * values_per_layer_; }
  float* values_of(Version& version, uint32_t layer);
  void go_back(uint32_t length);
  Log log_of(uint32_t layer);
  uint32_t replay_tasks() const { return layers_ * (1 + shape_.heads); }
  void replay(uint32_t task);
  void replay_head(uint32_t layer, uint32_t head);
  void replay_history(uint32_t layer);

  RecurrentShape shape_;
  uint32_t layers_;
  uint64_t values_per_layer_;
  uint32_t length_ = 0;
  uint32_t pending_end_ = kNowhere;  // what versions_[1 - current_] will be, if a step is running
  uint32_t current_ = 0;
  std::array<Version, 2> versions_;  // at the length; and before the last step, or being written
  // Of the step that led to the length from versions_[1 - current_]: how many of its tokens are
  // logged, all of them or none; and whether versions_[current_] is still to be computed from them.
  uint32_t logged_rows_ = 0;
  bool unsettled_ = false;
  uint32_t log_capacity_ = 0;                       // rows
  Buffer log_;                                      // [layers, log_capacity_, inputs of a row]
  std::array<Snapshot, kCheckpoints> checkpoints_;  // or null
  uint32_t oldest_ = 0;                             // of the checkpoints
};

}  // namespace potluck
