// WebPages: answers requests for the pages with the headers that keep them to themselves: no
// script, style or picture from elsewhere, none inside a page, no frame around it. They hold
// nothing secret. Immutable; any thread.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "coordinator/serving/http/http_message.h"
#include "coordinator/serving/http/web_file.h"

namespace potluck {

class WebPages {
 public:
  // The files must outlive the object. "index.html" is found at "/", "chat.html" at "/chat", and so
  // on; the other ones at "/web/NAME".
  explicit WebPages(std::span<const WebFile> files);

  bool has(std::string_view path) const { return pages_.contains(path); }
  // Nothing where there is no such page.
  std::optional<HttpResponse> find(std::string_view path, const HttpHeaders& request) const;

 private:
  struct Page {
    WebFile file;
    std::string etag;
  };
  std::map<std::string, Page, std::less<>> pages_;  // by path
};

// For every answer that a browser may take for a page.
HttpHeaders page_headers();

}  // namespace potluck
