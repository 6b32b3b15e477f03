// The names under which people know models: "user/repo:Q4_K_M" on a hub, "name:tag" in Ollama. They
// become parts of paths and addresses, so nothing is taken but letters, digits, '.', '-' and '_'.
// Pure functions; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace potluck {

// "user/repo", "user/repo:Q4_K_M", "user/repo:FILE.gguf", "user/repo/FILE.gguf"; "hf.co/" or
// "huggingface.co/" may stand in front.
struct HubName {
  std::string repo;    // "user/repo"
  std::string choice;  // a quantization or a file; may be empty

  std::string text() const { return choice.empty() ? repo : repo + ":" + choice; }
};
std::optional<HubName> parse_hub_name(std::string_view text);

// "name", "name:tag", "user/name:tag".
struct OllamaName {
  std::string space;  // "library" for names without a user
  std::string name;
  std::string tag;  // "latest" where none is given
};
std::optional<OllamaName> parse_ollama_name(std::string_view text);

// One component of a path, at most 255 bytes, that hides nothing and leads nowhere else.
bool is_plain_component(std::string_view text);
// Components with '/' between them, a few levels at most.
bool is_plain_path(std::string_view text);

// Letters to lower case, for comparisons of names.
std::string folded_name(std::string_view text);

// The quantization that the name of a GGUF file says ("UD-Q4_K_XL", "MXFP4"); empty if it says
// none.
std::string quantization_in(std::string_view file);
// Whether this is the quantization that the name says, or the end of it: "Q4_K_XL" is the end of
// "UD-Q4_K_XL". Case does not matter.
bool names_quantization(std::string_view file, std::string_view wanted);

}  // namespace potluck
