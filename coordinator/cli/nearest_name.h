// Which known name a mistyped one probably stands for. Pure function; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace potluck {

// The known name that is fewest edits away, if it is near enough to be meant; else "". Case and the
// difference between '_' and '-' do not count.
std::string nearest_name(std::string_view name, const std::vector<std::string>& known);

// ", did you mean 'threads'?", or "".
std::string suggestion(std::string_view name, const std::vector<std::string>& known);

}  // namespace potluck
