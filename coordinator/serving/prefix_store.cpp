#include "coordinator/serving/prefix_store.h"

#include <algorithm>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "engine/model/kv_memory.h"

namespace potluck {
namespace {

constexpr std::string_view kMagic = "PLPREFX1";
// A page, so that bytes begin at a page too: magic, binding, parent, begin, count, order, digest of
// the bytes, tokens, digest of all that.
constexpr uint64_t kHeadBytes = 4096;
constexpr uint64_t kFixedHeadBytes = 8 + 32 + 32 + 4 + 4 + 8 + 32;
static_assert(kFixedHeadBytes + kKvBlockPositions * sizeof(TokenId) + 32 <= kHeadBytes);
// After a failed write (a full disk) so many are not even tried.
constexpr uint32_t kPause = 64;
// Slots of a file: their heads are read when it is opened.
constexpr uint64_t kMostSlots = 64 * 1024;
// More than there can ever have been.
constexpr uint64_t kMostWrites = uint64_t{1} << 62;

ByteSpan bytes_of(const Digest& digest) {
  return std::as_bytes(std::span(digest.bytes));
}

ByteSpan bytes_of(const std::vector<TokenId>& tokens) {
  return std::as_bytes(std::span(tokens));
}

struct Head {
  PrefixName name;
  uint64_t order = 0;
  Digest content{};
};

ByteVector encode_head(const Digest& binding, const Head& head) {
  ByteWriter writer;
  writer.write(as_bytes(kMagic));
  writer.write(bytes_of(binding));
  writer.write(bytes_of(head.name.parent));
  writer.write(head.name.begin);
  writer.write(static_cast<uint32_t>(head.name.tokens.size()));
  writer.write(head.order);
  writer.write(bytes_of(head.content));
  writer.write(bytes_of(head.name.tokens));
  writer.write(bytes_of(sha256(writer.bytes())));
  ByteVector bytes = writer.take();
  bytes.resize(kHeadBytes);
  return bytes;
}

template <class T>
T take(ByteSpan* bytes) {
  T value = load<T>(bytes->data());
  *bytes = bytes->subspan(sizeof(T));
  return value;
}

bool is_free(ByteSpan bytes) {
  return std::ranges::all_of(bytes, [](std::byte byte) { return byte == std::byte{}; });
}

// Nothing unless every byte is as encode_head() wrote it. `bytes`: kHeadBytes.
std::optional<Head> decode_head(const Digest& binding, ByteSpan bytes) {
  ByteSpan rest = bytes;
  if (as_text(rest.first(kMagic.size())) != kMagic) return std::nullopt;
  rest = rest.subspan(kMagic.size());
  if (take<Digest>(&rest) != binding) return std::nullopt;
  Head head;
  head.name.parent = take<Digest>(&rest);
  head.name.begin = take<uint32_t>(&rest);
  auto count = take<uint32_t>(&rest);
  head.order = take<uint64_t>(&rest);
  head.content = take<Digest>(&rest);
  bool is_sane = count > 0 && count <= kKvBlockPositions &&
                 head.name.begin % kKvBlockPositions == 0 && head.name.begin < limits::kContext &&
                 head.order < kMostWrites;
  if (!is_sane) return std::nullopt;
  for (uint32_t i = 0; i < count; ++i) head.name.tokens.push_back(take<TokenId>(&rest));
  uint64_t signed_bytes = kFixedHeadBytes + count * sizeof(TokenId);
  if (take<Digest>(&rest) != sha256(bytes.first(signed_bytes))) return std::nullopt;
  return head;
}

}  // namespace

Digest PrefixName::digest() const {
  Sha256Stream stream;
  stream.update(bytes_of(parent));
  stream.update(bytes_of(tokens));
  return stream.finish();
}

struct PrefixStore::File {
  std::unique_ptr<WritableFile> writable;
  std::unique_ptr<ReadableFile> readable;
  std::vector<bool> is_used;  // [slots]
  uint64_t used = 0;
};

PrefixStore::PrefixStore(Storage& storage, PrefixStoreOptions options, LogSink* log)
    : storage_(storage), options_(std::move(options)), log_(log) {}

PrefixStore::~PrefixStore() = default;

Result<std::unique_ptr<PrefixStore>> PrefixStore::open(Storage& storage, PrefixStoreOptions options,
                                                       LogSink* log) {
  std::unique_ptr<PrefixStore> store(new PrefixStore(storage, std::move(options), log));
  const std::string& directory = store->options_.directory;
  if (Status made = storage.make_directories(directory); !made) return made.error();
  auto lock = storage.lock(directory + "/lock");
  if (!lock) return lock.error();
  store->lock_ = std::move(*lock);
  for (PrefixPart part : {PrefixPart::kBlock, PrefixPart::kCheckpoint}) {
    if (Status opened = store->open_file(part); !opened) return opened.error();
    store->scan(part);
  }
  return store;
}

// The name says what the content is of: another model has files of its own.
std::string PrefixStore::path(PrefixPart part) const {
  const char* ending = part == PrefixPart::kBlock ? "blocks" : "checkpoints";
  return fmt::format("{}/{}.{}", options_.directory, options_.binding.hex().substr(0, 16), ending);
}

uint64_t PrefixStore::slot_bytes(PrefixPart part) const {
  uint64_t bytes = part == PrefixPart::kBlock ? options_.block_bytes : options_.checkpoint_bytes;
  return kHeadBytes + round_up<uint64_t>(bytes, kHeadBytes);
}

Status PrefixStore::open_file(PrefixPart part) {
  auto made = std::make_unique<File>();
  // What users wrote is nothing for other accounts of this machine.
  if (!storage_.exists(path(part))) {
    if (Status created = storage_.write_atomic(path(part), {}, 0600); !created) return created;
  }
  auto writable = storage_.open_writable(path(part), WriteMode::kBuffered);
  if (!writable) return writable.error();
  made->writable = std::move(*writable);
  auto readable = storage_.open(path(part), ReadMode::kBuffered);
  if (!readable) return readable.error();
  made->readable = std::move(*readable);
  files_[static_cast<size_t>(part)] = std::move(made);
  return {};
}

void PrefixStore::scan(PrefixPart part) {
  File& of = file(part);
  // The last one may end where its bytes do.
  uint64_t slots = std::min(ceil_div(of.readable->size(), slot_bytes(part)), kMostSlots);
  of.is_used.resize(slots, false);
  uint64_t refused = 0;
  ByteVector bytes(kHeadBytes);
  for (uint32_t slot = 0; slot < slots; ++slot) {
    if (!of.readable->read_at(slot * slot_bytes(part), bytes) || is_free(bytes)) continue;
    std::optional<Head> head = decode_head(options_.binding, bytes);
    if (!head || !has_room(part)) {
      ++refused;
      continue;
    }
    of.is_used[slot] = true;
    ++of.used;
    writes_ = std::max(writes_, head->order);
    found_.push_back({part, slot, head->order, std::move(head->name)});
  }
  if (refused == 0) return;
  warn(
      fmt::format("{}: {} of {} parts of earlier conversations are damaged, of another model or "
                  "beyond the quota; they are computed again",
                  path(part), refused, slots));
}

uint64_t PrefixStore::bytes() const {
  uint64_t all = 0;
  for (PrefixPart part : {PrefixPart::kBlock, PrefixPart::kCheckpoint}) {
    if (files_[static_cast<size_t>(part)] != nullptr) all += file(part).used * slot_bytes(part);
  }
  return all;
}

bool PrefixStore::has_room(PrefixPart part) const {
  return bytes() + slot_bytes(part) <= options_.quota && file(part).used < kMostSlots;
}

void PrefixStore::warn(const std::string& message) {
  log_to(log_, {LogLevel::kWarning, "serving", message});
}

std::optional<uint32_t> PrefixStore::write(PrefixPart part, const PrefixName& name,
                                           ByteSpan bytes) {
  if (pause_ > 0) {
    --pause_;
    return std::nullopt;
  }
  File& to = file(part);
  auto free = std::ranges::find(to.is_used, false);
  auto slot = static_cast<uint32_t>(free - to.is_used.begin());
  uint64_t offset = slot * slot_bytes(part);
  Head head{name, ++writes_, sha256(bytes)};
  Result<uint64_t> left = storage_.free_bytes(options_.directory);
  Status written;
  if (left && *left < limits::kDiskReserveBytes + slot_bytes(part)) {
    written = Error{ErrorCode::kLimit, "the disk is full but for its reserve"};
  }
  if (written) written = to.writable->write_at(offset + kHeadBytes, bytes);
  if (written) written = to.writable->write_at(offset, encode_head(options_.binding, head));
  if (!written) {
    pause_ = kPause;
    warn(fmt::format("earlier conversations are not kept on disk for now: {}",
                     written.error().message));
    return std::nullopt;
  }
  if (free == to.is_used.end()) to.is_used.push_back(false);
  to.is_used[slot] = true;
  ++to.used;
  return slot;
}

bool PrefixStore::read(PrefixPart part, uint32_t slot, const PrefixName& name,
                       MutableByteSpan bytes) {
  File& from = file(part);
  uint64_t offset = slot * slot_bytes(part);
  ByteVector page(kHeadBytes);
  Status status = from.readable->read_at(offset, page);
  if (status) status = from.readable->read_at(offset + kHeadBytes, bytes);
  if (!status) {
    drop(part, slot, status.error().message);
    return false;
  }
  std::optional<Head> head = decode_head(options_.binding, page);
  bool is_whole = head && head->name.parent == name.parent && head->name.begin == name.begin &&
                  head->name.tokens == name.tokens && head->content == sha256(bytes);
  if (!is_whole) drop(part, slot, path(part) + ": its checksum is wrong");
  return is_whole;
}

void PrefixStore::drop(PrefixPart part, uint32_t slot, const std::string& why) {
  warn(fmt::format("a part of an earlier conversation cannot be read and is computed again: {}",
                   why));
  remove(part, slot);
}

void PrefixStore::remove(PrefixPart part, uint32_t slot) {
  File& of = file(part);
  if (!of.is_used[slot]) return;
  of.is_used[slot] = false;
  --of.used;
  // If that fails, it is found again: no harm, as it is what it says.
  (void)of.writable->write_at(slot * slot_bytes(part), ByteVector(kHeadBytes));
}

}  // namespace potluck
