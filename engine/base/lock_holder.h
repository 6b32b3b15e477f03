// Who holds a lock file: the holder writes itself into it, for the one who finds it locked.
// Internal to the storage of this system. Any thread.
#pragma once

#include <string>

namespace potluck {

// Into a lock file that was just locked. Failing (a full disk) costs only the explanation.
void write_lock_holder(int descriptor);

// "process 1234 holds it since 2026-11-29 02:10:11 UTC; end that process or use another directory".
std::string describe_lock_holder(int descriptor);

}  // namespace potluck
