#include "engine/experts/file_origin.h"

#include <algorithm>

namespace potluck {

bool FileOrigin::contains(GrainId id) const {
  const ExpertBank* bank = cutter_.bank(id.layer);
  return bank != nullptr && id.expert < bank->experts && id.grain < cutter_.plan(id.layer).grains;
}

EntryPart FileOrigin::part_of(GrainId id) const {
  const std::vector<uint64_t>& offsets = cutter_.tables(id.layer).offsets;
  EntryPart part;
  uint64_t number = uint64_t{id.layer} << 16 | id.expert;
  // Digests are hashed by their first bytes.
  store(part.entry.bytes.data(), mix64(number));
  store(part.entry.bytes.data() + sizeof(number), number);
  part.entry_bytes = offsets.back();
  part.offset = offsets[id.grain];
  part.bytes = offsets[id.grain + size_t{1}] - part.offset;
  return part;
}

uint64_t FileOrigin::entries() const {
  uint64_t experts = 0;
  for (const ExpertBank& bank : cutter_.banks()) experts += bank.experts;
  return experts;
}

uint64_t FileOrigin::largest_entry_bytes() const {
  uint64_t largest = 0;
  for (const ExpertBank& bank : cutter_.banks()) {
    largest = std::max(largest, cutter_.expert_bytes(bank.layer));
  }
  return largest;
}

Result<EntryPlace> FileOrigin::find(GrainId id) {
  LaidOutFile::Place place = file_.place(id.layer, id.expert);
  return EntryPlace{&file_, place.address, place.bytes, place.file_bytes};
}

}  // namespace potluck
