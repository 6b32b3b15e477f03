// ModelCatalog: the models that lie in the given places, each with the name under which a command
// takes it. Nothing is opened but listings, Ollama's manifests and files for their sizes; names and
// links in other programs' caches are a stranger's, and what there is of them is bounded. One
// thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "coordinator/models/gguf_set.h"
#include "coordinator/models/model_places.h"
#include "engine/base/storage.h"

namespace potluck {

struct FoundModel {
  PlaceKind kind = PlaceKind::kOwn;
  std::string place;  // the directory of the cache
  std::string name;   // what commands take: "user/repo:Q4_K_M", "name:tag", or else the path
  std::string repo;   // "user/repo" where that is known
  std::string
      inside;  // the first file's path inside the repository; what choices are compared with
  std::vector<std::string> paths;  // of its files, in full
  uint64_t bytes = 0;
  std::string trouble;  // what is broken or missing; empty: nothing that a listing shows

  const std::string& path() const { return paths.front(); }
};

struct ModelCatalog {
  std::vector<FoundModel> models;
  std::vector<std::string> notes;  // what was left out, and why
};

ModelCatalog read_catalog(Storage& storage, const std::vector<ModelPlace>& places);

// GGUF files below a directory, at most a few levels deep, with paths from there. Hidden folders
// are left out.
std::vector<ListedFile> files_below(Storage& storage, const std::string& directory, int levels);

}  // namespace potluck
