// Who is to answer a request: the model that it names, and whether it may leave this pool. The
// same for every API. Pure.
#pragma once

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/http_message.h"
#include "engine/template/json.h"

namespace potluck {

// `key_stays`: requests with this key stay. A request says so itself with the header
// X-Potluck-Local or the member "potluck_local": anything but what clearly says no keeps it here.
void address(const HttpHeaders& headers, const JsonValue& body, bool key_stays,
             CompletionRequest* request);

}  // namespace potluck
