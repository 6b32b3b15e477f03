// Names as llama.cpp's gguf-split writes them: PREFIX-00001-of-00003.gguf, five digits each.
#include "engine/gguf/split_name.h"

#include <string_view>

#include <fmt/format.h>

namespace potluck {
namespace {

constexpr size_t kDigits = 5;
constexpr std::string_view kOf = "-of-";
constexpr std::string_view kExtension = ".gguf";
constexpr size_t kTailBytes = 1 + 2 * kDigits + kOf.size() + kExtension.size();

std::optional<uint32_t> parse_digits(std::string_view text) {
  uint32_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<uint32_t>(c - '0');
  }
  return value;
}

}  // namespace

std::optional<SplitName> parse_split_name(const std::string& path) {
  if (path.size() < kTailBytes) return std::nullopt;
  std::string_view tail = std::string_view(path).substr(path.size() - kTailBytes);
  std::string_view number = tail.substr(1, kDigits);
  std::string_view of = tail.substr(1 + kDigits, kOf.size());
  std::string_view parts = tail.substr(1 + kDigits + kOf.size(), kDigits);
  if (tail.front() != '-' || of != kOf || !tail.ends_with(kExtension)) return std::nullopt;
  std::optional<uint32_t> parsed_number = parse_digits(number);
  std::optional<uint32_t> parsed_parts = parse_digits(parts);
  if (!parsed_number || !parsed_parts) return std::nullopt;
  return SplitName{path.substr(0, path.size() - kTailBytes), *parsed_number, *parsed_parts};
}

std::string split_path(const SplitName& name, uint32_t number) {
  return fmt::format("{}-{:05}-of-{:05}.gguf", name.prefix, number, name.parts);
}

}  // namespace potluck
