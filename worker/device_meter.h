// DeviceMeter: how fast this device is, for placement: what a worker measures of itself. The seam
// between OwnSpeed, which decides when, and the disk and kernels. Calls take time: up to about
// 150 ms for the disk, some milliseconds for a format. One thread.
#pragma once

#include "engine/base/block_reader.h"
#include "engine/experts/grain_store.h"
#include "engine/experts/product_speed.h"

namespace potluck {

class DeviceMeter {
 public:
  virtual ~DeviceMeter() = default;

  // Of reading grains, as many at a time as suits the disk; 0 while the store holds too little to
  // measure on, or cannot be read.
  virtual uint64_t disk_bytes_per_second() = 0;
  virtual ProductSpeed product(TensorType format) = 0;
  virtual uint32_t threads() const = 0;
};

// Measures the store and the kernels that the worker works with. A simulated disk or processor is
// measured as what it stands for.
class OwnDeviceMeter final : public DeviceMeter {
 public:
  // References must outlive the object. `slowdown`: of a simulated processor, else 1.
  OwnDeviceMeter(GrainStore& store, const ReaderSettings& reader, const KernelTable& kernels,
                 ThreadPool& threads, const Clock& clock, double slowdown)
      : store_(store),
        reader_(reader),
        kernels_(kernels),
        threads_(threads),
        clock_(clock),
        slowdown_(slowdown) {}

  uint64_t disk_bytes_per_second() override;
  ProductSpeed product(TensorType format) override;
  uint32_t threads() const override { return static_cast<uint32_t>(threads_.threads()); }

 private:
  GrainStore& store_;
  ReaderSettings reader_;
  const KernelTable& kernels_;
  ThreadPool& threads_;
  const Clock& clock_;
  double slowdown_;
};

}  // namespace potluck
