#include "protocol/allow_list.h"

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

// Sixteen times the workers that may be connected: members come and go.
constexpr size_t kEntries = 16 * limits::kWorkers;
constexpr size_t kNameBytes = 128;
// Z85 (ZeroMQ RFC 32) writes 4 bytes as 5 characters.
constexpr size_t kKeyCharacters = 40;
constexpr uint64_t kFileBytes = kMiB;  // kEntries of the longest lines, and comments
constexpr uint32_t kMode = 0600;

// No key begins with '#': in Z85 that would be more than 32 bits.
bool is_comment(std::string_view line) {
  return line.empty() || line.starts_with('#');
}

Status parse_line(std::string_view line, std::map<PeerKey, std::string>* names) {
  auto key = parse_peer_key(line.substr(0, kKeyCharacters));
  if (!key) return key.error();
  std::string_view name = line.substr(kKeyCharacters);
  if (!name.empty() && name[0] != ' ') {
    return Error{ErrorCode::kCorrupt, "expected a space between key and name"};
  }
  if (!name.empty()) name.remove_prefix(1);
  if (clean_text(name, kNameBytes) != name) {
    return Error{ErrorCode::kCorrupt, "the name is too long or holds control characters"};
  }
  if (!names->emplace(*key, name).second) {
    return Error{ErrorCode::kCorrupt, fmt::format("key {} is there twice", key->brief())};
  }
  if (names->size() > kEntries) {
    return Error{ErrorCode::kLimit, fmt::format("expected at most {} keys", kEntries)};
  }
  return {};
}

Status parse_lines(std::string_view text, std::map<PeerKey, std::string>* names) {
  for (size_t number = 1; !text.empty(); ++number) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (is_comment(line)) continue;
    Status parsed = parse_line(line, names);
    if (!parsed) return parsed.error().in(fmt::format("line {}", number));
  }
  return {};
}

}  // namespace

Result<AllowList> AllowList::load(Storage& storage, const std::string& path) {
  AllowList list;
  list.storage_ = &storage;
  list.path_ = path;
  // No file admits no key.
  if (!storage.exists(path)) return list;
  auto content = read_file(storage, path, kFileBytes);
  if (!content) return content.error();
  Status parsed = parse_lines(as_text(*content), &list.names_);
  if (!parsed) return parsed.error().in(path);
  return list;
}

Status AllowList::add(const PeerKey& key, const std::string& name) {
  if (names_.size() >= kEntries && !contains(key)) {
    return Error{ErrorCode::kLimit, fmt::format("the allow list is full: {} keys", kEntries)};
  }
  auto before = names_;
  // A name comes from the device that joins. With a line break in it, it would add a key of its
  // choice.
  names_[key] = clean_text(name, kNameBytes);
  Status saved = save();
  if (!saved) names_ = std::move(before);  // a key that is not on disk is not admitted
  return saved;
}

// The key is off the list at once, even if the file cannot be written: refusing a revoked key must
// not wait for a disk.
Status AllowList::remove(const PeerKey& key) {
  if (names_.erase(key) == 0) {
    return Error{ErrorCode::kNotFound, fmt::format("key {} is not on the list", key.brief())};
  }
  return save();
}

Status AllowList::save() const {
  if (storage_ == nullptr) return {};
  std::string text = "# Keys of the devices that may connect, one per line, and their names.\n";
  for (const auto& [key, name] : names_) {
    text += key.text() + (name.empty() ? "" : " ") + name + "\n";
  }
  // After a power cut there is the old list or the new one, never half of one.
  return storage_->write_atomic(path_, as_bytes(text), kMode);
}

}  // namespace potluck
