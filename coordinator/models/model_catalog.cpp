#include "coordinator/models/model_catalog.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "coordinator/models/model_limits.h"
#include "coordinator/models/model_name.h"
#include "coordinator/models/ollama_manifest.h"
#include "coordinator/models/pull_record.h"

namespace potluck {
namespace {

constexpr std::string_view kRepoPrefix = "models--";
constexpr uint64_t kRefBytes = 256;
// Endings of what other programs have not finished.
constexpr std::string_view kUnfinished[] = {".incomplete", ".downloadInProgress", ".part",
                                            ".partial"};

bool is_unfinished(std::string_view name) {
  return std::ranges::any_of(kUnfinished, [&](auto ending) { return name.ends_with(ending); });
}

// The path of `name` in `folder`; each may be empty, which stands for the other alone.
std::string in_folder(std::string folder, std::string_view name) {
  if (!folder.empty() && !name.empty()) folder += '/';
  return folder.append(name);
}

// Entries that are still looked at, over all places.
struct EntryBudget {
  size_t left = limits::kCacheEntries;

  bool take() {
    if (left == 0) return false;
    --left;
    return true;
  }
};

std::vector<std::string> entries(Storage& storage, const std::string& directory,
                                 EntryBudget& budget) {
  auto names = storage.list(directory);
  if (!names) return {};
  std::vector<std::string> taken;
  for (std::string& name : *names) {
    if (!budget.take()) break;
    if (is_plain_component(name)) taken.push_back(std::move(name));
  }
  return taken;
}

ListedFile listed_file(Storage& storage, const std::string& directory, const std::string& inside) {
  auto file = storage.open(in_folder(directory, inside), ReadMode::kBuffered);
  if (file) return {inside, (*file)->size(), {}};
  const bool absent = file.error().code == ErrorCode::kNotFound;
  return {inside, 0, absent ? "a link to a file that is not there" : file.error().message};
}

void walk(Storage& storage, const std::string& directory, const std::string& inside, int levels,
          EntryBudget& budget, std::vector<ListedFile>* files) {
  const std::string here = in_folder(directory, inside);
  for (const std::string& name : entries(storage, here, budget)) {
    const std::string path = in_folder(inside, name);
    if (folded_name(name).ends_with(".gguf")) {
      files->push_back(listed_file(storage, directory, path));
    } else if (is_unfinished(name)) {
      files->push_back(listed_file(storage, directory, path));
      files->back().trouble = "a download that was not finished";
    } else if (levels > 1) {
      walk(storage, directory, path, levels - 1, budget, files);
    }
  }
}

class CatalogReader {
 public:
  explicit CatalogReader(Storage& storage) : storage_(storage) {}

  void read(const ModelPlace& place) {
    place_ = place;
    switch (place.kind) {
      case PlaceKind::kOwn:
        read_by_user(true);
        break;
      case PlaceKind::kLmStudio:
        read_by_user(false);
        break;
      case PlaceKind::kHub:
        read_hub();
        break;
      case PlaceKind::kLlama:
        read_llama();
        break;
      case PlaceKind::kOllama:
        read_ollama();
        break;
    }
  }

  ModelCatalog finish() {
    if (budget_.left == 0) {
      catalog_.notes.push_back(
          fmt::format("the caches hold more than {} files and folders; the rest was not looked at",
                      limits::kCacheEntries));
    }
    return std::move(catalog_);
  }

 private:
  std::vector<std::string> names(const std::string& inside) {
    return entries(storage_, in_folder(place_.directory, inside), budget_);
  }

  // All sets of a repository whose files lie below `directory`.
  void add_repo(const std::string& repo, const std::string& directory,
                std::vector<ListedFile> files) {
    for (const ListedFile& file : files) {
      if (is_unfinished(file.path)) add_unfinished(repo, directory, file);
    }
    const std::vector<GgufSet> sets = gguf_sets(std::move(files));
    for (size_t i = 0; i < sets.size(); ++i) {
      FoundModel model = found(repo + ":" + set_choice(sets, i), directory, sets[i]);
      model.repo = repo;
      catalog_.models.push_back(std::move(model));
    }
  }

  FoundModel found(std::string name, const std::string& directory, const GgufSet& set) const {
    FoundModel model;
    model.kind = place_.kind;
    model.place = place_.directory;
    model.name = std::move(name);
    model.inside = set.path();
    for (const ListedFile& file : set.files) model.paths.push_back(in_folder(directory, file.path));
    model.bytes = set.bytes;
    model.trouble = set.trouble();
    return model;
  }

  void add_unfinished(const std::string& repo, const std::string& directory,
                      const ListedFile& file) {
    FoundModel model = found(in_folder(directory, file.path), directory, {{file}, file.bytes});
    model.repo = repo;
    catalog_.models.push_back(std::move(model));
  }

  void read_by_user(bool own) {
    for (const std::string& user : names("")) {
      for (const std::string& repo : names(user)) {
        const std::string inside = in_folder(user, repo);
        const std::string directory = in_folder(place_.directory, inside);
        std::vector<ListedFile> files;
        walk(storage_, directory, "", 3, budget_, &files);
        add_repo(inside, directory, std::move(files));
      }
    }
    if (!own) return;
    for (FoundModel& pull : unfinished_pulls(storage_, place_.directory)) {
      catalog_.models.push_back(std::move(pull));
    }
  }

  void read_hub() {
    for (const std::string& name : names("")) {
      if (!name.starts_with(kRepoPrefix)) continue;
      std::string repo = name.substr(kRepoPrefix.size());
      const size_t dashes = repo.find("--");
      if (dashes == std::string::npos) continue;
      repo.replace(dashes, 2, "/");
      if (!parse_hub_name(repo)) continue;
      read_hub_repo(repo, name);
    }
  }

  void read_hub_repo(const std::string& repo, const std::string& folder) {
    const std::string directory = in_folder(place_.directory, folder);
    std::set<std::string> seen;
    for (const std::string& commit : commits(folder)) {
      const std::string snapshot = in_folder(in_folder(directory, "snapshots"), commit);
      std::vector<ListedFile> files;
      walk(storage_, snapshot, "", 3, budget_, &files);
      // What several snapshots have is shown as the newest has it.
      std::erase_if(files, [&](const ListedFile& file) { return seen.contains(file.path); });
      for (const ListedFile& file : files) seen.insert(file.path);
      add_repo(repo, snapshot, std::move(files));
    }
    for (const std::string& blob : names(folder + "/blobs")) {
      if (!is_unfinished(blob)) continue;
      ListedFile file = listed_file(storage_, directory, "blobs/" + blob);
      file.trouble = "a download that was not finished";
      add_unfinished(repo, directory, file);
    }
  }

  // The one that "main" means first.
  std::vector<std::string> commits(const std::string& folder) {
    std::vector<std::string> found = names(folder + "/snapshots");
    auto ref = read_file(storage_, in_folder(place_.directory, folder) + "/refs/main", kRefBytes);
    if (!ref) return found;
    std::string main(as_text(*ref));
    while (!main.empty() && (main.back() == '\n' || main.back() == ' ')) main.pop_back();
    std::stable_partition(found.begin(), found.end(),
                          [&](const std::string& commit) { return commit == main; });
    return found;
  }

  void read_llama() {
    const std::vector<std::string> all = names("");
    std::vector<std::string> repos;  // "manifest=user=repo=tag.json" says which there are
    for (const std::string& name : all) {
      constexpr std::string_view kManifest = "manifest=";
      if (!name.starts_with(kManifest)) continue;
      const size_t user = name.find('=', kManifest.size());
      const size_t repo = user == std::string::npos ? user : name.find('=', user + 1);
      if (repo == std::string::npos) continue;
      repos.push_back(name.substr(kManifest.size(), user - kManifest.size()) + "/" +
                      name.substr(user + 1, repo - user - 1));
    }
    std::ranges::sort(repos);
    repos.erase(std::unique(repos.begin(), repos.end()), repos.end());
    std::vector<ListedFile> files;
    walk(storage_, place_.directory, "", 1, budget_, &files);
    for (const std::string& repo : repos) add_flat(repo, &files);
    add_flat("", &files);
  }

  // Files whose names begin with the repository's, or with anything.
  void add_flat(const std::string& repo, std::vector<ListedFile>* files) {
    if (!repo.empty() && !parse_hub_name(repo)) return;
    std::string prefix = repo;
    std::ranges::replace(prefix, '/', '_');
    if (!prefix.empty()) prefix += "_";
    std::vector<ListedFile> own;
    for (const ListedFile& file : *files) {
      if (file.path.starts_with(prefix)) own.push_back(file);
    }
    std::erase_if(*files, [&](const ListedFile& file) { return file.path.starts_with(prefix); });
    for (const ListedFile& file : own) {
      if (is_unfinished(file.path)) add_unfinished(repo, place_.directory, file);
    }
    const std::vector<GgufSet> sets = gguf_sets(std::move(own));
    for (size_t i = 0; i < sets.size(); ++i) {
      const std::string path = in_folder(place_.directory, sets[i].path());
      const std::string choice = quantization_in(sets[i].path());
      const bool named = !repo.empty() && set_choice(sets, i) == choice;
      FoundModel model =
          found(named ? fmt::format("{}:{}", repo, choice) : path, place_.directory, sets[i]);
      model.repo = repo;
      model.inside = sets[i].path().substr(prefix.size());
      catalog_.models.push_back(std::move(model));
    }
  }

  void read_ollama() {
    for (const std::string& host : names("manifests")) {
      const std::string spaces = in_folder("manifests", host);
      for (const std::string& space : names(spaces)) {
        const std::string models = in_folder(spaces, space);
        for (const std::string& name : names(models)) {
          for (const std::string& tag : names(in_folder(models, name))) {
            add_ollama(host, space, name, tag);
          }
        }
      }
    }
    for (const std::string& blob : names("blobs")) {
      if (blob.find("-partial") == std::string::npos) continue;
      // Beside it lie small files, one for each piece that is fetched at once.
      if (blob.find("-partial-") != std::string::npos) continue;
      ListedFile file = listed_file(storage_, place_.directory, "blobs/" + blob);
      file.trouble = "a download that was not finished";
      add_unfinished("", place_.directory, file);
    }
  }

  void add_ollama(const std::string& host, const std::string& space, const std::string& name,
                  const std::string& tag) {
    FoundModel model;
    model.kind = place_.kind;
    model.place = place_.directory;
    const bool from_hub = host == "hf.co" || host == "huggingface.co";
    model.name = (space == "library" && !from_hub ? name : in_folder(space, name)) + ":" + tag;
    if (from_hub) {
      model.repo = in_folder(space, name);
      model.inside = name + "-" + tag + ".gguf";
    }
    const std::string path =
        fmt::format("{}/manifests/{}/{}/{}/{}", place_.directory, host, space, name, tag);
    const auto blob = read_ollama_manifest(storage_, path);
    if (!blob) {
      // What is no model of llama.cpp's kind is none of ours; a broken manifest is worth a word.
      if (blob.error().code == ErrorCode::kUnsupported) return;
      model.paths.push_back(path);
      model.trouble = blob.error().message;
      catalog_.models.push_back(std::move(model));
      return;
    }
    const ListedFile file = listed_file(storage_, place_.directory, "blobs/" + blob->file);
    model.paths.push_back(in_folder(place_.directory, file.path));
    model.bytes = file.bytes;
    model.trouble = file.trouble;
    if (file.trouble.empty() && file.bytes != blob->bytes) {
      model.trouble = fmt::format("expected {} bytes, found {}", blob->bytes, file.bytes);
    }
    catalog_.models.push_back(std::move(model));
  }

  Storage& storage_;
  EntryBudget budget_;
  ModelPlace place_;
  ModelCatalog catalog_;
};

}  // namespace

ModelCatalog read_catalog(Storage& storage, const std::vector<ModelPlace>& places) {
  CatalogReader reader(storage);
  for (const ModelPlace& place : places) reader.read(place);
  return reader.finish();
}

std::vector<ListedFile> files_below(Storage& storage, const std::string& directory, int levels) {
  EntryBudget budget;
  std::vector<ListedFile> files;
  walk(storage, directory, "", levels, budget, &files);
  return files;
}

}  // namespace potluck
