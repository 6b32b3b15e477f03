// DashboardRoutes: the pages, and the routes below /api/pool, which are theirs: what the pool is
// like, as a snapshot and as a stream, and what its owner may change. Without a key they are
// answered only on loopback, and only to the dashboard's own pages.
// Called by the HTTP server's thread, except where it says otherwise.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "coordinator/serving/completion.h"
#include "coordinator/serving/http/api_reply.h"
#include "coordinator/serving/http/key_check.h"
#include "coordinator/serving/http/pool_board.h"
#include "coordinator/serving/http/service_metrics.h"
#include "coordinator/serving/http/side_thread.h"
#include "coordinator/serving/http/web_pages.h"
#include "engine/base/thread_annotations.h"

namespace potluck {

// Answers a question about the pool: JSON on one line each way, as other commands of this machine
// ask it. An answer with "error" is one. May take the time that a disk takes.
using PoolControl = std::function<std::string(const std::string& question)>;

// A path and a method that are answered.
struct RouteName {
  std::string path;
  std::string_view method;
};

class DashboardRoutes {
 public:
  // Of what /api/pool and /api/pool/events say. Grows when a member goes or means something else;
  // members may be added without it.
  static constexpr int kStateVersion = 1;

  // All must outlive the routes. `side` runs what may take time. No files: there is no dashboard,
  // and nothing at its routes.
  DashboardRoutes(std::span<const WebFile> files, CompletionService* service,
                  const ServiceMetrics* metrics, KeyCheck* keys, SideThread* side)
      : pages_(files),
        enabled_(!files.empty()),
        service_(*service),
        metrics_(*metrics),
        keys_(*keys),
        side_(*side) {}

  bool enabled() const { return enabled_; }
  // Whether a request that was let in, with a key if there are any, may see devices one by one.
  bool shown_to(const HttpHeaders& request);
  bool has(std::string_view path) const;
  // All of them but the pages.
  static std::vector<RouteName> list();
  // Of a path that it has.
  void handle(const HttpRequest& request, const std::string& path, const ApiReply& reply);

  // Any thread: only this machine reaches the port, so no key is needed where there are none.
  void open_to_this_machine() { open_ = true; }
  // Any thread, once: from now on the pool can be asked. It must outlive the routes.
  void open_pool(PoolControl control);
  // Any thread: what is told of the service, as the text of a JSON object.
  std::string service() const;
  // Any thread; about once a second.
  void publish(PoolReport report);
  // Any thread: a page is open that is sent every report.
  bool watched() const { return board_->watchers() > 0; }
  // Any thread: ends what has no end by itself.
  void close() { board_->close(); }

 private:
  // Whether the request may be answered; if not, it has been.
  bool admit(const HttpRequest& request, const ApiReply& reply);
  void watch(const ApiReply& reply);
  void ask(const HttpRequest& request, const std::string& verb, const ApiReply& reply);
  std::string state() const;

  const WebPages pages_;
  const bool enabled_;
  CompletionService& service_;
  const ServiceMetrics& metrics_;
  KeyCheck& keys_;
  SideThread& side_;
  std::atomic<bool> open_{false};
  mutable Mutex mutex_;
  std::shared_ptr<const PoolControl> control_ GUARDED_BY(mutex_);  // null: no pool yet
  const std::shared_ptr<PoolBoard> board_ = std::make_shared<PoolBoard>();
};

}  // namespace potluck
