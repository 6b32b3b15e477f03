#include "coordinator/cli/local_models.h"

#include <fmt/format.h>

#include "coordinator/models/model_catalog.h"
#include "coordinator/spread/spread_folder.h"
#include "engine/gguf/split_name.h"

namespace potluck {
namespace {

// Folders hold what their owner put there, in any number.
constexpr size_t kMostFound = 64;
constexpr uint32_t kMostParts = 1000;  // the name of a file says how many there are
constexpr std::string_view kEnding = ".gguf";

// 0 if a part is missing.
uint64_t bytes_of_parts(Storage& storage, const SplitName& split) {
  if (split.parts > kMostParts) return 0;
  uint64_t bytes = 0;
  for (uint32_t number = 1; number <= split.parts; ++number) {
    auto file = storage.open(split_path(split, number), ReadMode::kBuffered);
    if (!file) return 0;
    bytes += (*file)->size();
  }
  return bytes;
}

}  // namespace

std::vector<NamedModel> SpreadModels::models() const {
  std::vector<NamedModel> found;
  auto names = storage_.list(directory_);
  for (size_t i = 0; names && i < names->size() && found.size() < kMostFound; ++i) {
    const std::string& name = (*names)[i];
    auto about = SpreadFolder(storage_, fmt::format("{}/{}", directory_, name)).about();
    if (about) found.push_back({name, name, "", about->whole_bytes, true, true});
  }
  return found;
}

std::vector<NamedModel> CatalogModels::models() const {
  std::vector<NamedModel> found;
  for (const FoundModel& model : read_catalog(storage_, places_).models) {
    if (found.size() == kMostFound) break;
    if (model.trouble.empty()) found.push_back({model.name, model.name, model.path(), model.bytes});
  }
  return found;
}

std::vector<NamedModel> FolderModels::models() const {
  std::vector<NamedModel> found;
  auto names = storage_.list(directory_);
  for (size_t i = 0; names && i < names->size() && found.size() < kMostFound; ++i) {
    const std::string& name = (*names)[i];
    if (!name.ends_with(kEnding)) continue;
    const std::string path = directory_ == "." ? name : directory_ + "/" + name;
    uint64_t bytes = 0;
    if (const auto split = parse_split_name(path)) {
      if (split->number != 1) continue;
      bytes = bytes_of_parts(storage_, *split);
    } else if (auto file = storage_.open(path, ReadMode::kBuffered)) {
      bytes = (*file)->size();
    }
    if (bytes == 0) continue;
    found.push_back({name.substr(0, name.size() - kEnding.size()), path, path, bytes});
  }
  return found;
}

}  // namespace potluck
