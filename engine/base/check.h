// CHECK: the one macro of this code base. It states what cannot be false unless we made a mistake,
// stays on in release builds, and ends the process with the place and the condition. Never use it
// on what comes from a file, a peer or a user: that is a Result.
#pragma once

namespace potluck {

[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace potluck

#define CHECK(condition)                                       \
  do {                                                         \
    if (!(condition)) [[unlikely]]                             \
      ::potluck::check_failed(#condition, __FILE__, __LINE__); \
  } while (false)
