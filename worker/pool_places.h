// The places of a pool, in the order in which a worker tries them. Pure functions; any thread.
#pragma once

#include <string>
#include <vector>

#include "worker/worker_core.h"

namespace potluck {

// What to keep of the answer to a worker that asked at `asked_at`: first what the coordinator says
// of that very address, which may lie outside a NAT; then the network by which the coordinator saw
// the worker come, and the host that was asked; then its other places. At most limits::kPoolPlaces,
// no two alike.
std::vector<PoolPlace> places_in_order(const JoinAccept& accept, const std::string& asked_at);

// The places that a pool is tried at: those it has, or the one that its endpoints name.
std::vector<PoolPlace> places_of(const PoolAddress& pool);

// Makes this place the first of the pool's, and its endpoints those of the pool.
void put_first(size_t place, PoolAddress* pool);

}  // namespace potluck
