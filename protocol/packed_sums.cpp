// 2048 values are packed or added in a few microseconds: the width of a group comes from an OR over
// its values, writing goes through a 64-bit buffer, reading is one unaligned load per value.
#include "protocol/packed_sums.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include <fmt/format.h>

namespace potluck {
namespace {

constexpr uint32_t kMaxWidth = 64;
// Bytes of the longest group, with its width byte.
constexpr size_t kMaxGroupBytes = 1 + kSumGroup * kMaxWidth / 8;
// The output grows by so many groups at a time.
constexpr size_t kGroupsPerStep = 64;
// A value of up to this width lies within the 8 bytes from the one where it begins.
constexpr uint32_t kOneLoadWidth = 57;

size_t payload_bytes(size_t values, uint32_t width) {
  return (values * width + 7) / 8;
}

// The smallest width whose two's complement holds all values; 0 if all are zero.
// value ^ (value >> 63) is the value, or its complement if it is negative: what two's complement
// needs besides the sign bit. An OR has the width of the widest, without a comparison per value.
uint32_t width_of(std::span<const int64_t> group) {
  uint64_t magnitudes = 0;
  uint64_t any = 0;
  for (int64_t value : group) {
    magnitudes |= static_cast<uint64_t>(value ^ (value >> 63));
    any |= static_cast<uint64_t>(value);
  }
  return any == 0 ? 0 : static_cast<uint32_t>(std::bit_width(magnitudes)) + 1;
}

// Writes the width and the values; returns the position behind them. Up to 8 bytes beyond it may
// be overwritten.
std::byte* pack_group(std::span<const int64_t> group, std::byte* out) {
  uint32_t width = width_of(group);
  *out++ = static_cast<std::byte>(width);
  if (width == 0) return out;
  uint64_t mask = ~uint64_t{0} >> (kMaxWidth - width);
  uint64_t buffer = 0;
  uint32_t filled = 0;  // bits in the buffer, below 64
  for (int64_t value : group) {
    uint64_t bits = static_cast<uint64_t>(value) & mask;
    buffer |= bits << filled;
    filled += width;
    if (filled >= 64) {
      store(out, buffer);
      out += 8;
      filled -= 64;
      // The bits that did not fit; two shifts, because one by 64 is not defined.
      buffer = bits >> 1 >> (width - filled - 1);
    }
  }
  store(out, buffer);
  return out + (filled + 7) / 8;
}

int64_t sign_extended(uint64_t bits, uint32_t width) {
  uint32_t unused = kMaxWidth - width;
  return static_cast<int64_t>(bits << unused) >> unused;
}

int64_t wide_value(const std::byte* payload, size_t bit, uint32_t width) {
  uint32_t shift = bit % 8;
  uint64_t bits = load<uint64_t>(payload + bit / 8) >> shift;
  // Two shifts again: with shift 0 nothing is taken from the ninth byte.
  bits |= std::to_integer<uint64_t>(payload[bit / 8 + 8]) << 1 << (63 - shift);
  return sign_extended(bits, width);
}

// Calls use(i, value) for each value of a group. 8 bytes behind the payload must be readable.
template <class Use>
void for_each_value(const std::byte* payload, uint32_t width, size_t count, const Use& use) {
  if (width == 0) return;
  if (width > kOneLoadWidth) {
    for (size_t i = 0; i < count; ++i) use(i, wide_value(payload, i * width, width));
    return;
  }
  size_t bit = 0;
  for (size_t i = 0; i < count; ++i, bit += width) {
    use(i, sign_extended(load<uint64_t>(payload + bit / 8) >> (bit % 8), width));
  }
}

// One group of a frame whose lengths were checked.
struct Group {
  const std::byte* payload;  // 8 bytes behind its end are readable
  uint32_t width;
  size_t count;
};

// Walks the groups of a frame. Near the end of the frame, payloads are copied to where the bytes
// behind them may be read.
class GroupWalk {
 public:
  GroupWalk(ByteSpan packed, size_t values) : rest_(packed), values_(values) {}

  bool done() const { return values_ == 0; }
  bool at_end() const { return rest_.empty(); }

  // False if the frame ends too early or the width is too large.
  bool next(Group* group) {
    if (rest_.empty()) return false;
    auto width = std::to_integer<uint32_t>(rest_[0]);
    size_t count = std::min<size_t>(values_, kSumGroup);
    size_t bytes = payload_bytes(count, width);
    if (width > kMaxWidth || rest_.size() - 1 < bytes) return false;
    *group = {readable(rest_.subspan(1, bytes), rest_.size() - 1), width, count};
    rest_ = rest_.subspan(1 + bytes);
    values_ -= count;
    return true;
  }

 private:
  const std::byte* readable(ByteSpan payload, size_t available) {
    if (available >= payload.size() + 9) return payload.data();
    std::copy(payload.begin(), payload.end(), tail_.begin());
    return tail_.data();
  }

  ByteSpan rest_;
  size_t values_;
  std::array<std::byte, kMaxGroupBytes + 9> tail_{};
};

// Whether the last byte's unused bits are zero, so that one sum has one packed form.
bool padding_is_zero(const Group& group) {
  size_t bits = group.count * group.width;
  if (bits % 8 == 0) return true;
  return (std::to_integer<uint32_t>(group.payload[bits / 8]) >> (bits % 8)) == 0;
}

bool within_limit(const Group& group, int64_t limit) {
  // As a rule it ends here: a width that cannot hold more than the limit needs no look at the
  // values.
  if (group.width <= static_cast<uint32_t>(std::bit_width(static_cast<uint64_t>(limit)))) {
    return true;
  }
  bool within = true;
  for_each_value(group.payload, group.width, group.count,
                 [&](size_t, int64_t value) { within &= value <= limit && value >= -limit; });
  return within;
}

Error bad_frame(const char* what) {
  return {ErrorCode::kCorrupt, fmt::format("packed sums: {}", what)};
}

Status validate(ByteSpan packed, int64_t limit, size_t values) {
  GroupWalk walk(packed, values);
  Group group{};
  while (!walk.done()) {
    if (!walk.next(&group)) return bad_frame("the frame is too short or a bit width is above 64");
    if (!padding_is_zero(group)) return bad_frame("bits behind the last value are not zero");
    if (!within_limit(group, limit)) {
      return bad_frame("a value is larger than honest addends can sum to");
    }
  }
  if (!walk.at_end()) return bad_frame("there are bytes behind the last value");
  return {};
}

}  // namespace

void pack_sums(std::span<const int64_t> sums, ByteVector* out) {
  while (!sums.empty()) {
    auto step = sums.first(std::min(sums.size(), kGroupsPerStep * kSumGroup));
    sums = sums.subspan(step.size());
    size_t begin = out->size();
    // Room for the longest groups in steps: for all of a large message at once it would be three
    // times what is used (some 22 of 64 bits).
    out->resize(begin + kGroupsPerStep * kMaxGroupBytes + 8);
    std::byte* position = out->data() + begin;
    while (!step.empty()) {
      auto group = step.first(std::min<size_t>(step.size(), kSumGroup));
      position = pack_group(group, position);
      step = step.subspan(group.size());
    }
    out->resize(static_cast<size_t>(position - out->data()));
  }
}

Status add_packed_sums(ByteSpan packed, int64_t limit, std::span<int64_t> sums) {
  // Checked as a whole before the first addition: what is wrong at the end of a frame must not
  // leave half of it in the sums.
  Status valid = validate(packed, limit, sums.size());
  if (!valid) return valid;
  GroupWalk walk(packed, sums.size());
  Group group{};
  for (size_t done = 0; walk.next(&group); done += group.count) {
    int64_t* into = sums.data() + done;
    for_each_value(group.payload, group.width, group.count, [into](size_t i, int64_t value) {
      // Wraps instead of overflowing: with honest limits it never comes to that.
      into[i] = static_cast<int64_t>(static_cast<uint64_t>(into[i]) + static_cast<uint64_t>(value));
    });
  }
  return {};
}

}  // namespace potluck
