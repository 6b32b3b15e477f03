#include "coordinator/cluster/quarantine_list.h"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "engine/base/limits.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

// As many as there may be keys on the allow list.
constexpr size_t kEntries = 16 * limits::kWorkers;
constexpr size_t kQuarantineReasonBytes = 128;
constexpr size_t kKeyCharacters = 40;  // in Z85
constexpr uint64_t kFileBytes = kMiB;
constexpr uint32_t kMode = 0600;
constexpr uint32_t kMostTimes = 32;

// Takes a number and the space behind it.
template <class Number>
bool take_number(std::string_view* text, Number* number) {
  auto [end, failure] = std::from_chars(text->data(), text->data() + text->size(), *number);
  if (failure != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  if (!text->starts_with(' ')) return text->empty();
  text->remove_prefix(1);
  return true;
}

// KEY TIMES UNTIL REASON
Status parse_line(std::string_view line, std::map<PeerKey, QuarantineEntry>* entries) {
  auto key = parse_peer_key(line.substr(0, kKeyCharacters));
  if (!key) return key.error();
  std::string_view rest = line.substr(kKeyCharacters);
  QuarantineEntry entry;
  bool numbers = rest.starts_with(' ');
  if (numbers) rest.remove_prefix(1);
  numbers = numbers && take_number(&rest, &entry.times) && take_number(&rest, &entry.until_seconds);
  if (!numbers || entry.until_seconds < 0 || entry.times > kMostTimes) {
    return Error{ErrorCode::kCorrupt, "expected a key, a small number, a Unix time and a reason"};
  }
  entry.reason = clean_text(rest, kQuarantineReasonBytes);
  if (!entries->emplace(*key, std::move(entry)).second) {
    return Error{ErrorCode::kCorrupt, fmt::format("key {} is there twice", key->brief())};
  }
  if (entries->size() > kEntries) {
    return Error{ErrorCode::kLimit, fmt::format("expected at most {} keys", kEntries)};
  }
  return {};
}

}  // namespace

Result<QuarantineList> QuarantineList::load(Storage& storage, const std::string& path) {
  QuarantineList list;
  list.storage_ = &storage;
  list.path_ = path;
  if (!storage.exists(path)) return list;
  auto content = read_file(storage, path, kFileBytes);
  if (!content) return content.error();
  std::string_view text = as_text(*content);
  for (size_t number = 1; !text.empty(); ++number) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with('#')) continue;
    Status parsed = parse_line(line, &list.entries_);
    if (!parsed) return parsed.error().in(fmt::format("{}, line {}", path, number));
  }
  return list;
}

bool QuarantineList::contains(const PeerKey& key) const {
  auto found = entries_.find(key);
  return found != entries_.end() && found->second.until_seconds != 0;
}

Status QuarantineList::add(const PeerKey& key, const std::string& reason, int64_t unix_seconds) {
  make_room();
  QuarantineEntry& entry = entries_[key];
  int64_t seconds = kFirstSeconds;
  for (uint32_t i = 0; i < entry.times && seconds < kLongestSeconds; ++i) seconds *= 2;
  entry.times = std::min(entry.times + 1, kMostTimes);
  entry.until_seconds = std::max<int64_t>(unix_seconds, 1) + std::min(seconds, kLongestSeconds);
  entry.reason = clean_text(reason, kQuarantineReasonBytes);
  return save();
}

bool QuarantineList::release(const PeerKey& key) {
  if (!contains(key)) return false;
  entries_.at(key).until_seconds = 0;
  // If the file cannot be written, the device is in again after a restart: no harm is done.
  static_cast<void>(save());
  return true;
}

bool QuarantineList::release_if_due(const PeerKey& key, int64_t unix_seconds) {
  return contains(key) && unix_seconds >= entries_.at(key).until_seconds && release(key);
}

// What has been out for longest makes way, then what gets out first.
void QuarantineList::make_room() {
  if (entries_.size() < kEntries) return;
  entries_.erase(std::ranges::min_element(
      entries_, {}, [](const auto& entry) { return entry.second.until_seconds; }));
}

Status QuarantineList::save() const {
  if (storage_ == nullptr) return {};
  std::string text =
      "# Devices that answered wrongly: key, how often, until when (Unix time; 0: it is out), "
      "why.\n"
      "# Without its line, or with a 0, a device gets work again from the next start on.\n";
  for (const auto& [key, entry] : entries_) {
    text +=
        fmt::format("{} {} {} {}\n", key.text(), entry.times, entry.until_seconds, entry.reason);
  }
  return storage_->write_atomic(path_, as_bytes(text), kMode);
}

}  // namespace potluck
