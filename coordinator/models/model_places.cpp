#include "coordinator/models/model_places.h"

#include <algorithm>

namespace potluck {
namespace {

// What people write into variables: "~" is their home directory.
std::string expanded(const std::string& home, std::string path) {
  if (path == "~" || path.starts_with("~/")) path = home + path.substr(1);
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

std::string cache_home(const std::string& home, const ReadVariable& variable) {
  return expanded(home, variable("XDG_CACHE_HOME").value_or(home + "/.cache"));
}

std::string hub_home(const std::string& home, const ReadVariable& variable) {
  const auto given = variable("HF_HOME");
  return given ? expanded(home, *given) : cache_home(home, variable) + "/huggingface";
}

}  // namespace

std::string_view place_name(PlaceKind kind) {
  switch (kind) {
    case PlaceKind::kOwn:
      return "Potluck";
    case PlaceKind::kHub:
      return "Hugging Face";
    case PlaceKind::kLlama:
      return "llama.cpp";
    case PlaceKind::kLmStudio:
      return "LM Studio";
    case PlaceKind::kOllama:
      return "Ollama";
  }
  return "";
}

std::vector<ModelPlace> model_places(const std::string& home, const std::string& own,
                                     const ReadVariable& variable) {
  std::vector<ModelPlace> places;
  auto add = [&](PlaceKind kind, const std::string& directory) {
    const std::string path = expanded(home, directory);
    const bool known = std::ranges::any_of(places, [&](const ModelPlace& place) {
      return place.kind == kind && place.directory == path;
    });
    if (!path.empty() && !known) places.push_back({kind, path});
  };
  auto add_named = [&](PlaceKind kind, const char* name) {
    if (auto path = variable(name)) add(kind, *path);
  };
  add(PlaceKind::kOwn, own);
  // Newer versions of llama.cpp keep Hugging Face's layout in their own folder, too.
  add_named(PlaceKind::kHub, "LLAMA_CACHE");
  add_named(PlaceKind::kHub, "HF_HUB_CACHE");
  add_named(PlaceKind::kHub, "HUGGINGFACE_HUB_CACHE");
  add(PlaceKind::kHub, hub_home(home, variable) + "/hub");
  add_named(PlaceKind::kLlama, "LLAMA_CACHE");
  add(PlaceKind::kLlama, cache_home(home, variable) + "/llama.cpp");
  add(PlaceKind::kLmStudio, home + "/.lmstudio/models");
  add(PlaceKind::kLmStudio, home + "/.cache/lm-studio/models");
  add_named(PlaceKind::kOllama, "OLLAMA_MODELS");
  add(PlaceKind::kOllama, home + "/.ollama/models");
  add(PlaceKind::kOllama, "/usr/share/ollama/.ollama/models");
  return places;
}

std::vector<std::string> hub_token_files(const std::string& home, const ReadVariable& variable) {
  std::vector<std::string> files;
  if (auto path = variable("HF_TOKEN_PATH")) files.push_back(expanded(home, *path));
  files.push_back(hub_home(home, variable) + "/token");
  return files;
}

}  // namespace potluck
