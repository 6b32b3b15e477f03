// PrefixCache: what earlier requests have computed, for later ones that begin alike: a tree whose
// nodes are blocks of keys and values, named by the tokens from the start to their end. A request
// begins from the longest path that there is, no matter how many requests computed it, and also
// from the middle of a block. In a model with recurrent layers it begins where the tree has a
// checkpoint of their state.
//
// What was used longest ago goes first: blocks that no session holds, from the ends of the paths,
// and checkpoints. A request marks the whole path that it begins from as used, so that what a
// conversation goes on from outlives what came and went meanwhile. With a PrefixStore what goes is
// written to disk, and read again for a request that begins with it.
//
// In which order parts may go is kept up to date, in memory and on disk: each node stands there
// with the part of it that goes first, so that to find the next one takes no walk through the tree.
// Owned by CacheSupply; its thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "coordinator/serving/prefix_store.h"
#include "engine/base/clock.h"
#include "engine/model/kv_price.h"
#include "engine/tokenizer/tokenizer.h"

namespace potluck {

// How many tokens both begin with.
uint32_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b);

// Why a checkpoint was made.
enum class CheckpointKind : uint8_t {
  kTurn,    // a prompt or an answer ends here: of one path, the last few count
  kLasting  // requests part here, or it is one of those at regular distances
};

// What became of writing everything to disk.
struct SavedPrefixes {
  uint64_t written_bytes = 0;
  uint64_t left_bytes = 0;  // not on disk because the time was up
};

// Blocks, since the start.
struct PrefixCounts {
  uint64_t dropped = 0;  // from memory and disk
  uint64_t saved = 0;
  uint64_t restored = 0;
};

class PrefixCache {
 public:
  // The store, if there is one, must outlive the object; what is in it is there from the start.
  PrefixCache(const ModelConfig& config, std::shared_ptr<KvMemory> memory, PrefixStore* store);
  ~PrefixCache();

  struct Match {
    uint32_t common = 0;  // tokens that a path has in common
    uint32_t length = 0;  // of these, that a request can begin with, on disk included
    uint32_t held = 0;    // of `length`, whole blocks that sessions hold anyway: they cost nothing
  };
  Match find(std::span<const TokenId> tokens) const;
  // Makes the cache, which is empty, begin with what find() says, and returns true. What is on disk
  // takes several calls, each of which reads one part of it: `blocks`, empty at first, are those
  // that are there so far.
  bool begin(std::span<const TokenId> tokens, std::vector<KvBlock>* blocks, KvCache* cache);

  // Keeps what the cache holds of these tokens: those up to its length. `checkpoint`: at that
  // length, or null.
  void keep(std::span<const TokenId> tokens, const KvCache& cache,
            std::shared_ptr<const RecurrentSnapshot> checkpoint, CheckpointKind kind);

  // Drops what was used longest ago until so many blocks are free; false if that cannot be.
  bool make_room(uint32_t blocks);
  // The same until what no session holds takes at most so much.
  void shrink(uint64_t most_bytes);

  // Writes what is not on disk yet, what was used last first, as far as there is room, and begins
  // no further part once so much time has passed. A part is written as a whole or not at all.
  SavedPrefixes save(const Clock& clock, Duration at_most);

  // In memory: what no session holds, and all checkpoints.
  uint64_t bytes() const;
  uint32_t blocks() const { return blocks_; }
  uint32_t checkpoints() const { return checkpoints_; }
  const PrefixCounts& counts() const { return counts_; }
  uint64_t disk_bytes() const { return store_ == nullptr ? 0 : store_->bytes(); }
  // Parts that were looked at so far to find the next one that goes.
  uint64_t looked_at() const { return looked_at_; }

 private:
  struct Node;
  // A block, or a checkpoint of a node.
  struct Part {
    Node* node = nullptr;
    uint32_t position = 0;  // of the checkpoint; 0: it is the block
    uint64_t last_use = 0;
    uint32_t end = 0;      // position that it ends at
    bool is_used = false;  // nothing can be begun from it otherwise
    uint64_t serial = 0;   // of the node

    bool operator==(const Part&) const = default;
  };
  struct GoesFirst {
    bool operator()(const Part& a, const Part& b) const;
  };
  using Order = std::set<Part, GoesFirst>;
  // Where a node stands in an order: nowhere, or with this part.
  using Standing = std::optional<Part>;

  // Of both, one at least is there: in memory, or a slot on disk.
  struct Checkpoint {
    uint32_t position = 0;
    CheckpointKind kind = CheckpointKind::kTurn;
    uint64_t last_use = 0;
    std::shared_ptr<const RecurrentSnapshot> state;
    std::optional<uint32_t> slot;
  };
  struct Node {
    Node* parent = nullptr;
    uint32_t begin = 0;             // position
    std::vector<TokenId> tokens;    // at least one; a whole block's if the node has children
    std::optional<uint32_t> block;  // likewise; in memory only if those of all before are
    std::optional<uint32_t> slot;
    std::optional<Digest> digest;         // of all tokens to its end, once it was needed
    std::vector<Checkpoint> checkpoints;  // at positions in (begin, begin + tokens]
    std::vector<std::unique_ptr<Node>> children;
    size_t index = 0;  // among its parent's children
    uint64_t last_use = 0;
    uint64_t serial = 0;  // the later it was made, the larger
    // As settle() found them last.
    bool counts_in_memory = false;  // in its parent's number
    bool counts_on_disk = false;
    uint32_t children_in_memory = 0;
    uint32_t children_on_disk = 0;
    Standing in_memory;
    Standing on_disk;

    uint32_t end() const { return begin + static_cast<uint32_t>(tokens.size()); }
  };
  // Where a request can begin.
  struct Place {
    Node* node = nullptr;              // the one that has the last of the tokens
    Checkpoint* checkpoint = nullptr;  // with recurrent layers
    uint32_t length = 0;
    uint32_t common = 0;
  };

  Place find_place(std::span<const TokenId> tokens) const;
  void consider(Node& node, uint32_t common, Place* place) const;
  Node* keep_block(Node* parent, std::span<const TokenId> tokens, const KvBlock& block);
  void replace(Node* node, std::span<const TokenId> tokens, const KvBlock& block);
  Node* add(Node* parent, std::span<const TokenId> tokens, const KvBlock& block);
  Node* adopt(Node* parent, std::unique_ptr<Node> node);
  void settle(Node* node);
  static void stand(const Standing& now, Standing* before, Order* order);
  Standing first_in_memory(Node& node) const;
  Standing first_on_disk(Node& node) const;
  void add_checkpoint(Node* node, std::shared_ptr<const RecurrentSnapshot> state,
                      CheckpointKind kind);
  void forget_old_turns(Node* node);
  void touch(Node* node);
  void read_block(Node* node, std::vector<KvBlock>* blocks);
  bool read_checkpoint(Node* node, Checkpoint* checkpoint);
  bool drop_one();
  void drop(const Part& part);
  bool save(const Part& part);
  bool make_room_on_disk(PrefixPart part, uint64_t last_use);
  void forget_on_disk(const Part& part);
  template <class Visit>
  void visit_all(Visit visit);
  bool is_useless(const Node& node) const;
  Standing next_in_memory();
  uint64_t bytes_of(const Part& part) const;
  void remove(Node* node);
  void remove_checkpoint(Node* node, uint32_t position);
  const Digest& digest_of(Node* node);
  PrefixName name_of(Node* node, uint32_t position);
  void take_from_disk();
  Node* take_from_disk(const PrefixStore::Found& found, const std::map<Digest, Node*>& parents);

  std::shared_ptr<KvMemory> memory_;
  PrefixStore* store_;
  uint64_t checkpoint_bytes_;  // of each
  bool is_recurrent_;
  Node root_;
  Order memory_order_;
  Order disk_order_;
  uint64_t nodes_ = 0;  // made so far
  PrefixCounts counts_;
  uint64_t looked_at_ = 0;
  uint64_t uses_ = 0;
  uint32_t blocks_ = 0;       // in memory
  uint32_t checkpoints_ = 0;  // in memory
};

}  // namespace potluck
