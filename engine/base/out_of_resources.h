// What happens when the system gives no more memory and no more threads: an error or an exception
// that says for what, never an abort. The exceptions exist because operator new has no other way to
// fail; guard_memory() is where they become a Status again. Any thread.
#pragma once

#include <cstddef>
#include <functional>
#include <new>
#include <string>
#include <string_view>
#include <thread>

#include "engine/base/result.h"

namespace potluck {

// Thrown by Buffer: names the size and what it was for.
class OutOfMemory final : public std::bad_alloc {
 public:
  OutOfMemory(size_t bytes, std::string_view purpose) noexcept;
  const char* what() const noexcept override { return text_; }

 private:
  char text_[240];  // there may be no memory for a string
};

// For those who take memory from the system themselves.
[[noreturn]] void throw_out_of_memory(size_t bytes, std::string_view purpose);

// Runs `body` and returns what it returns; kLimit with `what` in front when memory did not suffice.
// What the body had begun is then as its destructors leave it.
Status guard_memory(const std::string& what, const std::function<Status()>& body);

// A running thread, or kLimit when the system refuses it: a limit on processes (ulimit -u,
// pids.max) or no memory for a stack.
Result<std::thread> start_thread(std::function<void()> body);

// Whether `count` further threads can be had at the same time: for libraries that abort where they
// cannot start theirs. kLimit as above, with `what` in front.
Status check_threads(const std::string& what, int count);

// Call first thing in main(). From now on an exception for lack of memory or threads that nothing
// caught ends the process with a message and exit code 1 instead of an abort; a file beyond the
// limit on file sizes is a failed write instead of a signal; and where address space is limited,
// the heap does not reserve a large piece of it for every thread.
void prepare_for_scarcity();

}  // namespace potluck
