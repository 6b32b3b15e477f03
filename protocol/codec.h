// The codec: messages to frames and back. A message is two frames: a small Cap'n Proto header and a
// raw tensor frame (often empty). decode() is the only place where bytes from a peer become values:
// it checks lengths, counts, enums and limits, copies the header into aligned memory, and is the
// only place that catches Cap'n Proto's exceptions. Any thread.
#pragma once

#include "protocol/message.h"

namespace potluck {

struct Frames {
  ByteVector header;
  ByteVector tensor;

  uint64_t bytes() const { return header.size() + tensor.size(); }
};

ByteVector encode_header(const Message& message);

// The tensor frame is not looked at. Errors are kCorrupt or kLimit and say which field.
Result<Message> decode_header(ByteSpan header);

// XXH3 over the work's name, the row flags and the frame: end-to-end, so that what was altered in
// memory on the way is noticed. Not a defense against a lying peer.
uint64_t checksum_of(const WorkId& work, std::span<const uint8_t> row_flags, ByteSpan tensor);

// Copies rows of activations into a tensor frame and back. `rows` are indices into `view`.
ByteVector pack_activations(const ActivationView& view, std::span<const uint32_t> rows);
// Fails unless the frame is exactly as long as `tokens` rows of that form must be, or if a value
// could not have come from a quantizer (a quant of -128).
Status unpack_activations(ByteSpan frame, ActivationForm form, uint32_t tokens, uint32_t columns,
                          ActivationBuffer* out);

}  // namespace potluck
