#include "coordinator/models/model_name.h"

#include <algorithm>
#include <array>

namespace potluck {
namespace {

constexpr size_t kLongestComponent = 255;  // of every file system in use
constexpr size_t kLongestRepoPart = 96;    // a hub's own bound
constexpr size_t kMostLevels = 8;
constexpr std::string_view kGguf = ".gguf";

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_plain_letter(char c) {
  return is_letter_or_digit(c) || c == '.' || c == '-' || c == '_';
}

bool is_repo_part(std::string_view text) {
  return text.size() <= kLongestRepoPart && is_plain_component(text) && text.front() != '-' &&
         std::ranges::all_of(text, is_plain_letter) && text.find("..") == std::string_view::npos;
}

// A file's name without its folder, its extension and the number of its part.
std::string_view stem_of(std::string_view file) {
  file = file.substr(file.find_last_of('/') + 1);
  if (file.ends_with(kGguf)) file.remove_suffix(kGguf.size());
  constexpr std::string_view kPart = "-00001-of-00001";
  const bool is_part = file.size() > kPart.size() && file[file.size() - 6] == '-' &&
                       file.substr(file.size() - 9, 3) == "-of" &&
                       file[file.size() - kPart.size()] == '-';
  if (is_part) file.remove_suffix(kPart.size());
  return file;
}

// Whether a word of a file's name is one that quantizations begin with.
bool begins_quantization(std::string_view word) {
  const std::string folded = folded_name(word);
  auto digit_at = [&](size_t at) {
    return folded.size() > at && folded[at] >= '0' && folded[at] <= '9';
  };
  constexpr std::array<std::string_view, 6> kWords = {"f16",   "f32",   "bf16",
                                                      "mxfp4", "nvfp4", "fp16"};
  if (std::ranges::any_of(kWords, [&](auto known) { return folded.starts_with(known); })) {
    return true;
  }
  if (folded.starts_with("iq") || folded.starts_with("tq")) return digit_at(2);
  return folded.starts_with('q') && digit_at(1) && folded.find('_') == 2;
}

}  // namespace

bool is_plain_component(std::string_view text) {
  if (text.empty() || text.size() > kLongestComponent || text.front() == '.') return false;
  return std::ranges::none_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < ' ' || byte == 0x7f || c == '/' || c == '\\';
  });
}

bool is_plain_path(std::string_view text) {
  for (size_t level = 0; level < kMostLevels; ++level) {
    const size_t slash = text.find('/');
    if (!is_plain_component(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
  return false;
}

std::string folded_name(std::string_view text) {
  std::string folded(text);
  for (char& c : folded) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return folded;
}

std::optional<HubName> parse_hub_name(std::string_view text) {
  for (std::string_view host : {"hf.co/", "huggingface.co/"}) {
    if (text.starts_with(host)) text.remove_prefix(host.size());
  }
  HubName name;
  const size_t colon = text.find(':');
  if (colon != std::string_view::npos) {
    name.choice = text.substr(colon + 1);
    text = text.substr(0, colon);
    if (!is_plain_path(name.choice)) return std::nullopt;
  }
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const size_t second = text.find('/', slash + 1);
  if (second != std::string_view::npos) {
    if (colon != std::string_view::npos || !text.ends_with(kGguf)) return std::nullopt;
    name.choice = text.substr(second + 1);
    text = text.substr(0, second);
    if (!is_plain_path(name.choice)) return std::nullopt;
  }
  if (!is_repo_part(text.substr(0, slash)) || !is_repo_part(text.substr(slash + 1))) {
    return std::nullopt;
  }
  name.repo = text;
  return name;
}

std::optional<OllamaName> parse_ollama_name(std::string_view text) {
  OllamaName name{"library", {}, "latest"};
  if (const size_t colon = text.find(':'); colon != std::string_view::npos) {
    name.tag = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  if (const size_t slash = text.find('/'); slash != std::string_view::npos) {
    name.space = text.substr(0, slash);
    text.remove_prefix(slash + 1);
  }
  name.name = text;
  const bool good = is_repo_part(name.space) && is_repo_part(name.name) && is_repo_part(name.tag);
  return good ? std::optional(std::move(name)) : std::nullopt;
}

std::string quantization_in(std::string_view file) {
  std::string_view stem = stem_of(file);
  // The last word that is one; words in front of it may belong to it.
  std::string_view found;
  for (size_t begin = 0; begin < stem.size();) {
    const size_t end = std::min(stem.find_first_of("-.", begin), stem.size());
    if (begins_quantization(stem.substr(begin, end - begin)))
      found = stem.substr(begin, end - begin);
    begin = end + 1;
  }
  if (found.empty()) return {};
  const auto offset = static_cast<size_t>(found.data() - stem.data());
  constexpr std::string_view kDynamic = "UD-";
  if (stem.substr(0, offset).ends_with(kDynamic)) return std::string(kDynamic) + std::string(found);
  return std::string(found);
}

bool names_quantization(std::string_view file, std::string_view wanted) {
  const std::string said = folded_name(quantization_in(file));
  const std::string asked = folded_name(wanted);
  return !asked.empty() && (said == asked || said.ends_with("-" + asked));
}

}  // namespace potluck
