#include "coordinator/models/whole_files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace potluck {
namespace {

constexpr size_t kMostOpeners = 8;
constexpr size_t kMostTreeFiles = 100'000;
constexpr size_t kMostDescriptors = 200'000;  // looked at

Error system_error(const std::string& path, const char* action, int number) {
  return {number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kIo,
          fmt::format("{}: cannot {}: {}", path, action, std::generic_category().message(number))};
}

using FileIdentity = std::pair<dev_t, ino_t>;

bool has_open(const std::filesystem::path& process, const std::vector<FileIdentity>& wanted,
              size_t* looked) {
  std::error_code error;
  std::filesystem::directory_iterator entry(process / "fd", error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    if (++*looked > kMostDescriptors) return false;
    struct stat status = {};
    if (::stat(entry->path().c_str(), &status) != 0) continue;
    if (std::ranges::find(wanted, FileIdentity{status.st_dev, status.st_ino}) != wanted.end()) {
      return true;
    }
  }
  return false;
}

std::string name_of_process(const std::filesystem::path& process) {
  std::error_code error;
  const auto program = std::filesystem::read_symlink(process / "exe", error);
  const std::string id = process.filename().string();
  if (error) return "process " + id;
  return fmt::format("process {} ({})", id, program.filename().string());
}

}  // namespace

Status move_file(const std::string& from, const std::string& to) {
  // rename() would replace what is there; a link cannot.
  if (::link(from.c_str(), to.c_str()) == 0) {
    if (::unlink(from.c_str()) != 0) return system_error(from, "remove", errno);
    return {};
  }
  if (errno == EEXIST) return system_error(to, "move a file there", EEXIST);
  // Some file systems (those of memory cards) have no hard links.
  std::error_code error;
  if (std::filesystem::exists(to, error)) return system_error(to, "move a file there", EEXIST);
  if (std::rename(from.c_str(), to.c_str()) != 0) {
    return system_error(to, "move a file there", errno);
  }
  return {};
}

Status remove_directory(const std::string& path) {
  if (::rmdir(path.c_str()) != 0) return system_error(path, "remove", errno);
  return {};
}

Status remove_tree(const std::string& path) {
  std::error_code error;
  std::filesystem::remove_all(path, error);
  if (error) return system_error(path, "remove", error.value());
  return {};
}

std::vector<std::string> files_in_tree(const std::string& path) {
  std::vector<std::string> files;
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(path, error);
  const std::filesystem::recursive_directory_iterator end;
  for (; !error && entry != end && files.size() < kMostTreeFiles; entry.increment(error)) {
    std::error_code ignored;
    if (entry->is_regular_file(ignored)) files.push_back(entry->path().string());
  }
  return files;
}

uint64_t tree_bytes(const std::string& path) {
  constexpr uint64_t kStatBlock = 512;
  uint64_t bytes = 0;
  for (const std::string& file : files_in_tree(path)) {
    struct stat status = {};
    if (::lstat(file.c_str(), &status) == 0) {
      bytes += static_cast<uint64_t>(status.st_blocks) * kStatBlock;
    }
  }
  return bytes;
}

std::string link_target(const std::string& path) {
  std::error_code error;
  const auto target = std::filesystem::canonical(path, error);
  return error ? path : target.string();
}

bool is_link(const std::string& path) {
  std::error_code error;
  return std::filesystem::is_symlink(path, error);
}

std::vector<std::string> processes_with(const std::vector<std::string>& paths) {
  std::vector<FileIdentity> wanted;
  for (const std::string& path : paths) {
    struct stat status = {};
    if (::stat(path.c_str(), &status) == 0) wanted.emplace_back(status.st_dev, status.st_ino);
  }
  std::vector<std::string> found;
  if (wanted.empty()) return found;
  const std::string self = std::to_string(::getpid());
  size_t looked = 0;
  std::error_code error;
  std::filesystem::directory_iterator process("/proc", error);
  for (; !error && process != std::filesystem::directory_iterator(); process.increment(error)) {
    const std::string id = process->path().filename().string();
    const bool numbered = id.find_first_not_of("0123456789") == std::string::npos;
    if (!numbered || id == self || found.size() == kMostOpeners) continue;
    if (has_open(process->path(), wanted, &looked)) {
      found.push_back(name_of_process(process->path()));
    }
  }
  return found;
}

}  // namespace potluck
