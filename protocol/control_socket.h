// The control socket: how other commands on the same machine talk to a running `serve` or `join`.
// A Unix socket in its state directory, for the same account alone: permissions, and the kernel's
// word on who connects. One line of text is asked, one text is answered.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "engine/base/clock.h"
#include "engine/base/result.h"

namespace potluck {

// The answer to one question; called in the server's thread.
using ControlHandler = std::function<std::string(const std::string& question)>;

// Serves one question after the other in a thread of its own, until it is destroyed. What a client
// can cost is bounded: its question, and the time it takes to ask and to hear.
class ControlServer {
 public:
  static constexpr size_t kQuestionBytes = 4096;

  // The directory exists and is this process's alone at present: a socket that an earlier one left
  // there is replaced.
  static Result<std::unique_ptr<ControlServer>> start(const std::string& directory,
                                                      ControlHandler handler);
  ~ControlServer();  // waits for the question under way
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  ControlServer(std::string directory, int listener, ControlHandler handler);
  void run();
  void serve(int client) const;

  std::string directory_;
  int listener_;
  ControlHandler handler_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// kNotFound when nobody serves there. Waits up to `patience` for the answer.
Result<std::string> ask_control(const std::string& directory, const std::string& question,
                                Duration patience);

}  // namespace potluck
