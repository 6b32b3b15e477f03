// WebFile: one file of the pages that the server shows, as it was when the program was built: the
// build makes web_files() from the folder web. Immutable; any thread.
#pragma once

#include <span>
#include <string_view>

namespace potluck {

struct WebFile {
  std::string_view name;  // as in the folder: "index.html"
  std::string_view content;
};

std::span<const WebFile> web_files();

}  // namespace potluck
