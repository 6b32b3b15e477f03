// How fast one thread of this device lays out experts: a measurement of some milliseconds on memory
// that is made for the purpose. In bytes per second, as the model file has them; 0 where the clock
// has not moved. One thread.
#pragma once

#include "engine/base/clock.h"
#include "engine/experts/grain_cutter.h"

namespace potluck {

double measure_lay_out_speed(const ShapeTables& tables, const Clock& clock);
// Over all layers of a model.
double measure_lay_out_speed(const GrainCutter& cutter, const Clock& clock);

}  // namespace potluck
