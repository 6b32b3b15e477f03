// find_model(): what a command's MODEL means on this machine. A path wins, then a folder with one
// model, then names that the caches give: "user/repo[:QUANT]", Ollama's "name[:tag]", the name of a
// file without its extension. Reads listings alone; one thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/models/model_catalog.h"

namespace potluck {

// kNotFound: says where it looked and what is similar; kInvalidArgument: several are meant, which
// are listed. An address is one of a file that was pulled. Files that are broken are found, with
// their trouble. `hub`: the address of the hub, whose files are known by their names.
Result<FoundModel> find_model(Storage& storage, const std::vector<ModelPlace>& places,
                              const std::string& text, const std::string& hub);

// The same in a catalog that was read; without paths and folders.
Result<FoundModel> find_in_catalog(const ModelCatalog& catalog,
                                   const std::vector<ModelPlace>& places, const std::string& text);

// Names of the catalog that may have been meant, the nearest first; a few.
std::vector<std::string> similar_models(const ModelCatalog& catalog, const std::string& text);

// Where a file that is pulled from an address is kept, below Potluck's own folder.
std::string place_of_address(const std::string& address);

}  // namespace potluck
