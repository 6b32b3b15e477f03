#include "engine/base/lock_holder.h"

#include <array>
#include <charconv>
#include <ctime>
#include <string_view>

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace potluck {
namespace {

std::string describe_time(time_t seconds) {
  std::tm parts{};
  std::array<char, 32> text{};
  if (gmtime_r(&seconds, &parts) == nullptr) return {};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts)};
}

}  // namespace

void write_lock_holder(int descriptor) {
  std::string text = fmt::format("{}\n", getpid());
  // An earlier holder may have had a longer number, whose last digits would stay.
  if (ftruncate(descriptor, 0) != 0) return;
  [[maybe_unused]] ssize_t written = pwrite(descriptor, text.data(), text.size(), 0);
}

std::string describe_lock_holder(int descriptor) {
  constexpr const char* kAdvice = "; end that process or use another directory";
  std::array<char, 32> text{};
  int64_t process = 0;
  ssize_t size = pread(descriptor, text.data(), text.size(), 0);
  if (size > 0) std::from_chars(text.data(), text.data() + size, process);
  std::string who = process > 0 ? fmt::format("process {}", process) : "another process";
  // The holder writes its number when it takes the lock, so the time of that write says since when.
  struct stat status = {};
  std::string since;
  if (process > 0 && fstat(descriptor, &status) == 0) since = describe_time(status.st_mtim.tv_sec);
  return fmt::format("{} holds it{}{}{}", who, since.empty() ? "" : " since ", since, kAdvice);
}

}  // namespace potluck
