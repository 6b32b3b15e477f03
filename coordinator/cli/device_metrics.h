// What /metrics says of the devices of a pool one by one: as many samples of each metric as there
// are workers, of which a pool has 256 at most. Pure; any thread.
#pragma once

#include "coordinator/dispatch/pool_view.h"
#include "coordinator/serving/http/metric_text.h"

namespace potluck {

// Labels are the device's name and its key: two devices may have one name.
void write_device_metrics(const PoolView& view, MetricText* text);

}  // namespace potluck
