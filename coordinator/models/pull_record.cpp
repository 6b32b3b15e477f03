#include "coordinator/models/pull_record.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/models/json_fields.h"
#include "coordinator/models/model_limits.h"
#include "coordinator/models/model_name.h"
#include "coordinator/models/whole_files.h"
#include "coordinator/spread/spread_folder.h"
#include "engine/base/format_bytes.h"
#include "engine/base/limits.h"

namespace potluck {
namespace {

constexpr uint64_t kRecordBytes = 4 * kMiB;
constexpr size_t kMostPulls = 10'000;
constexpr size_t kKeyText = 100;  // of a key; the rest of it is a digest

std::string pulls_directory(const std::string& models) {
  return models + "/.potluck";
}

JsonValue json_of(const PulledFile& file) {
  JsonValue::Object fields;
  fields.emplace_back("path", JsonValue{file.path});
  fields.emplace_back("address", JsonValue{file.address});
  fields.emplace_back("bytes", JsonValue{static_cast<int64_t>(file.bytes)});
  fields.emplace_back("sha256", JsonValue{file.sha256 ? file.sha256->hex() : std::string()});
  fields.emplace_back("tag", JsonValue{file.tag});
  return {std::move(fields)};
}

std::optional<PulledFile> read_pulled_file(const JsonValue& value) {
  PulledFile file;
  file.path = json_member_text(value, "path");
  file.address = json_member_text(value, "address");
  file.tag = json_member_text(value, "tag");
  const auto bytes = json_member_size(value, "bytes");
  const std::string digest = json_member_text(value, "sha256");
  if (!bytes || *bytes > limits::kModelFileBytes || !is_plain_path(file.path)) return std::nullopt;
  file.bytes = *bytes;
  if (digest.empty()) return file;
  auto parsed = parse_digest(digest);
  if (!parsed) return std::nullopt;
  file.sha256 = *parsed;
  return file;
}

std::optional<PullRecord> read_record(std::string_view text) {
  auto document = parse_json(text);
  if (!document) return std::nullopt;
  PullRecord record;
  record.name = json_member_text(*document, "name");
  record.source = json_member_text(*document, "source");
  const JsonValue* files = json_member(*document, "files");
  if (files == nullptr || files->array() == nullptr || files->array()->empty() ||
      files->array()->size() > limits::kSplitFiles) {
    return std::nullopt;
  }
  for (const JsonValue& value : *files->array()) {
    auto file = read_pulled_file(value);
    if (!file) return std::nullopt;
    record.files.push_back(std::move(*file));
  }
  return record;
}

// A pull as the catalog shows it.
FoundModel shown_pull(Storage& storage, const std::string& models, const PullFolder& folder,
                      const PullRecord& record) {
  FoundModel model;
  model.kind = PlaceKind::kOwn;
  model.place = models;
  model.name = record.name;
  for (size_t i = 0; i < record.files.size(); ++i) {
    const PulledFile& file = record.files[i];
    const bool whole = folder.is_checked(i) || storage.exists(folder.target_path(file));
    model.bytes += whole ? file.bytes : folder.book(i, file.bytes).done_bytes();
    model.paths.push_back(folder.part_path(i));
  }
  model.trouble = fmt::format("{} of {} are fetched: potluck pull {} goes on",
                              format_bytes(model.bytes), format_bytes(record.bytes()), record.name);
  return model;
}

}  // namespace

uint64_t PullRecord::bytes() const {
  uint64_t sum = 0;
  for (const PulledFile& file : files) sum += file.bytes;
  return sum;
}

PullFolder::PullFolder(Storage& storage, const std::string& models, const std::string& path)
    : storage_(storage), models_(models) {
  const std::string name = folder_name(path).substr(0, kKeyText);
  directory_ =
      fmt::format("{}/{}-{}", pulls_directory(models), name, sha256(as_bytes(path)).brief());
}

PullFolder PullFolder::at(Storage& storage, const std::string& models, const std::string& key) {
  return {storage, models, pulls_directory(models) + "/" + key, 0};
}

std::string PullFolder::path_of(size_t file, const char* what) const {
  return fmt::format("{}/{}.{}", directory_, file, what);
}

Result<PullRecord> PullFolder::record() const {
  const std::string path = directory_ + "/record";
  if (!storage_.exists(path)) return Error{ErrorCode::kNotFound, path + ": nothing was pulled"};
  auto text = read_file(storage_, path, kRecordBytes);
  if (!text) return text.error();
  auto record = read_record(as_text(*text));
  if (record) return std::move(*record);
  return Error{ErrorCode::kCorrupt,
               fmt::format("{}: not what `potluck pull` writes; remove {}", path, directory_)};
}

Status PullFolder::save(const PullRecord& record) {
  JsonValue::Array files;
  for (const PulledFile& file : record.files) files.push_back(json_of(file));
  JsonValue::Object fields;
  fields.emplace_back("name", JsonValue{record.name});
  fields.emplace_back("source", JsonValue{record.source});
  fields.emplace_back("files", JsonValue{std::move(files)});
  // An address may have a signature in it.
  constexpr uint32_t kOwnerOnly = 0600;
  return storage_.write_atomic(directory_ + "/record", as_bytes(write_json({std::move(fields)})),
                               kOwnerOnly);
}

BlockBook PullFolder::book(size_t file, uint64_t bytes) const {
  // A list of blocks without the file itself is worth nothing.
  if (!storage_.exists(part_path(file))) return {bytes, {}};
  const uint64_t blocks = bytes / BlockBook::kBlockBytes + 1;
  auto done = read_file(storage_, blocks_path(file), blocks);
  return {bytes, done ? ByteSpan(*done) : ByteSpan()};
}

Status PullFolder::start_over(size_t file) {
  for (const char* what : {"checked", "blocks"}) {
    const std::string path = path_of(file, what);
    if (!storage_.exists(path)) continue;
    if (Status removed = storage_.remove(path); !removed) return removed;
  }
  return {};
}

Status PullFolder::mark_finished() {
  Status marked = storage_.write_atomic(directory_ + "/finished", {});
  if (!marked) return marked;
  auto names = storage_.list(directory_);
  if (!names) return names.error();
  for (const std::string& name : *names) {
    if (name.ends_with(".blocks") || name.ends_with(".checked") || name.ends_with(".part")) {
      (void)storage_.remove(directory_ + "/" + name);
    }
  }
  return {};
}

void PullFolder::forget() {
  // The record last: as long as it is there, `rm` finds what is left.
  auto names = storage_.list(directory_);
  if (!names) return;
  for (const std::string& name : *names) {
    if (name != "record") (void)storage_.remove(directory_ + "/" + name);
  }
  (void)storage_.remove(directory_ + "/record");
  (void)remove_directory(directory_);
}

std::optional<OwnPull> find_pull(Storage& storage, const std::string& models,
                                 const std::string& path) {
  if (!path.starts_with(models + "/")) return std::nullopt;
  PullFolder folder(storage, models, path.substr(models.size() + 1));
  auto record = folder.record();
  if (!record) return std::nullopt;
  return OwnPull{std::move(folder), std::move(*record)};
}

std::vector<FoundModel> unfinished_pulls(Storage& storage, const std::string& models) {
  std::vector<FoundModel> found;
  auto keys = storage.list(pulls_directory(models));
  if (!keys) return found;
  for (const std::string& key : *keys) {
    if (found.size() == kMostPulls) break;
    if (!is_plain_component(key)) continue;
    const PullFolder folder = PullFolder::at(storage, models, key);
    if (folder.is_finished()) continue;
    auto record = folder.record();
    if (record) found.push_back(shown_pull(storage, models, folder, *record));
  }
  return found;
}

}  // namespace potluck
