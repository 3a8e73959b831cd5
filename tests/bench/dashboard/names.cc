// What the pages of names cost the control plane's loop: 10,000 Services with 100,000 endpoints and
// as many pods, of which one changes now and then. Prints the median of each step in milliseconds.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "common/event_loop.h"
#include "common/monotonic.h"
#include "directory/directory.h"
#include "xds/dashboard/name_records.h"
#include "xds/dashboard/names_index.h"
#include "xds/dashboard/sidecar_dns.h"

namespace portolan::xds {
namespace {

constexpr int kServices = 10'000;
constexpr int kEndpoints = 10;
constexpr int kLargest = 5'000;  // endpoints of one headless Service beside them
constexpr int kRounds = 51;

IpAddress Address(int high, int number) {
  return *IpAddress::Parse(
      fmt::format("{}.{}.{}.{}", high, number >> 16, (number >> 8) & 255, number & 255));
}

void PutService(Directory& directory, int number, int endpoints, uint64_t version) {
  Service service;
  service.name = {fmt::format("ns{}", number % 100), fmt::format("service-{}", number)};
  service.labels = {{"app", fmt::format("app-{}", number % 500)}, {"tier", "backend"}};
  service.ports = {{"http", Protocol::kTcp, 80}};
  service.headless = endpoints > kEndpoints;
  if (!service.headless) service.cluster_ips = {Address(10, number)};
  service.origin = {absl::Cord(std::to_string(version)), absl::Now(), {}};
  const std::string ns = service.name.ns;
  for (int first = 0; first < endpoints; first += 100) {
    EndpointSlice slice;
    slice.name = {ns, fmt::format("{}-{}", service.name.name, first)};
    slice.service = service.name.name;
    slice.ports = {{"http", Protocol::kTcp, 8080}};
    slice.origin = service.origin;
    for (int i = first; i < std::min(first + 100, endpoints); ++i) {
      Pod pod;
      pod.name = {ns, fmt::format("{}-5d4f8c7b9-{}", service.name.name, i)};
      pod.ips = {Address(11, number * kEndpoints + i)};
      Endpoint endpoint;
      endpoint.addresses = pod.ips;
      endpoint.pod = pod.name;
      endpoint.node_name = fmt::format("node-{}", i % 100);
      slice.endpoints.push_back(std::move(endpoint));
      directory.Put(std::move(pod));
    }
    directory.Put(std::move(slice));
  }
  directory.Put(std::move(service));
}

class Bench {
 public:
  void Run() {
    for (int i = 0; i < kServices; ++i) PutService(directory_, i, kEndpoints, 1);
    PutService(directory_, kServices, kLargest, 1);
    const absl::Duration began = Monotonic();
    Commit();
    Print("first load, its first turn", Monotonic() - began);
    index_.WhenCurrent([this] { loop_.Stop(); });
    loop_.Run();
    Print("first load, all turns", Monotonic() - began);

    int version = 1;
    Measure("commit of one Service", [&] {
      PutService(directory_, 7, kEndpoints, static_cast<uint64_t>(++version));
      Commit();
    });
    Find("page of 500", {});
    Find("page of 500 at 9,500", {.offset = 9'500});
    Find("page of 5,000", {.limit = 5'000});
    Find("search for a word", {.search = "service-77"});
    Find("search for nothing that is", {.search = "no-such-name"});
    Find("search for an endpoint's address", {.search = "11.0.3.5"});
    Find("search for a label", {.search = "app=app-7"});
    Find("last changed first", {.sort = NamesQuery::Sort::kChanged});
    Find("those with a warning", {.any_warning = true});
    Records("records of a Service", 42);
    Records("records of one with 5,000 endpoints", kServices);
  }

 private:
  void Commit() {
    const Directory::Committed committed = directory_.Commit();
    std::vector<std::string> changed;
    addresses_ = addresses_.Next(committed, &changed);
    const absl::Duration began = Monotonic();
    index_.OnCommit(committed, addresses_, true);
    took_ = Monotonic() - began;
  }

  void Find(const char* what, const NamesQuery& query) {
    Measure(what, [&] {
      const absl::Duration began = Monotonic();
      const NamesIndex::Page page = index_.Find(query);
      std::string body;
      for (const NamesIndex::Entry* entry : page.entries) body += entry->json;
      took_ = Monotonic() - began;
    });
  }

  void Records(const char* what, int number) {
    const auto& snapshot = index_.snapshot();
    const Service* service =
        snapshot->FindService(fmt::format("ns{}/service-{}", number % 100, number));
    Measure(what, [&] {
      const absl::Duration began = Monotonic();
      RecordsOf(dns_, *snapshot, addresses_, *service, "cluster.local");
      took_ = Monotonic() - began;
    });
  }

  void Measure(const char* what, const std::function<void()>& step) {
    std::vector<absl::Duration> all;
    for (int i = 0; i < kRounds; ++i) {
      step();
      all.push_back(took_);
    }
    std::sort(all.begin(), all.end());
    Print(what, all[kRounds / 2], all.back());
  }

  static void Print(const char* what, absl::Duration median,
                    absl::Duration most = absl::ZeroDuration()) {
    const std::string worst =
        most > absl::ZeroDuration()
            ? fmt::format(", at most {:.3f}", absl::ToDoubleMilliseconds(most))
            : std::string();
    std::puts(
        fmt::format("{:36} {:9.3f} ms{}", what, absl::ToDoubleMilliseconds(median), worst).c_str());
  }

  EventLoop loop_;
  Directory directory_;
  AddressIndex addresses_;
  SidecarDns dns_{loop_};
  NamesIndex index_{loop_, "cluster.local", dns_};
  absl::Duration took_;
};

}  // namespace
}  // namespace portolan::xds

int main() { portolan::xds::Bench().Run(); }
