#include "worker/known_pools.h"

#include <algorithm>

#include <fmt/format.h>

#include "protocol/join_limits.h"
#include "protocol/peer_text.h"
#include "worker/pool_places.h"

namespace potluck {
namespace {

constexpr std::string_view kFirstLine = "potluck-pool 2";
constexpr std::string_view kEarlierFirstLine = "potluck-pool 1";
constexpr std::string_view kNone = "-";
constexpr uint64_t kFileBytes = 16 * kKiB;  // as many of the longest endpoints as there may be

std::string hex(const std::array<uint8_t, 32>& bytes) {
  return Digest{bytes}.hex();
}

std::string to_text(const PoolAddress& address) {
  std::string text = fmt::format("{}\nsigning-key {}\n", kFirstLine, hex(address.signing_key));
  for (const PoolPlace& place : places_of(address)) {
    text += fmt::format("place {} {} {}\n", place.join.empty() ? kNone : place.join, place.compute,
                        place.bulk);
  }
  return text;
}

// Takes the next line, which must begin with `prefix`, and returns the rest of it.
Result<std::string> take_line(std::string_view* text, std::string_view prefix) {
  size_t end = text->find('\n');
  std::string_view line = text->substr(0, end);
  if (end == std::string_view::npos || !line.starts_with(prefix)) {
    return Error{ErrorCode::kCorrupt, fmt::format("expected a line \"{}...\"", prefix)};
  }
  text->remove_prefix(end + 1);
  return std::string(line.substr(prefix.size()));
}

Result<std::string> take_endpoint(std::string_view* text, std::string_view prefix) {
  Result<std::string> endpoint = take_line(text, prefix);
  if (!endpoint) return endpoint;
  if (Status valid = check_endpoint(*endpoint); !valid) return valid.error();
  return endpoint;
}

Result<PoolPlace> take_place(std::string_view* text) {
  Result<std::string> line = take_line(text, "place ");
  if (!line) return line.error();
  PoolPlace place;
  std::string_view rest = *line;
  for (std::string* endpoint : {&place.join, &place.compute, &place.bulk}) {
    size_t end = std::min(rest.find(' '), rest.size());
    *endpoint = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (endpoint == &place.join && *endpoint == kNone) {
      endpoint->clear();
    } else if (Status valid = check_endpoint(*endpoint); !valid) {
      return valid.error();
    }
  }
  if (!rest.empty()) return Error{ErrorCode::kCorrupt, "expected three endpoints and no more"};
  return place;
}

Result<SigningPublicKey> take_signing_key(std::string_view* text) {
  Result<std::string> key = take_line(text, "signing-key ");
  if (!key) return key.error();
  Result<Digest> signing_key = parse_digest(*key);
  if (!signing_key) return signing_key.error();
  return signing_key->bytes;
}

Status take_places(std::string_view text, PoolAddress* address) {
  do {
    Result<PoolPlace> place = take_place(&text);
    if (!place) return place.error();
    address->places.push_back(std::move(*place));
    if (address->places.size() > limits::kPoolPlaces) {
      return Error{ErrorCode::kCorrupt,
                   fmt::format("expected at most {} places", limits::kPoolPlaces)};
    }
  } while (!text.empty());
  put_first(0, address);
  return {};
}

Status take_earlier_place(std::string_view text, PoolAddress* address) {
  Result<std::string> compute = take_endpoint(&text, "compute ");
  if (!compute) return compute.error();
  address->compute_endpoint = std::move(*compute);
  Result<std::string> bulk = take_endpoint(&text, "bulk ");
  if (!bulk) return bulk.error();
  address->bulk_endpoint = std::move(*bulk);
  std::string join;
  if (!text.empty()) {
    Result<std::string> endpoint = take_endpoint(&text, "join ");
    if (!endpoint) return endpoint.error();
    join = std::move(*endpoint);
  }
  if (!text.empty()) return Error{ErrorCode::kCorrupt, "expected four or five lines and no more"};
  address->places = {{std::move(join), address->compute_endpoint, address->bulk_endpoint}};
  return {};
}

Result<PoolAddress> from_text(const PeerKey& coordinator, std::string_view text) {
  PoolAddress address;
  address.coordinator = coordinator;
  const bool earlier = text.starts_with(kEarlierFirstLine);
  Result<std::string> first = take_line(&text, earlier ? kEarlierFirstLine : kFirstLine);
  if (!first) return first.error();
  // A first line that goes on, such as "potluck-pool 12", is another version's.
  if (!first->empty()) return Error{ErrorCode::kCorrupt, "it is of a later version"};
  Result<SigningPublicKey> key = take_signing_key(&text);
  if (!key) return key.error();
  address.signing_key = *key;
  Status places = earlier ? take_earlier_place(text, &address) : take_places(text, &address);
  if (!places) return places.error();
  return address;
}

}  // namespace

// From the key alone, in hexadecimal: nothing that a peer says becomes a path.
std::string KnownPools::path_of(const PeerKey& coordinator) const {
  return directory_ + "/" + hex(coordinator.bytes);
}

Result<PoolAddress> KnownPools::load(const PeerKey& coordinator) const {
  std::string path = path_of(coordinator);
  if (!storage_.exists(path)) return Error{ErrorCode::kNotFound, path + ": not there"};
  Result<ByteVector> bytes = read_file(storage_, path, kFileBytes);
  if (!bytes) return bytes.error();
  Result<PoolAddress> address = from_text(coordinator, as_text(*bytes));
  if (!address) return address.error().in(path);
  return address;
}

// Whose files there are. Whatever else lies there is a leftover, or nothing of ours.
Result<std::vector<PeerKey>> KnownPools::coordinators() const {
  Result<std::vector<std::string>> names = storage_.list(directory_);
  if (!names) return names.error();
  std::vector<PeerKey> keys;
  for (const std::string& name : *names) {
    Result<Digest> key = parse_digest(name);
    if (key && key->hex() == name) keys.push_back(PeerKey{key->bytes});
  }
  return keys;
}

std::vector<PoolAddress> KnownPools::load_all(std::vector<std::string>* problems) const {
  std::vector<PoolAddress> pools;
  if (!storage_.exists(directory_)) return pools;
  Result<std::vector<PeerKey>> known = coordinators();
  if (!known) {
    problems->push_back(known.error().message);
    return pools;
  }
  for (const PeerKey& coordinator : *known) {
    Result<PoolAddress> address = load(coordinator);
    if (address) {
      pools.push_back(std::move(*address));
    } else {
      problems->push_back(address.error().message);
    }
  }
  return pools;
}

Status KnownPools::save(const PoolAddress& address) {
  Result<PoolAddress> known = load(address.coordinator);
  if (known && to_text(*known) == to_text(address)) return {};
  if (Status made = storage_.make_directories(directory_); !made) return made;
  if (Status room = make_room(address.coordinator); !room) return room;
  return storage_.write_atomic(path_of(address.coordinator), as_bytes(to_text(address)));
}

Status KnownPools::make_room(const PeerKey& coordinator) {
  Result<std::vector<PeerKey>> known = coordinators();
  if (!known) return known.error();
  // A pool that is known already takes the place it has.
  std::erase(*known, coordinator);
  std::sort(known->begin(), known->end());
  for (size_t i = 0; i + kMost <= known->size(); ++i) {
    if (Status removed = storage_.remove(path_of((*known)[i])); !removed) return removed;
  }
  return {};
}

}  // namespace potluck
