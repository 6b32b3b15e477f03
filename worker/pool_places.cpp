#include "worker/pool_places.h"

#include <algorithm>

#include "protocol/join_limits.h"

namespace potluck {
namespace {

// The host of one endpoint and the port of another one.
std::string with_port_of(const std::string& host, const std::string& port) {
  return host.substr(0, host.rfind(':')) + port.substr(port.rfind(':'));
}

}  // namespace

std::vector<PoolPlace> places_in_order(const JoinAccept& accept, const std::string& asked_at) {
  std::vector<PoolPlace> wanted;
  for (const PoolPlace& place : accept.places) {
    if (place.join == asked_at) wanted.push_back(place);
  }
  // A link-local address names an interface of the device that wrote it.
  const bool local = accept.compute_endpoint.find('%') != std::string::npos;
  if (!local) wanted.push_back({asked_at, accept.compute_endpoint, accept.bulk_endpoint});
  // The host that has answered, with the ports that it says.
  wanted.push_back({asked_at, with_port_of(asked_at, accept.compute_endpoint),
                    with_port_of(asked_at, accept.bulk_endpoint)});
  wanted.insert(wanted.end(), accept.places.begin(), accept.places.end());
  std::vector<PoolPlace> places;
  for (PoolPlace& place : wanted) {
    bool known = std::any_of(places.begin(), places.end(), [&](const PoolPlace& other) {
      return other.compute == place.compute && other.bulk == place.bulk;
    });
    if (!known && places.size() < limits::kPoolPlaces) places.push_back(std::move(place));
  }
  return places;
}

std::vector<PoolPlace> places_of(const PoolAddress& pool) {
  if (!pool.places.empty()) return pool.places;
  return {{"", pool.compute_endpoint, pool.bulk_endpoint}};
}

void put_first(size_t place, PoolAddress* pool) {
  auto first = pool->places.begin();
  std::rotate(first, first + static_cast<std::ptrdiff_t>(place),
              first + static_cast<std::ptrdiff_t>(place) + 1);
  pool->compute_endpoint = pool->places.front().compute;
  pool->bulk_endpoint = pool->places.front().bulk;
}

}  // namespace potluck
