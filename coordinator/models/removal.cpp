#include "coordinator/models/removal.h"

#include <algorithm>

#include <fmt/format.h>

#include "coordinator/models/pull_record.h"
#include "coordinator/models/whole_files.h"

namespace potluck {
namespace {

std::string parent_folder(const std::string& path) {
  const size_t slash = path.find_last_of('/');
  return slash == std::string::npos || slash == 0 ? std::string() : path.substr(0, slash);
}

// Up to the place, which stays.
std::vector<std::string> folders_above(const std::string& path, const std::string& place) {
  std::vector<std::string> folders;
  for (std::string folder = parent_folder(path); folder.size() > place.size();
       folder = parent_folder(folder)) {
    folders.push_back(folder);
  }
  return folders;
}

uint64_t size_of(Storage& storage, const std::string& path) {
  auto file = storage.open(path, ReadMode::kBuffered);
  return file ? (*file)->size() : 0;
}

class RemovalPlanner {
 public:
  RemovalPlanner(Storage& storage, const FoundModel& model, const RemovalWish& wish)
      : storage_(storage), model_(model), wish_(wish) {}

  Result<Removal> plan() {
    Status allowed = model_.place.empty() ? not_in_a_cache() : plan_files();
    if (!allowed) return allowed.error();
    if (!wish_.store.empty() && storage_.exists(wish_.store)) add_folder(wish_.store);
    return std::move(removal_);
  }

 private:
  Error not_in_a_cache() const {
    return {ErrorCode::kRefused,
            fmt::format("{}: a file of yours, which Potluck did not fetch; remove it yourself",
                        model_.path())};
  }
  Error another_programs(const std::string& instead) const {
    return {ErrorCode::kRefused, fmt::format("{}: it belongs to {}; {}", model_.path(),
                                             place_name(model_.kind), instead)};
  }

  Status plan_files() {
    switch (model_.kind) {
      case PlaceKind::kOwn:
        return plan_own();
      case PlaceKind::kOllama:
        // Its files are shared by models in ways that only Ollama keeps track of.
        return another_programs("remove it with: ollama rm " + model_.name);
      case PlaceKind::kHub:
        return wish_.other_programs ? plan_hub() : another_programs(flag_hint());
      case PlaceKind::kLlama:
      case PlaceKind::kLmStudio:
        if (!wish_.other_programs) return another_programs(flag_hint());
        for (const std::string& path : model_.paths) add_file(path);
        return {};
    }
    return {};
  }
  static std::string flag_hint() { return "--other-programs removes it nevertheless"; }

  Status plan_own() {
    const std::string pulls = model_.place + "/.potluck/";
    // Of an unfinished pull: all that it has.
    if (model_.path().starts_with(pulls)) {
      add_folder(parent_folder(model_.path()));
      return {};
    }
    const auto pull = find_pull(storage_, model_.place, model_.path());
    if (!pull && !wish_.other_programs) {
      return Error{ErrorCode::kRefused,
                   fmt::format("{}: Potluck did not fetch it; {}", model_.path(), flag_hint())};
    }
    for (const std::string& path : model_.paths) {
      add_file(path);
      for (std::string& folder : folders_above(path, model_.place)) {
        removal_.emptied.push_back(std::move(folder));
      }
    }
    if (pull) add_folder(pull->folder.directory());
    return {};
  }

  // Links of the snapshot, and the blobs that nothing else in the repository links to.
  Status plan_hub() {
    const size_t snapshots = model_.path().find("/snapshots/");
    const std::string repo = model_.path().substr(0, snapshots);
    for (const std::string& path : model_.paths) {
      const std::string blob = link_target(path);
      add_file(path);
      const bool inside = is_link(path) && blob.starts_with(link_target(repo) + "/blobs/");
      if (!inside) continue;
      if (is_linked_elsewhere(repo, path, blob)) {
        removal_.bytes -= std::min(removal_.bytes, size_of(storage_, path));
      } else {
        removal_.files.push_back(blob);
      }
    }
    return {};
  }

  bool is_linked_elsewhere(const std::string& repo, const std::string& path,
                           const std::string& blob) {
    constexpr int kSnapshotLevels = 4;
    for (const ListedFile& file : files_below(storage_, repo + "/snapshots", kSnapshotLevels)) {
      const std::string other = repo + "/snapshots/" + file.path;
      if (other != path && link_target(other) == blob) return true;
    }
    return false;
  }

  void add_file(const std::string& path) {
    removal_.bytes += size_of(storage_, path);
    removal_.files.push_back(path);
  }
  void add_folder(const std::string& path) {
    removal_.bytes += tree_bytes(path);
    removal_.folders.push_back(path);
  }

  Storage& storage_;
  const FoundModel& model_;
  const RemovalWish& wish_;
  Removal removal_;
};

}  // namespace

Result<Removal> plan_removal(Storage& storage, const FoundModel& model, const RemovalWish& wish) {
  return RemovalPlanner(storage, model, wish).plan();
}

std::vector<std::string> users_of(const Removal& removal) {
  std::vector<std::string> files = removal.files;
  for (const std::string& folder : removal.folders) {
    for (std::string& file : files_in_tree(folder)) files.push_back(std::move(file));
  }
  return processes_with(files);
}

Status remove_model(Storage& storage, const Removal& removal) {
  Status first;
  auto note = [&](Status status) {
    const bool gone = !status && status.error().code == ErrorCode::kNotFound;
    if (!status && !gone && first.ok()) first = std::move(status);
  };
  for (const std::string& file : removal.files) note(storage.remove(file));
  for (const std::string& folder : removal.folders) note(remove_tree(folder));
  // The deepest first; what is not empty stays.
  for (const std::string& folder : removal.emptied) (void)remove_directory(folder);
  return first;
}

}  // namespace potluck
