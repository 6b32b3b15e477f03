// Bounds on grammars, each with its reason: what a request may ask an answer to look like comes
// from a stranger, and is held for as long as the request is.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/bytes.h"

namespace potluck::limits {

// Text of a grammar or a pattern: the largest published grammar (of C) has 4 KiB.
inline constexpr uint64_t kGrammarBytes = 256 * kKiB;
// Groups within groups, in grammars and patterns.
inline constexpr uint32_t kGrammarNesting = 64;
// Of a compiled grammar: about 5 MiB. The schema of a large API takes some thousands.
inline constexpr uint32_t kGrammarNodes = 64 * 1024;
inline constexpr uint32_t kGrammarEdges = 192 * 1024;
// Rules within rules while a text is read. Each level of nested JSON takes one at least, and what
// reads a tool call takes JSON of kJsonDepth levels.
inline constexpr uint32_t kGrammarDepth = 256;
inline constexpr uint32_t kJsonGrammarDepth = 48;
// Rounds of a counted repetition.
inline constexpr uint32_t kGrammarRounds = 1'000'000;
// Ways in which a text can be read so far, at the same time: JSON has less than ten; a grammar with
// as many alternatives as this may drop some of them.
inline constexpr uint32_t kGrammarFrames = 4096;
// What may be done for the set of tokens that one state allows: nodes looked at, what is new
// counting several times, and states met. With the largest vocabularies JSON takes less than a
// million and a hundred; this takes about half a second, in pieces.
inline constexpr uint64_t kMaskWork = 8'000'000;
inline constexpr uint64_t kNewFrameWork = 8;
inline constexpr uint32_t kMaskStates = 16 * 1024;
inline constexpr uint32_t kMaskFrames = 128 * 1024;
// The same for one byte in one state, and for one token: what cannot be left in the middle, about
// 12 ms. A thousand alternatives, each a rule of its own, take less.
inline constexpr uint64_t kByteWork = 192 * 1024;
inline constexpr uint64_t kTokenWork = 192 * 1024;
// Frames of all ways in which a text can be read, those around the innermost rules included.
inline constexpr uint64_t kStateFrames = 256 * 1024;
// Sets of tokens that are kept for one grammar: 200 of the largest vocabularies.
inline constexpr uint64_t kMaskBytes = 8 * kMiB;
// States of an automaton that stands for a pattern, and combinations of the branches of a schema.
inline constexpr uint32_t kPatternStates = 8192;
// Steps to make such automata, of all patterns of a schema: less than a second.
inline constexpr uint64_t kPatternWork = 4'000'000;
inline constexpr uint32_t kSchemaBranches = 512;
// Values in a schema, properties, required names or constants of one, and what may be looked at to
// put schemas together: ten times what the largest published ones take.
inline constexpr size_t kSchemaValues = 64 * 1024;
inline constexpr size_t kSchemaList = 4096;
inline constexpr uint64_t kSchemaWork = 4'000'000;
// Schemas within schemas.
inline constexpr uint32_t kSchemaNesting = 64;

}  // namespace potluck::limits
