// The addresses of their own that the Corefile's `health`, `ready` and `prometheus` name.
//
// The application's ports win: an address on a port that a container of the pod declares, or that
// is taken, is left to it with a warning and a count, and the page stays on the status port alone.
// A page whose address stays the same stays as it is while the Corefile changes. Main thread only.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/event_loop.h"
#include "common/http/server.h"
#include "common/metrics.h"
#include "dns/plugins/http_settings.h"

namespace portolan::proxy {

class CorefilePages {
 public:
  struct Page {
    std::string directive;
    std::string path;
    http::Handler handler;
  };

  // `app_ports`: what the containers of the pod declare.
  CorefilePages(EventLoop& loop, std::vector<uint16_t> app_ports)
      : loop_(loop), app_ports_(std::move(app_ports)) {}

  // Serves the page at `wanted`, or not at all where that is nothing.
  void Serve(const Page& page, const std::optional<dns::HttpAddress>& wanted);

  void CollectMetrics(MetricFamilies& families) const;

 private:
  struct Open {
    dns::HttpAddress address;
    std::unique_ptr<http::Server> server;  // null: left to the application
  };

  std::unique_ptr<http::Server> Listen(const std::string& directive,
                                       const dns::HttpAddress& wanted);

  EventLoop& loop_;
  const std::vector<uint16_t> app_ports_;
  std::map<std::string, Open> open_;  // by directive
  Counter declared_, taken_;
};

}  // namespace portolan::proxy
