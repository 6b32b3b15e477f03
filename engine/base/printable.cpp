#include "engine/base/printable.h"

#include <fmt/format.h>

namespace potluck {
namespace {

constexpr size_t kLongest = 64;

}  // namespace

// Byte by byte: what stands where a magic number or a name should be need not be UTF-8.
std::string printable(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, kLongest)) {
    bool plain = c >= ' ' && c <= '~';
    out += plain ? std::string(1, c) : fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  }
  if (text.size() > kLongest) out += "...";
  return out;
}

}  // namespace potluck
