#include "coordinator/models/gguf_set.h"

#include <algorithm>
#include <map>

#include <fmt/format.h>

#include "coordinator/models/model_name.h"
#include "engine/base/format_bytes.h"
#include "engine/base/limits.h"
#include "engine/gguf/split_name.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

// What most people take: little is lost, and it is a quarter of the size.
constexpr std::string_view kUsualChoice = "Q4_K_M";
constexpr size_t kShownSets = 40;
constexpr size_t kShownPath = 200;

bool is_model_file(const std::string& path) {
  const std::string name = folded_name(path.substr(path.find_last_of('/') + 1));
  return name.ends_with(".gguf") && !name.starts_with("mmproj") &&
         name.find("imatrix") == std::string::npos;
}

GgufSet whole_set(const SplitName& split, const std::map<std::string, ListedFile>& listed) {
  GgufSet set;
  for (uint32_t part = 1; part <= split.parts; ++part) {
    const std::string path = split_path(split, part);
    auto found = listed.find(path);
    if (found != listed.end()) {
      set.files.push_back(found->second);
    } else {
      set.files.push_back({path, 0, fmt::format("part {} of {} is missing", part, split.parts)});
    }
    set.bytes += set.files.back().bytes;
  }
  return set;
}

bool is_chosen(const GgufSet& set, std::string_view choice) {
  if (!folded_name(choice).ends_with(".gguf")) return names_quantization(set.path(), choice);
  // A file by its path, or by its name alone; any part of a split one stands for all.
  return std::ranges::any_of(set.files, [&](const ListedFile& file) {
    return file.path == choice || file.path.ends_with("/" + std::string(choice));
  });
}

}  // namespace

std::string GgufSet::trouble() const {
  for (const ListedFile& file : files) {
    if (!file.trouble.empty()) return file.trouble;
  }
  return {};
}

std::vector<GgufSet> gguf_sets(std::vector<ListedFile> files) {
  std::map<std::string, ListedFile> listed;
  for (ListedFile& file : files) {
    if (is_model_file(file.path)) listed.emplace(file.path, std::move(file));
  }
  std::vector<GgufSet> sets;
  std::string last_prefix;
  for (const auto& [path, file] : listed) {
    const auto split = parse_split_name(path);
    const bool sound = split && split->number >= 1 && split->number <= split->parts &&
                       split->parts <= limits::kSplitFiles;
    if (split && !sound) continue;
    if (!split || split->parts == 1) {
      sets.push_back({{file}, file.bytes});
      continue;
    }
    // Parts of one set stand together in the order of their paths.
    const std::string key = fmt::format("{}/{}", split->prefix, split->parts);
    if (key == last_prefix) continue;
    last_prefix = key;
    sets.push_back(whole_set(*split, listed));
  }
  return sets;
}

std::string list_of_sets(const std::vector<GgufSet>& sets, bool by_choice) {
  std::string text;
  for (size_t i = 0; i < sets.size() && i < kShownSets; ++i) {
    const std::string name = by_choice ? set_choice(sets, i) : sets[i].path();
    text += fmt::format("{}{} ({})", i == 0 ? "" : ", ", clean_text(name, kShownPath),
                        format_bytes(sets[i].bytes));
  }
  if (sets.size() > kShownSets) text += fmt::format(" and {} more", sets.size() - kShownSets);
  return text;
}

Result<size_t> choose_set(const std::vector<GgufSet>& sets, std::string_view choice,
                          const std::string& where) {
  if (sets.empty()) return Error{ErrorCode::kNotFound, where + ": there is no GGUF file"};
  std::vector<size_t> chosen;
  for (size_t i = 0; i < sets.size(); ++i) {
    const bool only = choice.empty() && sets.size() == 1;
    const std::string_view wanted = choice.empty() ? kUsualChoice : choice;
    if (only || is_chosen(sets[i], wanted)) chosen.push_back(i);
  }
  // "Q4_K_XL" means that one, even where there is "UD-Q4_K_XL" beside it.
  if (chosen.size() > 1) {
    std::erase_if(chosen, [&](size_t i) {
      return folded_name(quantization_in(sets[i].path())) != folded_name(choice);
    });
  }
  if (chosen.size() == 1) return chosen.front();
  if (choice.empty()) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: several models are there, name one of them: {}", where,
                             list_of_sets(sets, true))};
  }
  return Error{ErrorCode::kNotFound,
               fmt::format("{}: expected exactly one model for '{}', found {}", where,
                           clean_text(choice, kShownPath), list_of_sets(sets, true))};
}

std::string set_choice(const std::vector<GgufSet>& sets, size_t index) {
  const std::string quantization = quantization_in(sets[index].path());
  const auto same = std::ranges::count_if(sets, [&](const GgufSet& set) {
    return folded_name(quantization_in(set.path())) == folded_name(quantization);
  });
  return quantization.empty() || same > 1 ? sets[index].path() : quantization;
}

}  // namespace potluck
