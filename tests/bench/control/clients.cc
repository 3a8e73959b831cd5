// Many sidecars' worth of delta ADS clients in one process, each with a connection of its own: what
// the control plane's bench feeds. They hold nothing of what they are sent but the versions, which
// are the same for all; each acknowledges every response as a sidecar does.
//
//   control_bench_clients --control 127.0.0.1:15010 --clients 1000 --service default/shared
//                         [--ca FILE --server-name NAME --token FILE]
//
// Told what to do by lines on stdin, answers each with one line of JSON on stdout:
//   connect            all at once; ends when every one holds the whole set
//   reconnect          the same again, listing what is held (initial_resource_versions)
//   watch FIRST LAST   waits until all hold an endpoint 10.200.x.y of the Service, x.y being a
//                      number of at least LAST; tells when (CLOCK_MONOTONIC) the last client had
//                      each number or a later one
//   traffic            responses and bytes received since the last time
//   quit
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <google/protobuf/io/coded_stream.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/client_callback.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/proto_buffer_writer.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <iostream>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/files.h"
#include "common/flags.h"
#include "common/monotonic.h"
#include "common/status.h"
#include "envoy/service/discovery/v3/discovery.pb.h"
#include "xds/api/codec.h"
#include "xds/api/grpc_process.h"

namespace portolan::bench {
namespace {

using grpc::ByteBuffer;
using Request = envoy::service::discovery::v3::DeltaDiscoveryRequest;
using Response = envoy::service::discovery::v3::DeltaDiscoveryResponse;

constexpr char kMethod[] =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
constexpr std::array kTypes = {api::kProxyConfigType, api::kNamespaceType, api::kServiceType,
                               api::kEndpointsType, api::kServiceImportType};
constexpr size_t kEndpoints = 3;
constexpr size_t kMostChanges = 1 << 16;
constexpr auto kPatience = std::chrono::seconds(120);
// What stands before x.y in an Endpoint with the address 10.200.x.y: field 1, four bytes.
constexpr std::string_view kNumbered("\x0a\x04\x0a\xc8", 4);

int64_t NowNs() { return absl::ToInt64Nanoseconds(Monotonic()); }

struct Options {
  std::string control, service, ca, server_name, token;
  size_t clients = 1000;
};

ByteBuffer Serialized(const Request& request) {
  ByteBuffer buffer;
  bool own = false;
  grpc::SerializationTraits<Request>::Serialize(request, &buffer, &own);
  return buffer;
}

// What of a response an acknowledgement needs.
struct Envelope {
  std::string type_url, nonce;
  bool completes = false;
};

// Reads the fields around the resources and skips those.
Envelope ReadEnvelope(ByteBuffer& buffer) {
  grpc::ProtoBufferReader reader(&buffer);
  google::protobuf::io::CodedInputStream in(&reader);
  Envelope envelope;
  while (const uint32_t tag = in.ReadTag()) {
    uint32_t size = 0;
    if ((tag & 7) != 2 || !in.ReadVarint32(&size)) break;
    std::string text;
    switch (tag >> 3) {
      case Response::kSystemVersionInfoFieldNumber:
        envelope.completes = size > 0;
        in.Skip(static_cast<int>(size));
        break;
      case Response::kTypeUrlFieldNumber:
        in.ReadString(&envelope.type_url, static_cast<int>(size));
        break;
      case Response::kNonceFieldNumber:
        in.ReadString(&envelope.nonce, static_cast<int>(size));
        break;
      default:
        in.Skip(static_cast<int>(size));
    }
  }
  return envelope;
}

// What all clients report to.
class Tally {
 public:
  explicit Tally(size_t clients) : clients_(clients), had_(kMostChanges), last_ns_(kMostChanges) {}

  void Begin() {
    const std::lock_guard lock(mutex_);
    synced_ns_.clear();
    failed_ = 0;
  }
  void Synced() {
    const std::lock_guard lock(mutex_);
    synced_ns_.push_back(NowNs());
    changed_.notify_all();
  }
  void Failed(const std::string& why) {
    const std::lock_guard lock(mutex_);
    if (failed_++ == 0) fmt::print(stderr, "{}\n", why);
    changed_.notify_all();
  }
  // Times since `from` by which clients were synced, sorted.
  std::vector<double> AwaitSync(int64_t from) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kPatience, [&] { return synced_ns_.size() + failed_ >= clients_; });
    std::vector<double> seconds;
    for (const int64_t ns : synced_ns_) seconds.push_back(static_cast<double>(ns - from) / 1e9);
    std::sort(seconds.begin(), seconds.end());
    return seconds;
  }

  // A client that had `before` has `now`, and with it all between.
  void Had(size_t before, size_t now) {
    const int64_t at = NowNs();
    for (size_t i = before + 1; i <= now; ++i) {
      int64_t seen = last_ns_[i].load(std::memory_order_relaxed);
      while (seen < at && !last_ns_[i].compare_exchange_weak(seen, at)) {
      }
      had_[i].fetch_add(1);
    }
  }
  std::vector<int64_t> AwaitNumbers(size_t first, size_t last) {
    const auto deadline = std::chrono::steady_clock::now() + kPatience;
    while (had_[last].load() < clients_ && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    std::vector<int64_t> when;
    for (size_t i = first; i <= last; ++i) {
      when.push_back(had_[i].load() >= clients_ ? last_ns_[i].load() : -1);
    }
    return when;
  }

  std::atomic<uint64_t> responses{0};
  std::atomic<uint64_t> bytes{0};

 private:
  const size_t clients_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<int64_t> synced_ns_;
  size_t failed_ = 0;
  std::vector<std::atomic<uint64_t>> had_;
  std::vector<std::atomic<int64_t>> last_ns_;
};

// The versions of everything, as the first client was sent them; its reactions fill it while no
// other thread looks.
using Held = std::array<std::map<std::string, std::string>, kTypes.size()>;

class Client : public grpc::ClientBidiReactor<ByteBuffer, ByteBuffer> {
 public:
  // `held` is filled if it is not null.
  Client(Tally& tally, std::shared_ptr<grpc::Channel> channel, std::vector<ByteBuffer> requests,
         const std::string& token, size_t number, Held* held)
      : tally_(tally), stub_(std::move(channel)), held_(held), number_(number) {
    if (!token.empty()) context_.AddMetadata("authorization", "Bearer " + token);
    for (ByteBuffer& request : requests) waiting_.push_back(std::move(request));
    stub_.PrepareBidiStreamingCall(&context_, kMethod, {}, this);
    AddHold();
    StartRead(&read_);
    StartCall();
    const std::lock_guard lock(mutex_);
    WriteNext();
  }

  size_t number() const { return number_; }
  void EndAndWait() {
    context_.TryCancel();
    LetGo();
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [&] { return done_; });
  }

 private:
  void OnReadDone(bool ok) override {
    if (!ok) return LetGo();  // the status comes with OnDone
    ++tally_.responses;
    tally_.bytes += read_.Length();
    const Envelope envelope = ReadEnvelope(read_);
    const size_t type = static_cast<size_t>(
        std::find(kTypes.begin(), kTypes.end(), envelope.type_url) - kTypes.begin());
    if (type < kTypes.size()) {
      if (held_ != nullptr) Hold(type);
      if (type == kEndpoints) LookForNumber();
      Acknowledge(envelope);
      if (envelope.completes) complete_[type] = true;
    }
    if (!synced_ && std::count(complete_.begin(), complete_.end(), true) == kTypes.size()) {
      synced_ = true;
      tally_.Synced();
    }
    read_.Clear();
    StartRead(&read_);
  }
  void OnWriteDone(bool ok) override {
    const std::lock_guard lock(mutex_);
    writing_ = false;
    if (ok) WriteNext();
  }
  void OnDone(const grpc::Status& status) override {
    const bool asked_to = synced_ && status.error_code() == grpc::StatusCode::CANCELLED;
    if (!status.ok() && !asked_to) {
      tally_.Failed(fmt::format("a stream ended: {}: {}", static_cast<int>(status.error_code()),
                                status.error_message()));
    }
    const std::lock_guard lock(mutex_);
    done_ = true;
    ended_.notify_all();
  }

  void LetGo() {
    if (!let_go_.exchange(true)) RemoveHold();
  }

  void Hold(size_t type) {
    Response response;
    grpc::ProtoBufferReader reader(&read_);
    response.ParseFromZeroCopyStream(&reader);
    for (const auto& resource : response.resources()) {
      (*held_)[type][resource.name()] = resource.version();
    }
    for (const auto& name : response.removed_resources()) (*held_)[type].erase(name);
  }
  // A search of the bytes: to decode them all is the work of a sidecar, which has a core elsewhere.
  void LookForNumber() {
    grpc::Slice bytes;
    if (!read_.DumpToSingleSlice(&bytes).ok()) return;
    const std::string_view text(reinterpret_cast<const char*>(bytes.begin()), bytes.size());
    const size_t at = text.find(kNumbered);
    if (at == text.npos || at + kNumbered.size() + 2 > text.size()) return;
    const auto byte = [&](size_t i) {
      return static_cast<size_t>(static_cast<uint8_t>(text[at + kNumbered.size() + i]));
    };
    const size_t number = byte(0) << 8 | byte(1);
    if (number > number_) tally_.Had(std::exchange(number_, number), number);
  }

  void Acknowledge(const Envelope& envelope) {
    Request request;
    request.set_type_url(envelope.type_url);
    request.set_response_nonce(envelope.nonce);
    const std::lock_guard lock(mutex_);
    waiting_.push_back(Serialized(request));
    WriteNext();
  }
  // REQUIRES: mutex_ is held.
  void WriteNext() {
    if (writing_ || waiting_.empty()) return;
    writing_ = true;
    write_.Swap(&waiting_.front());
    waiting_.erase(waiting_.begin());
    StartWrite(&write_);
  }

  Tally& tally_;
  grpc::TemplatedGenericStub<ByteBuffer, ByteBuffer> stub_;
  Held* const held_;
  grpc::ClientContext context_;
  ByteBuffer read_;
  size_t number_;
  std::array<bool, kTypes.size()> complete_{};
  bool synced_ = false;
  std::atomic<bool> let_go_ = false;  // of the stream, which is over or to be ended

  std::mutex mutex_;
  std::condition_variable ended_;
  std::vector<ByteBuffer> waiting_;
  ByteBuffer write_;
  bool writing_ = false;
  bool done_ = false;
};

class Crowd {
 public:
  explicit Crowd(const Options& options) : options_(options), tally_(options.clients) {
    if (options_.ca.empty()) {
      credentials_ = grpc::InsecureChannelCredentials();
    } else {
      credentials_ = grpc::SslCredentials({ReadFile(options_.ca, 1 << 20).value(), {}, {}});
    }
    if (!options_.token.empty()) token_ = ReadFile(options_.token, 1 << 16).value();
  }

  std::string Connect() {
    // Encoded once: that work is the clients', who are elsewhere in a cluster.
    std::vector<std::vector<ByteBuffer>> requests(1);
    for (size_t type = 0; type < kTypes.size(); ++type) {
      requests[0].push_back(Serialized(FirstRequest(type)));
    }
    tally_.Begin();
    const int64_t began = NowNs();
    std::vector<size_t> numbers(options_.clients, 0);
    for (size_t i = 0; i < clients_.size(); ++i) {
      numbers[i] = clients_[i]->number();
      clients_[i]->EndAndWait();
    }
    clients_.clear();
    const int64_t ended = NowNs();
    for (size_t i = 0; i < options_.clients; ++i) {
      clients_.push_back(std::make_unique<Client>(tally_, Channel(), requests[0], token_,
                                                  numbers[i], i == 0 ? &held_ : nullptr));
    }
    const std::vector<double> synced = tally_.AwaitSync(ended);
    return fmt::format(
        R"({{"synced":{},"first":{:.3f},"p50":{:.3f},"p99":{:.3f},"last":{:.3f},"ending":{:.3f}}})",
        synced.size(), At(synced, 0), At(synced, 0.5), At(synced, 0.99), At(synced, 1),
        static_cast<double>(ended - began) / 1e9);
  }

  std::string Watch(size_t first, size_t last) {
    return fmt::format(R"({{"had_ns":[{}]}})", fmt::join(tally_.AwaitNumbers(first, last), ","));
  }

  std::string Traffic() {
    return fmt::format(R"({{"responses":{},"bytes":{}}})", tally_.responses.exchange(0),
                       tally_.bytes.exchange(0));
  }

  ~Crowd() {
    for (const auto& client : clients_) client->EndAndWait();
  }

 private:
  static double At(const std::vector<double>& sorted, double share) {
    if (sorted.empty()) return -1;
    return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
  }

  Request FirstRequest(size_t type) const {
    Request request;
    request.set_type_url(std::string(kTypes[type]));
    // The node goes with a stream's first request.
    if (type == 0) request.mutable_node()->set_id("default/bench");
    if (type == 0) {
      request.add_resource_names_subscribe("default");
    } else if (type == kEndpoints) {
      request.add_resource_names_subscribe(options_.service);
    } else {
      request.add_resource_names_subscribe("*");
    }
    request.mutable_initial_resource_versions()->insert(held_[type].begin(), held_[type].end());
    return request;
  }

  std::shared_ptr<grpc::Channel> Channel() const {
    grpc::ChannelArguments args;
    args.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    args.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
    args.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, api::kStreamWindowBytes);
    args.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    args.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    if (!options_.server_name.empty()) {
      args.SetString(GRPC_ARG_DEFAULT_AUTHORITY, options_.server_name);
    }
    return grpc::CreateCustomChannel(options_.control, credentials_, args);
  }

  const Options options_;
  Tally tally_;
  std::shared_ptr<grpc::ChannelCredentials> credentials_;
  std::string token_;
  Held held_;
  std::vector<std::unique_ptr<Client>> clients_;
};

int Main(int argc, char** argv) {
  Options options;
  CLI::App app("Clients of the control plane's bench", "control_bench_clients");
  app.add_option("--control", options.control)->required();
  app.add_option("--service", options.service)->required();
  app.add_option("--clients", options.clients);
  app.add_option("--ca", options.ca);
  app.add_option("--server-name", options.server_name);
  app.add_option("--token", options.token);
  if (auto status = ParseFlags(app, argc, argv)) return *status;
  api::PrepareGrpc();
  Crowd crowd(options);
  for (std::string word; std::cin >> word;) {
    std::string answer;
    if (word == "connect" || word == "reconnect") {
      answer = crowd.Connect();
    } else if (word == "watch") {
      size_t first = 0, last = 0;
      std::cin >> first >> last;
      if (last >= kMostChanges || first > last) break;
      answer = crowd.Watch(first, last);
    } else if (word == "traffic") {
      answer = crowd.Traffic();
    } else {
      break;
    }
    std::cout << answer << std::endl;
  }
  return kExitOk;
}

}  // namespace
}  // namespace portolan::bench

int main(int argc, char** argv) { return portolan::bench::Main(argc, argv); }
