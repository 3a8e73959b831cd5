// An hour of changes of a large cluster by a simulated clock, through the history's own writer, and
// questions about moments of it. Beside it, for the first of the same changes, what comes to mind
// first: the whole Service as JSON in a table of SQLite.
//
//   history_bench_hour FOLDER CHANGES PEER_CHANGES MAX_BYTES      prints a JSON object
#include <time.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common/event_loop.h"
#include "common/log.h"
#include "xds/history/history.h"
#include "xds/history/recorder.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr int kServices = 10'000;
constexpr int kLargeServices = 4;
constexpr int kLarge = 5'000;
constexpr int kSmall = 8;
constexpr int kSliceSize = 100;
// Of the changes, one in so many is of a large Service.
constexpr int kLargeEvery = 20;
constexpr absl::Duration kBetween = absl::Milliseconds(10);
constexpr size_t kQuestions = 2'000;
// As History keeps it in order.
constexpr int kInOrderEvery = 1'000;

double CpuSeconds() {
  timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

[[noreturn]] void Fail(const std::string& what) {
  std::cerr << "history_bench_hour: " << what << "\n";
  std::exit(1);
}

void Check(const absl::Status& status) {
  if (!status.ok()) Fail(std::string(status.message()));
}

IpAddress Address(uint32_t number) {
  const uint8_t bytes[4] = {10, static_cast<uint8_t>(number >> 16),
                            static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)};
  return IpAddress::V4(bytes);
}

// The cluster, and what changes in it.
class Cluster {
 public:
  Cluster() {
    for (int i = 0; i < kServices; ++i) AddService(i);
  }

  Directory& directory() { return directory_; }
  absl::Time now() const { return now_; }

  // The Service that changed.
  int Change() {
    now_ += kBetween;
    const int service = Roll(kLargeEvery) == 0 ? Roll(kLargeServices)
                                               : kLargeServices + Roll(kServices - kLargeServices);
    if (Roll(50) == 0) {
      PutService(service);
      return service;
    }
    auto& slices = slices_[static_cast<size_t>(service)];
    EndpointSlice& slice = slices[static_cast<size_t>(Roll(static_cast<int>(slices.size())))];
    const int kind = Roll(10);
    Endpoint& one =
        slice.endpoints[static_cast<size_t>(Roll(static_cast<int>(slice.endpoints.size())))];
    if (kind < 6) {
      one.conditions.ready = one.conditions.serving = !one.conditions.ready;
    } else if (kind < 7) {
      one.conditions = {false, true, true};
    } else if (slice.endpoints.size() > kSmall / 2 && kind < 8) {
      slice.endpoints.erase(slice.endpoints.begin() + (&one - slice.endpoints.data()));
    } else {
      slice.endpoints.push_back(NewEndpoint(service));
    }
    Put(slice);
    return service;
  }

  static ObjectName NameOf(int service) {
    return {"team-" + std::to_string(service % 100), "service-" + std::to_string(service)};
  }

 private:
  int Roll(int sides) { return std::uniform_int_distribution<int>(0, sides - 1)(random_); }

  Origin NewOrigin() { return {absl::Cord(std::to_string(++version_)), now_, {}}; }

  Endpoint NewEndpoint(int service) {
    Endpoint endpoint;
    endpoint.addresses = {Address(++addresses_)};
    const int node = Roll(500);
    endpoint.node_name = "ip-10-0-" + std::to_string(node) + ".eu-central-1.compute.internal";
    endpoint.zone = std::string("eu-central-1") + static_cast<char>('a' + node % 3);
    endpoint.zone_hints = {endpoint.zone};
    const ObjectName name = NameOf(service);
    static constexpr char kLetters[] = "bcdfghjklmnpqrstvwxz2456789";
    std::string tail;
    for (int i = 0; i < 5; ++i) tail += kLetters[Roll(27)];
    endpoint.pod = {name.ns, name.name + "-7d9f8c6b5-" + tail};
    return endpoint;
  }

  void AddService(int service) {
    PutService(service);
    const int endpoints = service < kLargeServices ? kLarge : kSmall;
    auto& slices = slices_.emplace_back();
    for (int done = 0; done < endpoints; done += kSliceSize) {
      EndpointSlice slice;
      const ObjectName name = NameOf(service);
      slice.name = {name.ns, name.name + "-s" + std::to_string(slices.size())};
      slice.service = name.name;
      slice.ports = {{"http", Protocol::kTcp, 8080}};
      for (int i = done; i < std::min(endpoints, done + kSliceSize); ++i) {
        slice.endpoints.push_back(NewEndpoint(service));
      }
      Put(slice);
      slices.push_back(std::move(slice));
    }
  }

  void PutService(int service) {
    Service put;
    put.name = NameOf(service);
    put.cluster_ips = {Address(static_cast<uint32_t>(10'000'000 + service))};
    put.ports = {{"http", Protocol::kTcp, static_cast<uint16_t>(1 + Roll(60'000))}};
    put.labels = {{"app", put.name.name}, {"team", put.name.ns}};
    put.origin = NewOrigin();
    directory_.Put(std::move(put));
  }

  void Put(EndpointSlice& slice) {
    slice.origin = NewOrigin();
    slice.triggered = now_ - absl::Seconds(1);
    directory_.Put(slice);
  }

  Directory directory_;
  std::vector<std::vector<EndpointSlice>> slices_;
  std::minstd_rand random_{3};
  absl::Time now_ = absl::FromUnixSeconds(1'760'000'000);
  int64_t version_ = 10'000'000;
  uint32_t addresses_ = 0;
};

RecordedCommit ToRecord(Cluster& cluster) {
  Directory::Committed committed = cluster.directory().Commit();
  RecordedCommit commit{
      .snapshot = std::move(committed.snapshot), .keys = {}, .since = cluster.now()};
  for (const auto* keys : {&committed.changes.services, &committed.changes.endpoints}) {
    for (const std::string& key : *keys) commit.keys.emplace(key, cluster.now());
  }
  return commit;
}

void Write(Recorder& recorder, const RecordedCommit& commit) {
  Recorder::Outcome outcome;
  do {
    outcome = recorder.Write(commit);
  } while (outcome == Recorder::Outcome::kMore);
  if (outcome != Recorder::Outcome::kDone) Fail("the history cannot be written");
}

int64_t SizeOf(const std::string& file) {
  int64_t bytes = 0;
  for (const char* suffix : {"", "-wal"}) {
    std::error_code absent;
    const auto size = std::filesystem::file_size(file + suffix, absent);
    if (!absent) bytes += static_cast<int64_t>(size);
  }
  return bytes;
}

// The whole Service as it is shown, for every change.
class Peer {
 public:
  explicit Peer(const std::string& file)
      : file_(file), database_(*Database::Open(file)), insert_(database_, kInsert) {
    Check(
        database_.Run("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                      "CREATE TABLE history(time INTEGER, name TEXT, state TEXT);"
                      "CREATE INDEX by_name ON history(name, time);"));
  }

  void Write(const RecordedCommit& commit) {
    for (const auto& [key, when] : commit.keys) {
      const Service* service = commit.snapshot->FindService(key);
      const std::string text =
          ServiceDetailJson(*commit.snapshot, *service, "cluster.local").dump();
      Check(insert_.Run(absl::ToUnixMillis(when), std::string_view(key), std::string_view(text)));
    }
  }

  int64_t Bytes() {
    Check(database_.Run("PRAGMA wal_checkpoint(TRUNCATE)"));
    return SizeOf(file_);
  }

 private:
  static constexpr char kInsert[] = "INSERT INTO history VALUES(?, ?, ?)";
  const std::string file_;
  Database database_;
  Statement insert_;
};

json Percentiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double share) {
    return values[std::min(values.size() - 1,
                           static_cast<size_t>(static_cast<double>(values.size()) * share))];
  };
  return {{"p50", at(0.5)}, {"p99", at(0.99)}, {"max", values.back()}};
}

// How long each question took, in milliseconds.
template <typename Pick>
json AskAt(Store& store, absl::Time last, Pick pick) {
  std::minstd_rand random(11);
  std::vector<double> took;
  const int64_t span = absl::ToUnixMillis(last) - store.since_unix_ms();
  for (size_t i = 0; i < kQuestions; ++i) {
    const ObjectName name = Cluster::NameOf(pick(random));
    const int64_t at =
        store.since_unix_ms() + std::uniform_int_distribution<int64_t>(0, span)(random);
    const absl::Time start = absl::Now();
    const auto past = store.At(name, at);
    if (past.ok()) (void)SnapshotOf(past->state);
    took.push_back(absl::ToDoubleMilliseconds(absl::Now() - start));
    if (!past.ok()) Fail(std::string(past.status().message()));
  }
  return Percentiles(std::move(took));
}

// What Record takes of the loop, in microseconds.
double LoopCost(Cluster& cluster) {
  EventLoop loop;
  auto history = History::Open(loop, {});
  Check(history.status());
  (*history)->Record({cluster.directory().snapshot(), {}}, cluster.now());
  constexpr int kChanges = 5'000;
  double cpu = 0;
  for (int i = 0; i < kChanges; ++i) {
    cluster.Change();
    const Directory::Committed committed = cluster.directory().Commit();
    const double start = CpuSeconds();
    (*history)->Record(committed, cluster.now());
    cpu += CpuSeconds() - start;
    if (i % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return cpu / kChanges * 1e6;
}

int Main(const std::string& folder, int changes, int peer_changes, int64_t max_bytes) {
  log::Start("history_bench_hour", spdlog::level::err);
  Cluster cluster;
  const std::string file = folder + "/history.db";
  const HistoryOptions options{
      .file = file, .max_bytes = max_bytes, .now = [&] { return cluster.now(); }};
  Recorder::Stats stats;
  auto recorder = Recorder::Open(options, stats);
  Check(recorder.status());
  Peer peer(folder + "/peer.db");

  double start = CpuSeconds();
  Write(**recorder, ToRecord(cluster));
  json out = {{"firstCommitCpuS", CpuSeconds() - start}};

  double cpu = 0;
  double peer_cpu = 0;
  int64_t largest = 0;
  const int64_t peer_before = peer.Bytes();
  for (int i = 0; i < changes; ++i) {
    cluster.Change();
    const RecordedCommit commit = ToRecord(cluster);
    start = CpuSeconds();
    Write(**recorder, commit);
    while ((*recorder)->Trim()) {
    }
    if (i % kInOrderEvery == 0) (*recorder)->WriteAlive();
    cpu += CpuSeconds() - start;
    if (i < peer_changes) {
      start = CpuSeconds();
      peer.Write(commit);
      peer_cpu += CpuSeconds() - start;
    }
    if (i % 1'000 == 0) largest = std::max(largest, SizeOf(file));
  }
  largest = std::max(largest, SizeOf(file));
  out["changes"] = changes;
  out["entries"] = stats.entries.value();
  out["cpuUs"] = cpu / changes * 1e6;
  out["largestMb"] = static_cast<double>(largest) / 1e6;
  out["keptS"] = absl::ToDoubleSeconds(cluster.now() -
                                       absl::FromUnixMillis((*recorder)->store().since_unix_ms()));
  out["peerChanges"] = peer_changes;
  out["peerCpuUs"] = peer_cpu / peer_changes * 1e6;
  out["peerBytes"] = static_cast<double>(peer.Bytes() - peer_before) / peer_changes;
  const auto any = [](auto& random) {
    return std::uniform_int_distribution<int>(0, kServices - 1)(random);
  };
  const auto large = [](auto& random) {
    return std::uniform_int_distribution<int>(0, kLargeServices - 1)(random);
  };
  out["atMs"] = AskAt((*recorder)->store(), cluster.now(), any);
  out["atLargeMs"] = AskAt((*recorder)->store(), cluster.now(), large);

  (*recorder)->WriteAlive();
  recorder->reset();
  const uint64_t entries = stats.entries.value();
  absl::Time began = absl::Now();
  recorder = Recorder::Open(options, stats);
  Check(recorder.status());
  (*recorder)->Check();
  out["checkS"] = absl::ToDoubleSeconds(absl::Now() - began);
  began = absl::Now();
  Write(**recorder, ToRecord(cluster));
  out["restartS"] = absl::ToDoubleSeconds(absl::Now() - began);
  out["entriesOfRestart"] = stats.entries.value() - entries;
  recorder->reset();
  out["recordUs"] = LoopCost(cluster);
  std::cout << out.dump() << "\n";
  return 0;
}

}  // namespace
}  // namespace portolan::xds

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fputs("history_bench_hour FOLDER CHANGES PEER_CHANGES MAX_BYTES\n", stderr);
    return 2;
  }
  return portolan::xds::Main(argv[1], std::atoi(argv[2]), std::atoi(argv[3]), std::atoll(argv[4]));
}
