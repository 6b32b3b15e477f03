// How the hook gets in: libzmq is a shared library, and the dynamic linker resolves its calls of
// accept4() to the first definition it finds, which is the program's own. The system call is made
// by number, since calling accept4() by name would end up here again.
#include "protocol/accept_hook.h"

#include <algorithm>
#include <cerrno>
#include <map>

#include <sys/syscall.h>
#include <unistd.h>

#include "engine/base/thread_annotations.h"

namespace potluck {
namespace {

// Which gate stands before which listening socket.
class GateTable {
 public:
  void set(int listener, std::shared_ptr<ConnectionGate> gate) {
    MutexLock lock(mutex_);
    gates_[listener] = std::move(gate);
  }
  void remove(int listener) {
    MutexLock lock(mutex_);
    gates_.erase(listener);
  }
  std::shared_ptr<ConnectionGate> find(int listener) {
    MutexLock lock(mutex_);
    auto found = gates_.find(listener);
    return found == gates_.end() ? nullptr : found->second;
  }

 private:
  Mutex mutex_;
  std::map<int, std::shared_ptr<ConnectionGate>> gates_ GUARDED_BY(mutex_);
};

// One for the process, as descriptors and accept4() are; never destroyed, since libzmq's threads
// may outlive static objects.
GateTable& gate_table() {
  static GateTable& table = *new GateTable;
  return table;
}

// Runs on libzmq's I/O thread. It holds its own reference to the gate, because the transport may
// remove the gate at any time.
int accept_guarded(int listener, sockaddr* address, socklen_t* size, int flags) {
  std::shared_ptr<ConnectionGate> gate = gate_table().find(listener);
  if (gate == nullptr) {
    return static_cast<int>(syscall(SYS_accept4, listener, address, size, flags));
  }
  sockaddr_storage from{};
  socklen_t from_size = sizeof from;
  auto descriptor = static_cast<int>(syscall(SYS_accept4, listener, &from, &from_size, flags));
  if (descriptor < 0) return descriptor;
  if (!gate->admit(descriptor, from, SystemClock().now())) {
    close(descriptor);
    // libzmq goes on listening after this error. After one that it does not expect of accept(), it
    // aborts the process.
    errno = ECONNABORTED;
    return -1;
  }
  if (address != nullptr && size != nullptr) {
    std::copy_n(reinterpret_cast<const char*>(&from), std::min(*size, from_size),
                reinterpret_cast<char*>(address));
    *size = from_size;
  }
  return descriptor;
}

}  // namespace

GuardedListener::GuardedListener(int listener, std::shared_ptr<ConnectionGate> gate)
    : listener_(listener) {
  gate_table().set(listener, std::move(gate));
}

GuardedListener::~GuardedListener() {
  gate_table().remove(listener_);
}

}  // namespace potluck

// These take the place of the C library's for all shared libraries of the process.
extern "C" int accept4(int listener, sockaddr* address, socklen_t* size, int flags) {
  return potluck::accept_guarded(listener, address, size, flags);
}

// For a libzmq that was built without accept4().
extern "C" int accept(int listener, sockaddr* address, socklen_t* size) {
  return potluck::accept_guarded(listener, address, size, 0);
}
