#include "coordinator/models/hub_address.h"

#include <array>

#include <fmt/format.h>

#include "coordinator/spread/source_storage.h"

namespace potluck {
namespace {

std::string percent_encoded(std::string_view path) {
  std::string encoded;
  for (char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '.' || c == '-' || c == '_' || c == '~' || c == '/';
    if (plain) {
      encoded += c;
    } else {
      encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return encoded;
}

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return std::nullopt;
}

std::string percent_decoded(std::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto high = text[i] == '%' && i + 2 < text.size() ? hex_digit(text[i + 1]) : std::nullopt;
    const auto low = high ? hex_digit(text[i + 2]) : std::nullopt;
    if (!low) {
      decoded += text[i];
      continue;
    }
    decoded += static_cast<char>(*high * 16 + *low);
    i += 2;
  }
  return decoded;
}

// Up to the next '/', which is taken as well.
std::string_view next_part(std::string_view* rest) {
  const size_t slash = rest->find('/');
  const std::string_view part = rest->substr(0, slash);
  rest->remove_prefix(slash == std::string_view::npos ? rest->size() : slash + 1);
  return part;
}

}  // namespace

std::optional<HubAddress> parse_hub_address(const std::string& address, const std::string& hub) {
  const std::string path = source_path(address);
  std::string_view rest;
  for (const std::string& known : {hub, std::string(kUsualHub), std::string("https://hf.co"),
                                   std::string("https://www.huggingface.co")}) {
    if (rest.empty() && path.starts_with(known + "/")) {
      rest = std::string_view(path).substr(known.size() + 1);
    }
  }
  std::string repo(next_part(&rest));
  repo += "/";
  repo += next_part(&rest);
  auto name = parse_hub_name(repo);
  if (!name || repo.starts_with("api/") || repo.starts_with("datasets/")) return std::nullopt;
  HubAddress found{std::move(*name), "main"};
  if (rest.empty()) return found;
  const std::string_view verb = next_part(&rest);
  found.revision = percent_decoded(next_part(&rest));
  found.name.choice = percent_decoded(rest);
  const bool good = (verb == "resolve" || verb == "blob") && is_plain_component(found.revision) &&
                    is_plain_path(found.name.choice);
  return good ? std::optional(std::move(found)) : std::nullopt;
}

std::string hub_question(const std::string& hub, const std::string& repo,
                         const std::string& revision) {
  return fmt::format("{}/api/models/{}/revision/{}?blobs=true", hub, repo,
                     percent_encoded(revision));
}

std::string hub_file_address(const std::string& hub, const std::string& repo,
                             const std::string& commit, const std::string& path) {
  return fmt::format("{}/{}/resolve/{}/{}", hub, repo, percent_encoded(commit),
                     percent_encoded(path));
}

bool is_safe_for_token(const std::string& address) {
  if (address.starts_with("https://")) return true;
  constexpr std::array<std::string_view, 3> kThisMachine = {"http://127.0.0.1", "http://localhost",
                                                            "http://[::1]"};
  for (std::string_view host : kThisMachine) {
    if (!address.starts_with(host)) continue;
    const std::string_view rest = std::string_view(address).substr(host.size());
    if (rest.empty() || rest.front() == ':' || rest.front() == '/') return true;
  }
  return false;
}

}  // namespace potluck
