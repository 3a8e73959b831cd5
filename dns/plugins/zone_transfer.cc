#include "dns/plugins/zone_transfer.h"

#include <algorithm>
#include <utility>

#include "dns/plugins/kubernetes_name_servers.h"
#include "dns/plugins/kubernetes_soa.h"
#include "dns/wire/bytes.h"

namespace portolan::dns {
namespace {

using wire::Section;
namespace rr = wire::type;
using Bytes = std::span<const uint8_t>;

constexpr size_t kFixedBytes = 10;  // type, class, TTL, length
constexpr size_t kSoaBytes = 64;    // more than it has, with its owner
constexpr size_t kSrvFixedBytes = 6;

Bytes AsBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// "_port._protocol" as labels; empty if there is no such name.
std::string PortLabels(std::string_view name, std::string_view protocol) {
  if (name.empty() || name.size() >= wire::kMaxLabelBytes) return {};
  std::string labels;
  for (const std::string_view label : {name, protocol}) {
    labels += static_cast<char>(label.size() + 1);
    labels += '_';
    labels += label;
  }
  wire::LowerName(labels);
  return labels;
}

// CoreDNS's, in a transfer: of a cluster IP 100, of an endpoint by the size of its slice.
uint16_t WeightOf(size_t targets) {
  return static_cast<uint16_t>(std::max<size_t>(1, 100 / std::max<size_t>(1, targets)));
}

}  // namespace

// Is given all records of a Service each time, and writes those that no message has yet, as many as
// fit.
class ZoneTransfer::Writer {
 public:
  Writer(wire::ReplyWriter& reply, uint32_t ttl, size_t skip)
      : reply_(reply), ttl_(ttl), skip_(skip) {}

  // `names` is kept, for what is added from then on.
  void set_names(const ServiceNames& names) { names_ = &names; }

  void AddAddress(Bytes labels, const IpAddress& ip) {
    Add(labels, ip.is_v4() ? rr::kA : rr::kAaaa, ip.bytes().size(),
        [&](uint8_t* at) { std::copy(ip.bytes().begin(), ip.bytes().end(), at); });
  }
  void AddSrv(Bytes labels, uint16_t weight, uint16_t port, Bytes target) {
    const size_t target_bytes = names_->SizeOf(target);
    if (port == 0 || target_bytes == 0) return;
    Add(labels, rr::kSrv, kSrvFixedBytes + target_bytes, [&](uint8_t* at) {
      wire::Store16(at, 0);
      wire::Store16(at + 2, weight);
      wire::Store16(at + 4, port);
      names_->Write(target, at + kSrvFixedBytes);
    });
  }
  void AddCname(Bytes target) {
    Add({}, rr::kCname, target.size(),
        [&](uint8_t* at) { std::copy(target.begin(), target.end(), at); });
  }
  // Of the zone itself.
  void AddNs(const NameServer& server) {
    const size_t bytes = server.names.SizeOf(server.labels);
    if (bytes == 0 || !IsNext(2 + kFixedBytes + bytes)) return;
    const auto rdata = reply_.Add(Section::kAnswer, wire::kQuestionName, rr::kNs, ttl_, bytes);
    server.names.Write(server.labels, rdata.data());
  }

  bool full() const { return full_; }
  size_t written() const { return skip_; }

 private:
  template <typename F>
  void Add(Bytes labels, uint16_t type, size_t rdata_bytes, F&& fill) {
    const size_t owner_bytes = names_->SizeOf(labels);
    if (owner_bytes == 0 || !IsNext(owner_bytes + kFixedBytes + rdata_bytes)) return;
    std::array<uint8_t, wire::kMaxNameBytes> owner;
    names_->Write(labels, owner.data());
    const auto rdata =
        reply_.Add(Section::kAnswer, Bytes(owner).first(owner_bytes), type, ttl_, rdata_bytes);
    fill(rdata.data());
  }

  // Counts the record; true if it is to be written now.
  bool IsNext(size_t bytes) {
    if (seen_++ < skip_ || full_) return false;
    full_ = !reply_.Fits(bytes);
    if (!full_) ++skip_;
    return !full_;
  }

  wire::ReplyWriter& reply_;
  const uint32_t ttl_;
  const ServiceNames* names_ = nullptr;
  size_t skip_;
  size_t seen_ = 0;
  bool full_ = false;
};

ZoneTransfer::ZoneTransfer(const wire::Query& query, ServedZone zone, KubernetesConfig config,
                           std::vector<IpAddress> name_servers, ClusterData data, Extent extent)
    : question_(query.question.begin(), query.question.end()),
      query_(query),
      zone_(std::move(zone)),
      config_(std::move(config)),
      name_servers_(std::move(name_servers)),
      data_(std::move(data)),
      extent_(extent),
      services_(data_.snapshot->services()) {
  query_.question = question_;
  query_.message = query_.edns_options = {};
}

size_t ZoneTransfer::Next(std::span<uint8_t> room) {
  if (stage_ == Stage::kDone) return 0;
  wire::ReplyWriter reply(query_, room, room.size());
  while (stage_ != Stage::kDone && WriteStage(reply)) {
    const bool soa_alone = extent_ == Extent::kSoa;
    stage_ = soa_alone ? Stage::kDone : static_cast<Stage>(static_cast<int>(stage_) + 1);
    written_ = 0;
  }
  return reply.Finish(wire::Rcode::kNoError, wire::flag::kAuthoritative);
}

bool ZoneTransfer::WriteStage(wire::ReplyWriter& reply) {
  switch (stage_) {
    case Stage::kFirstSoa:
    case Stage::kLastSoa:
      return WriteSoa(reply);
    case Stage::kServices:
      return WriteServices(reply);
    case Stage::kNameServers:
    case Stage::kDone:
      break;
  }
  Writer writer(reply, config_.ttl, written_);
  AddNameServers(writer);
  written_ = writer.written();
  return !writer.full();
}

bool ZoneTransfer::WriteSoa(wire::ReplyWriter& reply) const {
  if (!reply.Fits(kSoaBytes)) return false;
  AddSoa(reply, Section::kAnswer, wire::kQuestionName, config_.ttl, SerialOf(data_, zone_));
  return true;
}

bool ZoneTransfer::WriteServices(wire::ReplyWriter& reply) {
  while (true) {
    if (service_ == nullptr) {
      const auto* next = services_.Next();
      if (next == nullptr) return true;
      service_ = next->get();
    }
    const ServiceNames names(service_->name, AsBytes(zone_.zone.wire));
    Writer writer(reply, config_.ttl, written_);
    writer.set_names(names);
    AddService(writer, *service_);
    written_ = writer.written();
    if (writer.full()) return false;
    service_ = nullptr;
    written_ = 0;
  }
}

void ZoneTransfer::AddNameServers(Writer& writer) const {
  const Bytes zone = AsBytes(zone_.zone.wire);
  auto for_each = [&](auto visit) {
    ForEachNameServer(name_servers_, zone, config_, data_, visit);
  };
  for_each([&](const NameServer& server) {
    if (server.first_of_name) writer.AddNs(server);
  });
  for_each([&](const NameServer& server) {
    // Those of other Services stand with them.
    if (server.service != nullptr && IsShown(*server.service, config_, data_)) return;
    writer.set_names(server.names);
    writer.AddAddress(server.labels, server.ip);
  });
}

void ZoneTransfer::AddService(Writer& writer, const Service& service) const {
  if (!IsShown(service, config_, data_)) return;
  if (service.type == ServiceType::kExternalName) {
    const auto target = wire::NameToWire(service.extras->external_name);
    if (target.ok() && !IsIpv4Text(service.extras->external_name))
      writer.AddCname(AsBytes(*target));
  } else if (!service.headless) {
    AddClusterIps(writer, service);
  } else if (const auto* records = EndpointsOf(service.name, config_, data_)) {
    AddEndpoints(writer, *records);
  }
}

void ZoneTransfer::AddClusterIps(Writer& writer, const Service& service) const {
  for (const IpAddress& ip : service.cluster_ips) writer.AddAddress({}, ip);
  const auto& ports = service.ports;
  for (auto port = ports.begin(); port != ports.end(); ++port) {
    const bool again = std::any_of(ports.begin(), port, [&](const ServicePort& earlier) {
      return earlier.port == port->port;
    });
    if (!again) writer.AddSrv({}, WeightOf(1), port->port, {});
    const std::string labels = PortLabels(port->name, ProtocolText(port->protocol));
    if (!labels.empty()) writer.AddSrv(AsBytes(labels), WeightOf(1), port->port, {});
  }
}

void ZoneTransfer::AddEndpoints(Writer& writer, const EndpointRecords& records) const {
  const EndpointRecords::Entry* last = nullptr;
  for (const EndpointRecords::Entry& entry : records.entries()) {
    if (last == nullptr || last->ip != entry.ip) writer.AddAddress({}, entry.ip);
    last = &entry;
  }
  last = nullptr;
  for (const uint32_t i : records.ByName(config_.naming)) {
    const EndpointRecords::Entry& entry = records.entries()[i];
    const Bytes labels = records.NameOf(entry, config_.naming);
    const bool same_name =
        last != nullptr && std::ranges::equal(records.NameOf(*last, config_.naming), labels);
    if (!same_name || last->ip != entry.ip) writer.AddAddress(labels, entry.ip);
    const auto& ports = records.PortsOf(entry);
    const bool same_ports = same_name && &ports == &records.PortsOf(*last);
    last = &entry;
    if (same_ports) continue;
    for (const EndpointRecords::Port& port : ports) {
      const std::string port_labels = PortLabels(port.name, port.protocol);
      if (port_labels.empty()) continue;
      writer.AddSrv(AsBytes(port_labels), WeightOf(entry.slice_addresses), port.number, labels);
    }
  }
}

}  // namespace portolan::dns
