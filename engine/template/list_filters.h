// Filters that work on the elements of a list, a mapping or a text. Entered through the table in
// filters.cpp; arguments come bound to parameters, but for the last five. One thread per heap.
#pragma once

#include "engine/template/arguments.h"

namespace potluck {

Result<Value> filter_list(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_first(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_last(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_join(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_items(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_dictsort(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_sort(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_unique(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_sum(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_min(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_max(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_map(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_select(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_reject(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_selectattr(const CallContext&, const Value&, const Arguments&);
Result<Value> filter_rejectattr(const CallContext&, const Value&, const Arguments&);

}  // namespace potluck
