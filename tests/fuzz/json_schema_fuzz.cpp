// Arbitrary JSON as a schema: an error that says why, or a grammar of which some text can be
// written: at each step the first byte that is allowed.
#include <cstdint>
#include <string_view>

#include "engine/base/check.h"
#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/grammar_walk.h"
#include "engine/grammar/json_schema.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace potluck;
  auto schema = parse_json({reinterpret_cast<const char*>(data), size});
  if (!schema) return 0;
  GrammarBuilder builder;
  JsonRules rules;
  auto root = draw_json_schema(*schema, {"</x>", false}, &rules, &builder);
  if (!root) {
    CHECK(!root.error().message.empty());
    return 0;
  }
  auto grammar = builder.finish({*root}, limits::kJsonGrammarDepth);
  if (!grammar) {
    CHECK(!grammar.error().message.empty());
    return 0;
  }
  GrammarWalk walk(*grammar);
  GrammarWalk::State state = walk.at({grammar->entries[0], 0});
  for (size_t i = 0; i < 200 && walk.has_frames(state) && !walk.is_exhausted(); ++i) {
    GrammarWalk::State next = GrammarWalk::kDead;
    for (int byte = 0; byte < 256 && next == GrammarWalk::kDead; ++byte) {
      next = walk.step(state, static_cast<uint8_t>((static_cast<size_t>(byte) + i * 7) % 256));
    }
    CHECK(next != GrammarWalk::kDead || walk.is_exhausted());
    state = next;
  }
  return 0;
}
