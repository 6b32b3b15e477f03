#include "coordinator/dispatch/ticket_book.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace potluck {
namespace {

bool has_local(const std::pair<const uint64_t, Ticket>& entry) {
  return !entry.second.local.empty();
}

}  // namespace

uint64_t TicketBook::open(const ExpertBatch& batch, ExpertSums* out, RowCalls memory) {
  Ticket ticket;
  ticket.batch = &batch;
  ticket.out = out;
  ticket.local = LocalCalls(std::move(memory));
  tickets_.emplace(next_, std::move(ticket));
  return next_++;
}

Ticket TicketBook::close(uint64_t ticket) {
  auto entry = tickets_.extract(ticket);
  CHECK(!entry.empty());
  return std::move(entry.mapped());
}

bool TicketBook::has_local_work() const {
  return std::any_of(tickets_.begin(), tickets_.end(), has_local);
}

std::vector<uint64_t> TicketBook::with_stranded() const {
  std::vector<uint64_t> numbers;
  for (const auto& [number, ticket] : tickets_) {
    if (!ticket.stranded.empty()) numbers.push_back(number);
  }
  return numbers;
}

uint64_t TicketBook::stranded_calls() const {
  uint64_t calls = 0;
  for (const auto& [number, ticket] : tickets_) calls += ticket.stranded.size();
  return calls;
}

std::pair<const uint64_t, Ticket>* TicketBook::first_with_local_work() {
  auto found = std::find_if(tickets_.begin(), tickets_.end(), has_local);
  return found == tickets_.end() ? nullptr : &*found;
}

}  // namespace potluck
