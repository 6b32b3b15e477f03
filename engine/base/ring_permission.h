// Whether this process may ask for an io_uring at all. Where a filter of system calls is in force,
// asking may end the process (on Android it does), and nothing tells which calls it refuses; so a
// child process asks first. Any thread; takes a millisecond where there is a filter.
#pragma once

namespace potluck {

bool may_ask_for_ring();

}  // namespace potluck
