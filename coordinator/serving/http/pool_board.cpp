#include "coordinator/serving/http/pool_board.h"

#include <utility>

namespace potluck {

void PoolBoard::publish(PoolReport report) {
  MutexLock lock(mutex_);
  report_ = std::move(report);
}

PoolReport PoolBoard::report() const {
  MutexLock lock(mutex_);
  return report_;
}

bool PoolBoard::watch(const std::shared_ptr<HttpExchange>& exchange) {
  uint64_t number = 0;
  {
    MutexLock lock(mutex_);
    if (closed_ || watchers_.size() >= kMostWatchers) return false;
    number = next_++;
    watchers_.emplace(number, exchange);
  }
  exchange->on_closed([weak = weak_from_this(), number] {
    const auto board = weak.lock();
    if (!board) return;
    MutexLock lock(board->mutex_);
    board->watchers_.erase(number);
  });
  return true;
}

void PoolBoard::send(const std::string& bytes) {
  MutexLock lock(mutex_);
  for (const auto& [number, exchange] : watchers_) exchange->write(bytes);
}

size_t PoolBoard::watchers() const {
  MutexLock lock(mutex_);
  return watchers_.size();
}

void PoolBoard::close() {
  MutexLock lock(mutex_);
  closed_ = true;
  for (const auto& [number, exchange] : watchers_) exchange->end();
  watchers_.clear();
}

}  // namespace potluck
