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

// The rate of a disk, in bytes per second, from which on experts come faster from a laid-out copy
// than from the model file, where each of so many threads lays out at this speed.
double copy_pays_from(double lay_out_speed, double threads);

}  // namespace potluck
