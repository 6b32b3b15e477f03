#include "coordinator/models/pull_plan.h"

#include <fmt/format.h>

#include "coordinator/models/gguf_set.h"
#include "coordinator/models/hub.h"
#include "coordinator/models/model_limits.h"
#include "coordinator/models/model_search.h"
#include "coordinator/spread/http_file.h"
#include "coordinator/spread/source_storage.h"
#include "engine/base/limits.h"
#include "engine/gguf/split_name.h"

namespace potluck {
namespace {

const HubFile* find_hub_file(const HubRepo& repo, const std::string& path) {
  for (const HubFile& file : repo.files) {
    if (file.path == path) return &file;
  }
  return nullptr;
}

Status check_size(const std::string& address, uint64_t bytes) {
  if (bytes > 0 && bytes <= limits::kModelFileBytes) return {};
  return Error{ErrorCode::kLimit,
               fmt::format("{}: a file of {} bytes, expected 1 to {}", shown_address(address),
                           bytes, limits::kModelFileBytes)};
}

// Asks for a byte, to learn what the server says of the file.
Result<PulledFile> ask_for_file(const std::string& address, const HttpOptions& http) {
  auto file = HttpFile::open(address, http);
  if (!file) return file.error();
  PulledFile pulled;
  pulled.path = place_of_address(address);
  pulled.address = address;
  pulled.bytes = (*file)->size();
  pulled.tag = (*file)->tag();
  if (auto digest = parse_digest((*file)->linked_tag())) pulled.sha256 = *digest;
  if (Status checked = check_size(address, pulled.bytes); !checked) return checked.error();
  return pulled;
}

// Of a split model every part, whichever was named.
Result<std::vector<std::string>> addresses_of_parts(const std::string& address) {
  const auto split = parse_split_name(source_path(address));
  if (!split) return std::vector<std::string>{address};
  if (split->number < 1 || split->number > split->parts || split->parts > limits::kSplitFiles) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: a part with an impossible number", shown_address(address))};
  }
  std::vector<std::string> addresses;
  for (uint32_t part = 1; part <= split->parts; ++part) {
    addresses.push_back(split_path(*split, part) + source_query(address));
  }
  return addresses;
}

}  // namespace

Result<PullRecord> plan_hub_pull(const std::string& hub, const HubAddress& wanted,
                                 const HttpOptions& http) {
  const std::string& repo_name = wanted.name.repo;
  auto repo = ask_hub(hub, repo_name, wanted.revision, http);
  if (!repo) return repo.error();
  std::vector<ListedFile> listed;
  for (const HubFile& file : repo->files) listed.push_back({file.path, file.bytes, {}});
  const std::vector<GgufSet> sets = gguf_sets(std::move(listed));
  const std::string where = fmt::format("{}/{}", shown_address(hub), repo_name);
  auto chosen = choose_set(sets, wanted.name.choice, where);
  if (!chosen) return chosen.error();
  const GgufSet& set = sets[*chosen];
  if (!set.trouble().empty()) return Error{ErrorCode::kCorrupt, where + ": " + set.trouble()};
  PullRecord record;
  record.name = repo_name + ":" + set_choice(sets, *chosen);
  record.source = fmt::format("{} at {}", where, repo->commit);
  for (const ListedFile& file : set.files) {
    const HubFile* known = find_hub_file(*repo, file.path);
    if (Status checked = check_size(where + "/" + file.path, file.bytes); !checked) {
      return checked.error();
    }
    record.files.push_back({repo_name + "/" + file.path,
                            hub_file_address(hub, repo_name, repo->commit, file.path), file.bytes,
                            known == nullptr ? std::nullopt : known->sha256,
                            known != nullptr && known->sha256 ? "" : repo->commit});
  }
  return record;
}

Result<PullRecord> plan_address_pull(const std::string& address,
                                     const std::optional<Digest>& sha256, const HttpOptions& http) {
  if (Status checked = check_address(address); !checked) return checked.error();
  if (!folded_name(source_path(address)).ends_with(".gguf")) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: expected the address of a GGUF file, which ends in .gguf",
                             shown_address(address))};
  }
  auto parts = addresses_of_parts(address);
  if (!parts) return parts.error();
  if (sha256 && parts->size() > 1) {
    return Error{ErrorCode::kInvalidArgument,
                 "--digest: expected with one file, found a split model"};
  }
  PullRecord record;
  record.name = source_path(address);
  record.source = source_path(address);
  for (const std::string& part : *parts) {
    auto file = ask_for_file(part, http);
    if (!file) return file.error();
    if (sha256) file->sha256 = sha256;
    record.files.push_back(std::move(*file));
  }
  return record;
}

}  // namespace potluck
