// Where models lie on this machine: Potluck's own folder and the caches of other programs, in the
// order in which they are looked through. Plain values; any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace potluck {

enum class PlaceKind {
  kOwn,       // USER/REPO/FILE.gguf, and what pull keeps of itself in .potluck
  kHub,       // Hugging Face's: models--USER--REPO/snapshots/COMMIT/FILE.gguf
  kLlama,     // llama.cpp's: USER_REPO_FILE.gguf
  kLmStudio,  // LM Studio's: USER/REPO/FILE.gguf
  kOllama,    // Ollama's: manifests/HOST/SPACE/NAME/TAG and blobs/sha256-...
};

// For people: "Hugging Face".
std::string_view place_name(PlaceKind kind);

struct ModelPlace {
  PlaceKind kind = PlaceKind::kOwn;
  std::string directory;
};

// An environment variable; nothing where it is not set or empty.
using ReadVariable = std::function<std::optional<std::string>(const char*)>;

// `home`: the user's; `own`: Potluck's folder of models. A folder that several variables name is
// looked through once.
std::vector<ModelPlace> model_places(const std::string& home, const std::string& own,
                                     const ReadVariable& variable);

// Where Hugging Face's programs keep the user's token, the most particular first.
std::vector<std::string> hub_token_files(const std::string& home, const ReadVariable& variable);

}  // namespace potluck
