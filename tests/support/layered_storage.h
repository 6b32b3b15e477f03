// LayeredStorage: what is written stays in memory, and what is not there is read from the real file
// system: for a store of a model that lies on disk. Any thread.
#pragma once

#include <memory>
#include <string>

#include "engine/base/forwarding_storage.h"
#include "engine/base/memory_storage.h"

namespace potluck::test {

class LayeredStorage final : public ForwardingStorage {
 public:
  LayeredStorage() : ForwardingStorage(memory_), system_(make_system_storage()) {}

  Result<std::unique_ptr<ReadableFile>> open(const std::string& path, ReadMode mode) override {
    return memory_.exists(path) ? memory_.open(path, mode) : system_->open(path, mode);
  }
  MemoryStorage& memory() { return memory_; }

 private:
  MemoryStorage memory_;
  std::unique_ptr<Storage> system_;
};

}  // namespace potluck::test
