#include "engine/base/out_of_resources.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/thread_annotations.h"

namespace potluck {
namespace {

constexpr const char* kMemoryAdvice =
    "memory that this process may use (ulimit -v, control groups) does not suffice";

std::string no_thread(const std::system_error& error) {
  return fmt::format(
      "the system starts no further thread ({}): see ulimit -u, ulimit -v and "
      "pids.max of the control group",
      error.code().message());
}

// Nothing here may need memory. _exit() instead of exit(): destructors of statics may allocate, or
// join threads that will never end.
[[noreturn]] void end_process(const char* message) {
  std::fprintf(stderr, "potluck: %s\n", message);
  std::fflush(stdout);
  _exit(1);
}

// Any other exception is a bug in this program, and aborts as before.
[[noreturn]] void on_terminate() {
  try {
    if (std::exception_ptr thrown = std::current_exception()) std::rethrow_exception(thrown);
  } catch (const OutOfMemory& error) {
    end_process(error.what());
  } catch (const std::bad_alloc&) {
    end_process(kMemoryAdvice);
  } catch (const std::system_error& error) {
    if (error.code() == std::errc::resource_unavailable_try_again) {
      end_process("the system starts no further thread: see ulimit -u, ulimit -v and pids.max");
    }
  } catch (...) {  // NOLINT: falls through to the abort
  }
  std::abort();
}

// Keeps its threads alive until all are there: one after the other would only show that one can be
// had.
class ThreadProbe {
 public:
  ~ThreadProbe() {
    {
      MutexLock guard(mutex_);
      done_ = true;
    }
    released_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  Status start(int count) {
    threads_.reserve(static_cast<size_t>(count));
    for (int i = 0; i < count; ++i) {
      Result<std::thread> thread = start_thread([this] {
        MutexLock lock(mutex_);
        while (!done_) released_.wait(lock);
      });
      if (!thread) return thread.error();
      threads_.push_back(std::move(*thread));
    }
    return {};
  }

 private:
  Mutex mutex_;
  Condition released_;
  bool done_ GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace

OutOfMemory::OutOfMemory(size_t bytes, std::string_view purpose) noexcept {
  constexpr double kMebibyte = 1024.0 * 1024.0;
  std::snprintf(text_, sizeof text_, "no memory for %.*s: the system refuses %.1f MiB",
                static_cast<int>(std::min<size_t>(purpose.size(), 160)), purpose.data(),
                static_cast<double>(bytes) / kMebibyte);
}

void throw_out_of_memory(size_t bytes, std::string_view purpose) {
  throw OutOfMemory(bytes, purpose);
}

Status guard_memory(const std::string& what, const std::function<Status()>& body) {
  try {
    return body();
  } catch (const OutOfMemory& error) {
    return Error{ErrorCode::kLimit, what + ": " + error.what()};
  } catch (const std::bad_alloc&) {
    return Error{ErrorCode::kLimit, what + ": " + kMemoryAdvice};
  } catch (const std::length_error&) {  // of a container: beyond what memory can be
    return Error{ErrorCode::kLimit, what + ": " + kMemoryAdvice};
  }
}

Result<std::thread> start_thread(std::function<void()> body) {
  try {
    return std::thread(std::move(body));
  } catch (const std::system_error& error) {
    return Error{ErrorCode::kLimit, no_thread(error)};
  }
}

Status check_threads(const std::string& what, int count) {
  ThreadProbe probe;
  Status started = probe.start(count);
  return started ? started : Status(started.error().in(what));
}

void prepare_for_scarcity() {
  // A handler, since threads of libraries have no frame of ours in which an exception could be
  // caught.
  std::set_terminate(on_terminate);
  // Ignored, the write fails with EFBIG and is reported like a full disk.
  (void)std::signal(SIGXFSZ, SIG_IGN);
  // glibc reserves 64 MiB of address space for every arena and makes up to eight arenas per
  // processor: a limit of a few GiB (ulimit -v) would be used up by memory that is never touched.
  rlimit space = {};
  bool limited = getrlimit(RLIMIT_AS, &space) == 0 && space.rlim_cur != RLIM_INFINITY;
  if (limited) mallopt(M_ARENA_MAX, 1);
}

}  // namespace potluck
