// Alternatives of JSON schemas: a set with one of them, and whether a value can fulfill two. Pure.
#pragma once

#include "engine/grammar/schema_facts.h"

namespace potluck {

SchemaSet with_branch(const SchemaSet& set, const SchemaFacts::Branches& group,
                      const SchemaRef& branch);

// oneOf: an error names the first two alternatives that a value might fulfill at the same time, as
// far as types, constants and those of required properties tell.
Status check_exclusive(SchemaReader& reader, const SchemaSet& set,
                       const SchemaFacts::Branches& group);

}  // namespace potluck
