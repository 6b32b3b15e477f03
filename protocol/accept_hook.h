// A hook between accept() and libzmq. libzmq accepts every connection and offers no such hook, so
// this program brings its own accept4(), which libzmq's calls reach as the linker resolves them: it
// accepts, and asks the gate of that listening socket. Sockets without a gate are not affected.
// Any thread.
#pragma once

#include <memory>

#include "protocol/connection_gate.h"

namespace potluck {

// While it lives, connections that arrive at `listener` are judged by `gate`. Destroy it before the
// descriptor is closed.
class GuardedListener {
 public:
  GuardedListener(int listener, std::shared_ptr<ConnectionGate> gate);
  ~GuardedListener();
  GuardedListener(const GuardedListener&) = delete;
  GuardedListener& operator=(const GuardedListener&) = delete;

 private:
  int listener_;
};

}  // namespace potluck
