// The descriptors that every program is given: standard input, output and error. What can be wrong
// with them from outside ends here: they may be closed, full, or a pipe that nothing reads.
#pragma once

#include <array>
#include <csignal>
#include <string_view>

namespace potluck {

// First thing in main(), before anything is opened: a descriptor 0 to 2 that is closed would be
// given to the next file, and messages would be written into it. Reading from standard input then
// finds its end; writing to standard output or error fails, as it would have.
void reserve_standard_descriptors();

// From here on writing to a pipe that nothing reads, or beyond a limit on file sizes, fails instead
// of ending the process. Programs that this one starts inherit it, and most are not made for it:
// they have to get kWriteSignals back as they were.
void let_writes_fail();
inline constexpr std::array kWriteSignals = {SIGPIPE, SIGXFSZ};

// Writes all of `text`, waiting where the descriptor does not take it at once. Returns 0, or the
// errno of what went wrong; a part may then have been written. Any thread.
int write_all(int descriptor, std::string_view text);

}  // namespace potluck
