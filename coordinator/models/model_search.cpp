#include "coordinator/models/model_search.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/models/hub_address.h"
#include "coordinator/models/model_name.h"
#include "coordinator/spread/source_storage.h"
#include "coordinator/spread/spread_folder.h"
#include "engine/base/hash.h"
#include "engine/gguf/split_name.h"
#include "protocol/peer_text.h"

namespace potluck {
namespace {

constexpr size_t kMostSimilar = 5;
constexpr size_t kShownName = 300;
constexpr int kFolderLevels = 1;
constexpr std::string_view kLlamaSeparator = "_";

bool is_in_repo(const FoundModel& model, const std::string& repo) {
  if (!model.repo.empty()) return folded_name(model.repo) == folded_name(repo);
  if (model.kind != PlaceKind::kLlama) return false;
  std::string prefix = repo + std::string(kLlamaSeparator);
  std::ranges::replace(prefix, '/', '_');
  return folded_name(model.inside).starts_with(folded_name(prefix));
}

// All models of a repository in one place, as sets that a choice is made of. Nothing where the
// place has none of them.
std::optional<Result<FoundModel>> choose_in_place(const std::vector<FoundModel>& models,
                                                  const HubName& name, const ModelPlace& place) {
  std::vector<GgufSet> sets;
  std::vector<const FoundModel*> owners;
  for (const FoundModel& model : models) {
    const bool here = model.kind == place.kind && model.place == place.directory;
    // What is not finished has no path inside a repository that could be chosen.
    if (!here || !is_in_repo(model, name.repo) || !model.inside.ends_with(".gguf")) continue;
    sets.push_back({{{model.inside, model.bytes, {}}}, model.bytes});
    owners.push_back(&model);
  }
  if (sets.empty()) return std::nullopt;
  auto chosen = choose_set(sets, name.choice, fmt::format("{} in {}", name.repo, place.directory));
  if (!chosen) return Result<FoundModel>(chosen.error());
  return Result<FoundModel>(*owners[*chosen]);
}

std::string looked_in(const std::vector<ModelPlace>& places) {
  std::string text;
  for (const ModelPlace& place : places) {
    if (!text.empty()) text += ", ";
    text += fmt::format("{} ({})", place.directory, place_name(place.kind));
  }
  return text;
}

bool looks_like_path(const std::string& text) {
  return text.starts_with('/') || text.starts_with('.') || text.starts_with('~') ||
         (text.ends_with(".gguf") && !parse_hub_name(text));
}

Error no_such_model(const ModelCatalog& catalog, const std::vector<ModelPlace>& places,
                    const std::string& text) {
  // As it was typed: what prints it escapes what a terminal would obey.
  std::string message = text + ": no such model";
  if (looks_like_path(text)) message = text + ": no such file or folder";
  const std::vector<std::string> similar = similar_models(catalog, text);
  if (!similar.empty()) message += fmt::format("; similar: {}", fmt::join(similar, ", "));
  if (looks_like_path(text)) return {ErrorCode::kNotFound, message};
  message += "; looked in " + looked_in(places);
  if (parse_hub_name(text)) message += ". Fetch it with: potluck pull " + text;
  return {ErrorCode::kNotFound, message};
}

FoundModel file_at(Storage& storage, const std::string& path) {
  FoundModel model;
  model.name = path;
  model.inside = path;
  model.paths.push_back(path);
  auto file = storage.open(path, ReadMode::kBuffered);
  if (file) model.bytes = (*file)->size();
  return model;
}

Result<FoundModel> model_in_folder(Storage& storage, const std::string& path) {
  const std::vector<GgufSet> sets = gguf_sets(files_below(storage, path, kFolderLevels));
  if (sets.empty()) return Error{ErrorCode::kNotFound, path + ": no GGUF file in this folder"};
  // In a folder nothing is usual: several are a question.
  if (sets.size() > 1) {
    return Error{ErrorCode::kInvalidArgument,
                 fmt::format("{}: several models are in this folder, name one of them: {}", path,
                             list_of_sets(sets, false))};
  }
  const GgufSet& set = sets.front();
  FoundModel model;
  model.inside = set.path();
  for (const ListedFile& file : set.files) model.paths.push_back(path + "/" + file.path);
  model.name = model.path();
  model.bytes = set.bytes;
  model.trouble = set.trouble();
  return model;
}

// As the API calls a model: its file's name without the extension.
std::string stem_of_model(const FoundModel& model) {
  std::string name = model.inside.substr(model.inside.find_last_of('/') + 1);
  if (const auto split = parse_split_name(name)) return split->prefix;
  return name.ends_with(".gguf") ? name.substr(0, name.size() - 5) : name;
}

Result<FoundModel> only_one(const std::vector<const FoundModel*>& found, const std::string& text) {
  if (found.size() == 1) return *found.front();
  std::string list;
  for (const FoundModel* model : found) {
    if (!list.empty()) list += ", ";
    list += fmt::format("{} ({})", model->path(), place_name(model->kind));
  }
  return Error{
      ErrorCode::kInvalidArgument,
      fmt::format("{}: several models have this name, give the path of one: {}", text, list)};
}

}  // namespace

std::vector<std::string> similar_models(const ModelCatalog& catalog, const std::string& text) {
  // A word of the name is enough: people remember "qwen3", not who published it.
  std::string wanted = folded_name(text.substr(0, text.find(':')));
  wanted = wanted.substr(wanted.find_last_of('/') + 1);
  if (wanted.ends_with(".gguf")) wanted.resize(wanted.size() - 5);
  std::vector<std::string> similar;
  if (wanted.size() < 2) return similar;
  for (const FoundModel& model : catalog.models) {
    if (similar.size() == kMostSimilar) break;
    if (folded_name(model.name).find(wanted) != std::string::npos) {
      similar.push_back(clean_text(model.name, kShownName));
    }
  }
  if (!similar.empty()) return similar;
  // Or the first word of it.
  const std::string word = wanted.substr(0, wanted.find_first_of("-_. "));
  for (const FoundModel& model : catalog.models) {
    if (similar.size() == kMostSimilar || word.size() < 3) break;
    if (folded_name(model.name).find(word) != std::string::npos) {
      similar.push_back(clean_text(model.name, kShownName));
    }
  }
  return similar;
}

Result<FoundModel> find_in_catalog(const ModelCatalog& catalog,
                                   const std::vector<ModelPlace>& places, const std::string& text) {
  // What is broken or unfinished counts only where nothing else has the name.
  for (const FoundModel& model : catalog.models) {
    if (model.name == text && model.trouble.empty()) return model;
  }
  if (const auto hub = parse_hub_name(text)) {
    std::optional<Error> first_error;
    for (const ModelPlace& place : places) {
      auto chosen = choose_in_place(catalog.models, *hub, place);
      if (!chosen) continue;
      if (*chosen) return *chosen;
      if (!first_error) first_error = chosen->error();
    }
    // Other models of the repository are there, but not this one.
    const bool unfinished = std::ranges::any_of(
        catalog.models, [&](const FoundModel& model) { return model.name == text; });
    if (first_error && !unfinished) {
      return Error{first_error->code,
                   fmt::format("{}. Fetch another one with: potluck pull {}:QUANT",
                               first_error->message, hub->repo)};
    }
  }
  const auto ollama = parse_ollama_name(text);
  const std::string tagged = ollama ? (ollama->space == "library" ? "" : ollama->space + "/") +
                                          ollama->name + ":" + ollama->tag
                                    : text;
  for (const FoundModel& model : catalog.models) {
    const bool is_ollama = model.kind == PlaceKind::kOllama && model.name == tagged;
    if (is_ollama || model.name == text) return model;
  }
  std::vector<const FoundModel*> by_stem;
  for (const FoundModel& model : catalog.models) {
    if (model.trouble.empty() && stem_of_model(model) == text) by_stem.push_back(&model);
  }
  if (!by_stem.empty()) return only_one(by_stem, text);
  return no_such_model(catalog, places, text);
}

std::string place_of_address(const std::string& address) {
  const std::string path = source_path(address);
  const size_t host = path.find("://");
  const std::string rest = host == std::string::npos ? path : path.substr(host + 3);
  const size_t slash = rest.find('/');
  const size_t last = rest.find_last_of('/');
  const std::string file = last == std::string::npos ? std::string() : rest.substr(last + 1);
  const std::string folder = slash < last ? rest.substr(slash + 1, last - slash - 1) : "files";
  // Two folders that look alike as names are told apart by their digest.
  const std::string digest = sha256(as_bytes(path.substr(0, path.size() - file.size()))).brief();
  return fmt::format("{}/{}-{}/{}", folder_name(rest.substr(0, slash)),
                     folder_name(folder).substr(0, 64), digest, folder_name(file));
}

Result<FoundModel> find_model(Storage& storage, const std::vector<ModelPlace>& places,
                              const std::string& text, const std::string& hub) {
  if (is_web_address(text)) {
    if (const auto address = parse_hub_address(text, hub)) {
      return find_in_catalog(read_catalog(storage, places), places, address->name.text());
    }
    for (const FoundModel& model : read_catalog(storage, places).models) {
      const std::string path = model.place + "/" + place_of_address(text);
      const bool has_it = std::ranges::find(model.paths, path) != model.paths.end();
      if (model.kind == PlaceKind::kOwn && has_it) return model;
      // One that is not finished has the address for its name.
      if (!model.trouble.empty() && model.name == source_path(text)) return model;
    }
    return Error{
        ErrorCode::kNotFound,
        fmt::format("{}: a model on a server; fetch it with potluck pull, or serve it with "
                    "--spread",
                    source_path(text))};
  }
  if (text.empty()) return Error{ErrorCode::kInvalidArgument, "MODEL: expected a name, found none"};
  if (storage.list(text)) {
    const bool ends = text.size() > 1 && text.ends_with('/');
    return model_in_folder(storage, ends ? text.substr(0, text.size() - 1) : text);
  }
  if (storage.exists(text)) return file_at(storage, text);
  const ModelCatalog catalog = read_catalog(storage, places);
  if (looks_like_path(text)) return no_such_model(catalog, places, text);
  return find_in_catalog(catalog, places, text);
}

}  // namespace potluck
