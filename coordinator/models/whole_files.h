// What is done to whole files and folders of models, beside what Storage does to their content:
// moving, removing, following links, and who has them open. Plain functions; any thread.
#pragma once

#include <string>
#include <vector>

#include "engine/base/result.h"

namespace potluck {

// Within one file system; what is at `to` already stays, and is an error.
Status move_file(const std::string& from, const std::string& to);

// An empty one.
Status remove_directory(const std::string& path);

// A folder with all that is in it; links are removed, not followed. What it takes of the disk.
Status remove_tree(const std::string& path);
uint64_t tree_bytes(const std::string& path);
// Files in it. Bounded.
std::vector<std::string> files_in_tree(const std::string& path);

// Where a symbolic link leads, in full; the path itself where it is none or leads nowhere.
std::string link_target(const std::string& path);

// Whether it is a link.
bool is_link(const std::string& path);

// Processes that have one of the files open ("process 812 (potluck)"), as far as this user may see
// them. Bounded.
std::vector<std::string> processes_with(const std::vector<std::string>& paths);

}  // namespace potluck
