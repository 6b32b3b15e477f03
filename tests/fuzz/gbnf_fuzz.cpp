// Arbitrary bytes as a GBNF grammar: an error that says why, or a grammar whose every state can go
// on or end. The bytes behind the first zero are read with it.
#include <cstdint>
#include <string_view>

#include "engine/base/check.h"
#include "engine/grammar/gbnf.h"
#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/grammar_walk.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace potluck;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const size_t end = std::min(text.find('\0'), text.size());
  GrammarBuilder builder;
  auto root = draw_gbnf(text.substr(0, end), &builder);
  if (!root) {
    CHECK(!root.error().message.empty());
    return 0;
  }
  auto grammar = builder.finish({*root}, limits::kGrammarDepth);
  if (!grammar) {
    CHECK(!grammar.error().message.empty());
    return 0;
  }
  GrammarWalk walk(*grammar);
  GrammarWalk::State state = walk.at({grammar->entries[0], 0});
  text.remove_prefix(end);
  for (const char byte : text) {
    if (state == GrammarWalk::kDead) break;
    CHECK(walk.may_end(state) || walk.has_frames(state));
    const GrammarState copy = walk.copy(state);
    CHECK(walk.import(copy) == state || walk.is_exhausted());
    state = walk.step(state, static_cast<uint8_t>(byte));
  }
  return 0;
}
