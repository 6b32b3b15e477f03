#include "coordinator/serving/http/web_pages.h"

#include <array>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/hash.h"

namespace potluck {
namespace {

// Nothing but what this server sends, and no text becomes a script, wherever it comes from.
constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'";

constexpr std::string_view kHtml = ".html";
constexpr size_t kEtagDigits = 32;

std::string_view web_type(std::string_view name) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kTypes{{
      {kHtml, "text/html; charset=utf-8"},
      {".css", "text/css; charset=utf-8"},
      {".js", "text/javascript; charset=utf-8"},
      {".svg", "image/svg+xml"},
  }};
  for (const auto& [ending, type] : kTypes) {
    if (name.ends_with(ending)) return type;
  }
  return "application/octet-stream";
}

std::string path_of(std::string_view name) {
  if (name == "index.html") return "/";
  if (!name.ends_with(kHtml)) return "/web/" + std::string(name);
  name.remove_suffix(kHtml.size());
  return "/" + std::string(name);
}

}  // namespace

HttpHeaders page_headers() {
  return {{"Content-Security-Policy", std::string(kContentSecurityPolicy)},
          {"X-Content-Type-Options", "nosniff"},
          {"Referrer-Policy", "no-referrer"},
          {"X-Frame-Options", "DENY"},
          {"Cross-Origin-Opener-Policy", "same-origin"},
          {"Cross-Origin-Resource-Policy", "same-origin"}};
}

WebPages::WebPages(std::span<const WebFile> files) {
  for (const WebFile& file : files) {
    const std::string digest = sha256(as_bytes(file.content)).hex().substr(0, kEtagDigits);
    pages_.insert_or_assign(path_of(file.name), Page{file, '"' + digest + '"'});
  }
}

std::optional<HttpResponse> WebPages::find(std::string_view path,
                                           const HttpHeaders& request) const {
  const auto found = pages_.find(path);
  if (found == pages_.end()) return std::nullopt;
  const Page& page = found->second;
  HttpResponse response;
  response.headers = page_headers();
  response.headers.emplace_back("ETag", page.etag);
  // Asked for anew each time: after an update, no page works with the scripts of another version.
  response.headers.emplace_back("Cache-Control", "no-cache");
  const std::string* known = find_header(request, "if-none-match");
  if (known != nullptr && known->find(page.etag) != known->npos) {
    response.status = 304;
    return response;
  }
  response.headers.emplace_back("Content-Type", std::string(web_type(page.file.name)));
  response.body = std::string(page.file.content);
  return response;
}

}  // namespace potluck
