// Pages of the system's memory: of 4 KiB on most machines, of 16 or 64 KiB on some with 64-bit ARM.
// What gives pages back or asks for them takes whole ones: the system refuses an address between
// two, and rounds a length up, over what belongs to others. Pure functions; any thread.
#pragma once

#include <cstdint>

#include "engine/base/bytes.h"

namespace potluck {

// Of this system; a power of two.
uint64_t page_bytes();

// What of `memory` is whole pages of `page` bytes; may be empty.
MutableByteSpan whole_pages(MutableByteSpan memory, uint64_t page = page_bytes());

// The whole pages in `memory`, private and anonymous, are the system's again: they take none, and
// read as zeros. A hint, which some systems may refuse.
void give_back_pages(MutableByteSpan memory);

}  // namespace potluck
