#include "coordinator/serving/prefix_cache.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include "engine/base/check.h"

namespace potluck {
namespace {

// Checkpoints at ends of turns that one path keeps: the last message may be asked in another form,
// and so may the one before.
constexpr uint32_t kTurnCheckpoints = 4;

}  // namespace

uint32_t common_prefix(std::span<const TokenId> a, std::span<const TokenId> b) {
  size_t most = std::min(a.size(), b.size());
  auto end = a.begin() + static_cast<ptrdiff_t>(most);
  return static_cast<uint32_t>(std::mismatch(a.begin(), end, b.begin()).first - a.begin());
}

PrefixCache::PrefixCache(const ModelConfig& config, std::shared_ptr<KvMemory> memory,
                         PrefixStore* store)
    : memory_(std::move(memory)),
      store_(store),
      checkpoint_bytes_(RecurrentState::snapshot_bytes(KvMemory::recurrent_layers(config),
                                                       config.recurrent_shape())),
      is_recurrent_(checkpoint_bytes_ > 0) {
  if (store_ != nullptr) take_from_disk();
}

// From the leaves on, without recursion: paths are as long as conversations.
PrefixCache::~PrefixCache() {
  store_ = nullptr;  // what is on disk stays
  while (!root_.children.empty()) remove(root_.children.back().get());
}

PrefixCache::Place PrefixCache::find_place(std::span<const TokenId> tokens) const {
  Place place;
  const Node* node = &root_;
  for (uint32_t position = 0; node != nullptr && position < tokens.size();
       position += kKvBlockPositions) {
    const Node* next = nullptr;
    for (const auto& child : node->children) {
      uint32_t common = common_prefix(child->tokens, tokens.subspan(position));
      if (common > 0) consider(*child, common, &place);
      if (common == kKvBlockPositions) next = child.get();
    }
    node = next;
  }
  return place;
}

void PrefixCache::consider(Node& node, uint32_t common, Place* place) const {
  uint32_t end = node.begin + common;
  place->common = std::max(place->common, end);
  if (!is_recurrent_) {
    if (end > place->length) *place = {&node, nullptr, end, place->common};
    return;
  }
  for (Checkpoint& checkpoint : node.checkpoints) {
    if (checkpoint.position > end || checkpoint.position <= place->length) continue;
    *place = {&node, &checkpoint, checkpoint.position, place->common};
  }
}

PrefixCache::Match PrefixCache::find(std::span<const TokenId> tokens) const {
  Place place = find_place(tokens);
  Match match{place.common, place.length, 0};
  // A session that holds a block holds those before it.
  for (const Node* node = place.node; node != nullptr && node != &root_; node = node->parent) {
    bool is_whole = node->begin + kKvBlockPositions <= place.length;
    if (!is_whole || !node->block || !memory_->is_held(*node->block)) continue;
    match.held = node->begin + kKvBlockPositions;
    break;
  }
  return match;
}

bool PrefixCache::begin(std::span<const TokenId> tokens, std::vector<KvBlock>* blocks,
                        KvCache* cache) {
  // First, as it may drop what would be found.
  bool has_room = store_ == nullptr || make_room(1);
  Place place = find_place(tokens);
  std::vector<Node*> path;
  for (Node* node = place.node; node != nullptr && node != &root_; node = node->parent) {
    path.push_back(node);
  }
  std::ranges::reverse(path);
  while (blocks->size() > path.size()) blocks->pop_back();
  for (size_t i = 0; i < path.size(); ++i) {
    if (i < blocks->size() && (*blocks)[i].index() == path[i]->block) continue;
    while (blocks->size() > i) blocks->pop_back();
    if (!path[i]->block) {
      if (has_room) read_block(path[i], blocks);
      if (!has_room) blocks->clear();
      return !has_room;
    }
    blocks->push_back(memory_->hold(*path[i]->block));
  }
  if (path.empty()) return true;
  const RecurrentSnapshot* state = nullptr;
  if (place.checkpoint != nullptr) {
    // Begun from in the same call: memory may be too short for it to stay.
    if (place.checkpoint->state == nullptr && !read_checkpoint(place.node, place.checkpoint)) {
      return false;
    }
    state = place.checkpoint->state.get();
    place.checkpoint->last_use = uses_ + 1;
  }
  touch(place.node);
  cache->begin(std::exchange(*blocks, {}), place.length, state);
  return true;
}

// If it is damaged, it is not in the tree any more, nor what followed it.
void PrefixCache::read_block(Node* node, std::vector<KvBlock>* blocks) {
  std::optional<KvBlock> block = memory_->take();
  CHECK(block);
  PrefixName name = name_of(node, 0);
  MutableByteSpan bytes(block->data(), memory_->block_bytes());
  if (!store_->read(PrefixPart::kBlock, *node->slot, name, bytes)) {
    node->slot.reset();
    return remove(node);
  }
  memory_->keep(block->index());
  node->block = block->index();
  ++blocks_;
  ++counts_.restored;
  settle(node);
  blocks->push_back(std::move(*block));
}

// False if it was damaged, and has gone.
bool PrefixCache::read_checkpoint(Node* node, Checkpoint* checkpoint) {
  auto state = std::make_shared<RecurrentSnapshot>();
  state->position = checkpoint->position;
  state->values = Buffer(checkpoint_bytes_, "a checkpoint of a recurrent state");
  PrefixName name = name_of(node, checkpoint->position);
  if (!store_->read(PrefixPart::kCheckpoint, *checkpoint->slot, name, state->values.span())) {
    checkpoint->slot.reset();
    remove_checkpoint(node, checkpoint->position);
    return false;
  }
  checkpoint->state = std::move(state);
  ++checkpoints_;
  settle(node);
  return true;
}

// The node and all before it.
void PrefixCache::touch(Node* node) {
  ++uses_;
  for (; node != nullptr; node = node->parent) {
    node->last_use = uses_;
    settle(node);
  }
}

void PrefixCache::keep(std::span<const TokenId> tokens, const KvCache& cache,
                       std::shared_ptr<const RecurrentSnapshot> checkpoint, CheckpointKind kind) {
  CHECK(cache.length() <= tokens.size());
  tokens = tokens.first(cache.length());
  Node* node = &root_;
  for (uint32_t i = 0; i < kv_blocks(cache.length()); ++i) {
    std::span<const TokenId> rest = tokens.subspan(size_t{i} * kKvBlockPositions);
    node = keep_block(node, rest.first(std::min<size_t>(rest.size(), kKvBlockPositions)),
                      cache.blocks()[i]);
  }
  if (node == &root_) return;
  touch(node);
  if (checkpoint != nullptr) add_checkpoint(node, std::move(checkpoint), kind);
}

// The child that has these tokens, perhaps more: one that is there, one that goes on with them, or
// a new one.
PrefixCache::Node* PrefixCache::keep_block(Node* parent, std::span<const TokenId> tokens,
                                           const KvBlock& block) {
  for (const auto& child : parent->children) {
    uint32_t common = common_prefix(child->tokens, tokens);
    bool is_there = common == tokens.size();
    if (!is_there && common < child->tokens.size()) continue;
    bool has_all = child->tokens.size() <= tokens.size();
    if (has_all && (!is_there || !child->block)) replace(child.get(), tokens, block);
    return child.get();
  }
  return add(parent, tokens, block);
}

// The node's tokens are the first of these, or all.
void PrefixCache::replace(Node* node, std::span<const TokenId> tokens, const KvBlock& block) {
  if (node->tokens.size() < tokens.size()) {
    if (node->slot) store_->remove(PrefixPart::kBlock, *std::exchange(node->slot, std::nullopt));
    node->digest.reset();
    node->tokens.assign(tokens.begin(), tokens.end());
  }
  if (node->block != block.index()) {
    memory_->keep(block.index());
    if (node->block) {
      memory_->drop(*node->block);
    } else {
      ++blocks_;
    }
    node->block = block.index();
  }
  settle(node);
}

PrefixCache::Node* PrefixCache::add(Node* parent, std::span<const TokenId> tokens,
                                    const KvBlock& block) {
  auto node = std::make_unique<Node>();
  node->tokens.assign(tokens.begin(), tokens.end());
  node->block = block.index();
  memory_->keep(block.index());
  ++blocks_;
  return adopt(parent, std::move(node));
}

PrefixCache::Node* PrefixCache::adopt(Node* parent, std::unique_ptr<Node> node) {
  node->parent = parent;
  node->begin = parent == &root_ ? 0 : parent->begin + kKvBlockPositions;
  node->index = parent->children.size();
  node->serial = ++nodes_;
  parent->children.push_back(std::move(node));
  settle(parent->children.back().get());
  return parent->children.back().get();
}

// Of parts used at the same time, which lie on one path, the one that is before the others goes
// first.
bool PrefixCache::GoesFirst::operator()(const Part& a, const Part& b) const {
  auto rank = [](const Part& part) {
    return std::tuple(part.is_used, part.last_use, part.end, part.serial);
  };
  return rank(a) < rank(b);
}

// To be called after every change of a node: sees to it that it stands where it belongs.
void PrefixCache::settle(Node* node) {
  if (node == &root_) return;
  auto count = [](bool now, bool* before, uint32_t* children) {
    if (now == *before) return false;
    *before = now;
    now ? ++*children : --*children;
    return true;
  };
  Node* parent = node->parent;
  bool in_memory =
      count(node->block.has_value(), &node->counts_in_memory, &parent->children_in_memory);
  bool on_disk = count(node->slot.has_value(), &node->counts_on_disk, &parent->children_on_disk);
  if (in_memory || on_disk) settle(parent);
  stand(first_in_memory(*node), &node->in_memory, &memory_order_);
  stand(first_on_disk(*node), &node->on_disk, &disk_order_);
}

void PrefixCache::stand(const Standing& now, Standing* before, Order* order) {
  bool is_same = now.has_value() == before->has_value();
  if (is_same && now) is_same = *now == **before;
  if (!is_same && *before) order->erase(**before);
  if (!is_same && now) order->insert(*now);
  *before = now;
}

void PrefixCache::add_checkpoint(Node* node, std::shared_ptr<const RecurrentSnapshot> state,
                                 CheckpointKind kind) {
  uint32_t position = state->position;
  auto same = std::ranges::find(node->checkpoints, position, &Checkpoint::position);
  if (same == node->checkpoints.end()) {
    node->checkpoints.push_back({position, kind, uses_, nullptr, std::nullopt});
    same = std::prev(node->checkpoints.end());
  }
  if (same->state == nullptr) {
    same->state = std::move(state);
    ++checkpoints_;
  }
  same->last_use = uses_;
  if (kind == CheckpointKind::kLasting) same->kind = kind;
  settle(node);
  if (kind == CheckpointKind::kTurn) forget_old_turns(node);
}

void PrefixCache::forget_old_turns(Node* node) {
  uint32_t seen = 0;
  for (; node != &root_; node = node->parent) {
    std::vector<uint32_t> turns;
    for (const Checkpoint& one : node->checkpoints) {
      if (one.kind == CheckpointKind::kTurn) turns.push_back(one.position);
    }
    std::ranges::sort(turns, std::greater());
    for (uint32_t position : turns) {
      if (seen++ >= kTurnCheckpoints) remove_checkpoint(node, position);
    }
  }
}

bool PrefixCache::make_room(uint32_t blocks) {
  while (memory_->free() < blocks) {
    if (!drop_one()) return false;
  }
  return true;
}

void PrefixCache::shrink(uint64_t most_bytes) {
  while (bytes() > most_bytes && drop_one()) {
  }
}

uint64_t PrefixCache::bytes() const {
  uint64_t blocks = memory_->taken() - memory_->held();
  return blocks * memory_->block_bytes() + checkpoints_ * checkpoint_bytes_;
}

bool PrefixCache::drop_one() {
  Standing next = next_in_memory();
  if (next) drop(*next);
  return next.has_value();
}

// Calls visit(node) for all nodes, parents first.
template <class Visit>
void PrefixCache::visit_all(Visit visit) {
  std::vector<Node*> open = {&root_};
  while (!open.empty()) {
    Node* node = open.back();
    open.pop_back();
    if (node != &root_) visit(*node);
    for (const auto& child : node->children) open.push_back(child.get());
  }
}

// What sessions hold is passed over: it is the end of at most one path for each of them.
PrefixCache::Standing PrefixCache::next_in_memory() {
  for (const Part& part : memory_order_) {
    ++looked_at_;
    if (part.position > 0 || !memory_->is_held(*part.node->block)) return part;
  }
  return std::nullopt;
}

// Its checkpoints, then its block, unless others follow it in memory.
PrefixCache::Standing PrefixCache::first_in_memory(Node& node) const {
  Standing first;
  for (const Checkpoint& one : node.checkpoints) {
    if (one.state == nullptr || (first && first->last_use <= one.last_use)) continue;
    first = Part{&node, one.position, one.last_use, one.position, true, node.serial};
  }
  if (first || !node.block || node.children_in_memory > 0) return first;
  return Part{&node, 0, node.last_use, node.end(), !is_useless(node), node.serial};
}

PrefixCache::Standing PrefixCache::first_on_disk(Node& node) const {
  Standing first;
  for (const Checkpoint& one : node.checkpoints) {
    if (!one.slot || (first && first->last_use <= one.last_use)) continue;
    first = Part{&node, one.position, one.last_use, one.position, true, node.serial};
  }
  if (first || !node.slot || node.children_on_disk > 0) return first;
  return Part{&node, 0, node.last_use, node.end(), true, node.serial};
}

// Behind the last checkpoint nothing can be begun from.
bool PrefixCache::is_useless(const Node& node) const {
  return is_recurrent_ && node.checkpoints.empty() && node.children.empty();
}

// To disk, or for good.
void PrefixCache::drop(const Part& part) {
  Node* node = part.node;
  bool is_saved = store_ != nullptr && !is_useless(*node) && save(part);
  if (part.position > 0) {
    auto checkpoint = std::ranges::find(node->checkpoints, part.position, &Checkpoint::position);
    if (!is_saved) return remove_checkpoint(node, part.position);
    checkpoint->state.reset();
    --checkpoints_;
    return settle(node);
  }
  if (!is_saved) return remove(node);
  memory_->drop(*std::exchange(node->block, std::nullopt));
  --blocks_;
  settle(node);
}

// Whether it is on disk now.
bool PrefixCache::save(const Part& part) {
  Node* node = part.node;
  PrefixPart kind = part.position > 0 ? PrefixPart::kCheckpoint : PrefixPart::kBlock;
  auto find = [&] {
    return std::ranges::find(node->checkpoints, part.position, &Checkpoint::position);
  };
  if (part.position > 0 ? find()->slot.has_value() : node->slot.has_value()) return true;
  if (!make_room_on_disk(kind, part.last_use)) return false;
  PrefixName name = name_of(node, part.position);
  std::optional<uint32_t> slot;
  if (part.position == 0) {
    ByteSpan bytes(memory_->data(*node->block), memory_->block_bytes());
    slot = node->slot = store_->write(kind, name, bytes);
    counts_.saved += slot ? 1 : 0;
  } else {
    auto checkpoint = find();
    slot = checkpoint->slot = store_->write(kind, name, checkpoint->state->values.span());
  }
  settle(node);
  return slot.has_value();
}

bool PrefixCache::make_room_on_disk(PrefixPart part, uint64_t last_use) {
  while (!store_->has_room(part)) {
    if (disk_order_.empty()) return false;
    ++looked_at_;
    Part next = *disk_order_.begin();
    if (next.last_use >= last_use) return false;
    forget_on_disk(next);
  }
  return true;
}

void PrefixCache::forget_on_disk(const Part& part) {
  Node* node = part.node;
  if (part.position > 0) {
    auto checkpoint = std::ranges::find(node->checkpoints, part.position, &Checkpoint::position);
    if (checkpoint->state == nullptr) return remove_checkpoint(node, part.position);
    store_->remove(PrefixPart::kCheckpoint, *std::exchange(checkpoint->slot, std::nullopt));
    return settle(node);
  }
  if (!node->block) return remove(node);
  store_->remove(PrefixPart::kBlock, *std::exchange(node->slot, std::nullopt));
  settle(node);
}

void PrefixCache::remove_checkpoint(Node* node, uint32_t position) {
  auto checkpoint = std::ranges::find(node->checkpoints, position, &Checkpoint::position);
  if (checkpoint->slot && store_ != nullptr) {
    store_->remove(PrefixPart::kCheckpoint, *checkpoint->slot);
  }
  if (checkpoint->state != nullptr) --checkpoints_;
  node->checkpoints.erase(checkpoint);
  settle(node);
}

// With all that follows.
void PrefixCache::remove(Node* node) {
  Node* end = node->parent;
  while (node != end) {
    if (!node->children.empty()) {
      node = node->children.back().get();
      continue;
    }
    while (!node->checkpoints.empty()) {
      remove_checkpoint(node, node->checkpoints.back().position);
    }
    if (node->slot && store_ != nullptr) store_->remove(PrefixPart::kBlock, *node->slot);
    ++counts_.dropped;
    if (node->block) {
      memory_->drop(*node->block);
      --blocks_;
    }
    node->slot.reset();
    node->block.reset();
    settle(node);  // it stands nowhere now
    Node* parent = node->parent;
    std::swap(parent->children[node->index], parent->children.back());
    parent->children[node->index]->index = node->index;
    parent->children.pop_back();
    settle(parent);
    if (parent == end) return;
    node = parent;
  }
}

const Digest& PrefixCache::digest_of(Node* node) {
  if (!node->digest) node->digest = name_of(node, 0).digest();
  return *node->digest;
}

// Of its block, or of a checkpoint.
PrefixName PrefixCache::name_of(Node* node, uint32_t position) {
  // From the first one that is not known: paths are too long for recursion.
  std::vector<Node*> unknown;
  for (Node* before = node->parent; before != &root_ && !before->digest; before = before->parent) {
    unknown.push_back(before);
  }
  auto parent_digest = [&](const Node* of) {
    return of->parent == &root_ ? Digest{} : *of->parent->digest;
  };
  for (; !unknown.empty(); unknown.pop_back()) {
    Node* before = unknown.back();
    before->digest = PrefixName{parent_digest(before), before->begin, before->tokens}.digest();
  }
  PrefixName name{parent_digest(node), node->begin, node->tokens};
  if (position > 0) name.tokens.resize(position - node->begin);
  return name;
}

uint64_t PrefixCache::bytes_of(const Part& part) const {
  return part.position > 0 ? checkpoint_bytes_ : memory_->block_bytes();
}

SavedPrefixes PrefixCache::save(const Clock& clock, Duration at_most) {
  SavedPrefixes saved;
  if (store_ == nullptr) return saved;
  TimePoint start = clock.now();
  std::vector<Part> parts;
  visit_all([&](Node& node) {
    if (!node.slot && !is_useless(node)) parts.push_back({&node, 0, node.last_use});
    for (const Checkpoint& checkpoint : node.checkpoints) {
      if (!checkpoint.slot) parts.push_back({&node, checkpoint.position, checkpoint.last_use});
    }
  });
  // What is before on a path was used at least as lately.
  std::ranges::stable_sort(parts, std::greater(), &Part::last_use);
  for (size_t i = 0; i < parts.size(); ++i) {
    if (clock.now() - start >= at_most) {
      for (; i < parts.size(); ++i) saved.left_bytes += bytes_of(parts[i]);
      break;
    }
    if (!save(parts[i])) break;
    saved.written_bytes += bytes_of(parts[i]);
  }
  return saved;
}

void PrefixCache::take_from_disk() {
  std::vector<PrefixStore::Found> found = store_->found();
  // Parents first, and blocks before the checkpoints in them.
  std::ranges::sort(found, [](const PrefixStore::Found& a, const PrefixStore::Found& b) {
    return std::tuple(a.name.begin, a.part, a.order) < std::tuple(b.name.begin, b.part, b.order);
  });
  std::map<Digest, Node*> parents = {{Digest{}, &root_}};
  for (const PrefixStore::Found& one : found) {
    uses_ = std::max(uses_, one.order);
    Node* node = take_from_disk(one, parents);
    if (node == nullptr) {
      store_->remove(one.part, one.slot);
    } else if (one.part == PrefixPart::kBlock && node->tokens.size() == kKvBlockPositions) {
      parents.emplace(digest_of(node), node);
    }
  }
}

// The node that has it now; null if it cannot be reached.
PrefixCache::Node* PrefixCache::take_from_disk(const PrefixStore::Found& found,
                                               const std::map<Digest, Node*>& parents) {
  auto above = parents.find(found.name.parent);
  if (above == parents.end()) return nullptr;
  Node* parent = above->second;
  uint32_t begin = parent == &root_ ? 0 : parent->begin + kKvBlockPositions;
  if (begin != found.name.begin) return nullptr;
  for (const auto& child : parent->children) {
    if (common_prefix(child->tokens, found.name.tokens) < found.name.tokens.size()) continue;
    if (found.part == PrefixPart::kBlock) return nullptr;
    auto position = begin + static_cast<uint32_t>(found.name.tokens.size());
    if (std::ranges::find(child->checkpoints, position, &Checkpoint::position) !=
        child->checkpoints.end()) {
      return nullptr;
    }
    child->checkpoints.push_back(
        {position, CheckpointKind::kLasting, found.order, nullptr, found.slot});
    settle(child.get());
    return child.get();
  }
  if (found.part == PrefixPart::kCheckpoint) return nullptr;
  auto made = std::make_unique<Node>();
  made->tokens = found.name.tokens;
  made->slot = found.slot;
  made->last_use = found.order;
  // Others follow those before on disk, so it is not their blocks that may go.
  for (Node* before = parent; before != nullptr; before = before->parent) {
    before->last_use = std::max(before->last_use, found.order);
  }
  return adopt(parent, std::move(made));
}

}  // namespace potluck
