// ControlSocket: where a link shaper is told of changes while it runs: a UNIX socket of sequenced
// packets, for root. A client connects, sends one command and gets one answer. One thread.
#pragma once

#include <functional>
#include <string>

#include "engine/base/result.h"

namespace potluck::link_shaper {

class ControlSocket {
 public:
  // Makes the socket at this path, which must be free.
  static Result<ControlSocket> open(const std::string& path);
  ControlSocket(ControlSocket&& other) noexcept;
  ~ControlSocket();  // removes the path

  int descriptor() const { return descriptor_; }
  // Answers one client that waits, if there is one. A client that says nothing is given a moment.
  void serve(const std::function<std::string(std::string_view)>& execute) const;

 private:
  ControlSocket(int descriptor, std::string path)
      : descriptor_(descriptor), path_(std::move(path)) {}
  int descriptor_;
  std::string path_;
};

}  // namespace potluck::link_shaper
