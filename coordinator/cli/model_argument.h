// What the word MODEL of a command means, the same for all of them: models/model_search.h with this
// user's folders, hub and tokens. Plain functions; one thread.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "coordinator/cli/commands.h"
#include "coordinator/models/model_catalog.h"
#include "coordinator/plan/published_models.h"

namespace potluck {

// For the help of commands.
inline constexpr const char* kModelHelp =
    "a GGUF file (of a split model, its first part), a folder with one model, or a name: "
    "user/repo[:QUANT], an Ollama model, or any other that potluck list shows";

// $POTLUCK_MODELS, or `models` in the data directory (directories.h): where `pull` keeps models.
std::string models_directory();
// Potluck's folder and other programs' caches, in the order in which they are looked through.
std::vector<ModelPlace> own_model_places();
// Where repositories are: $POTLUCK_HUB, $HF_ENDPOINT, or Hugging Face.
std::string hub_address();
// The user's token for the hub (HF_TOKEN, or the file that Hugging Face's programs write); empty:
// none. kInvalidArgument: it has characters that no token has.
Result<std::string> hub_token(Storage& storage);

// Found, and not broken as far as a listing shows.
Result<FoundModel> find_named_model(const std::string& text, const Environment& environment);
// The path of its first file.
Result<std::string> path_of_model(const std::string& text, const Environment& environment);

// Where sizes are enough: the path, or else a published model of that name (published_models.h).
// The error says which names are near, or which there are.
inline constexpr const char* kModelOrShapeHelp =
    "a GGUF file (of a split model, its first part), a folder with one model, or a name that "
    "potluck list shows; or, with no file at all, a name that potluck list --published shows: "
    "qwen3-30b-a3b, qwen3-30b-a3b:Q8_0";
Result<std::variant<std::string, PublishedFile>> path_or_published(const std::string& text,
                                                                   const Environment& environment);

// Where the experts of a model are stored on disk unless the user says: beside its file, but not in
// another program's cache.
std::string store_of_model(const FoundModel& model);

// What the API calls it.
std::string id_of_model(const FoundModel& model);

}  // namespace potluck
