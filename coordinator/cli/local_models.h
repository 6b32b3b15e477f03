// Models that can be named instead of typed: what is on this machine, from one or several sources.
// One thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/models/model_places.h"
#include "engine/base/storage.h"

namespace potluck {

struct NamedModel {
  std::string name;      // for people
  std::string argument;  // MODEL of the command line
  std::string path;      // of its first file; empty if it is not here
  uint64_t bytes = 0;    // of all its files; 0: not known
  bool here = true;      // false: would be fetched first
  bool spread = false;   // its experts are with the workers
};

class ModelSource {
 public:
  virtual ~ModelSource() = default;
  // In an order that people expect. What cannot be read is left out.
  virtual std::vector<NamedModel> models() const = 0;
};

// Models that were spread: `directory` holds a folder for each.
class SpreadModels final : public ModelSource {
 public:
  SpreadModels(Storage& storage, std::string directory)
      : storage_(storage), directory_(std::move(directory)) {}
  std::vector<NamedModel> models() const override;

 private:
  Storage& storage_;
  std::string directory_;
};

// GGUF files of a folder; of a split model, its first part.
class FolderModels final : public ModelSource {
 public:
  FolderModels(Storage& storage, std::string directory)
      : storage_(storage), directory_(std::move(directory)) {}
  std::vector<NamedModel> models() const override;

 private:
  Storage& storage_;
  std::string directory_;
};

// What `potluck list` finds, but for what is broken.
class CatalogModels final : public ModelSource {
 public:
  CatalogModels(Storage& storage, std::vector<ModelPlace> places)
      : storage_(storage), places_(std::move(places)) {}
  std::vector<NamedModel> models() const override;

 private:
  Storage& storage_;
  std::vector<ModelPlace> places_;
};

}  // namespace potluck
