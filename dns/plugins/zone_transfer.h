// A whole zone of the cluster as the messages of a zone transfer (RFC 5936).
//
// Written one message at a time out of one immutable version of the directory, so that a zone of
// any size takes the memory of one message. Records as in CoreDNS's kubernetes plugin: SOA, NS with
// their addresses, then for each Service that is shown its addresses, SRV records, endpoints or
// CNAME, and the SOA again; Services come in no order. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "dns/cluster_data.h"
#include "dns/exchange.h"
#include "dns/plugins/kubernetes_config.h"
#include "dns/plugins/kubernetes_names.h"
#include "dns/plugins/kubernetes_records.h"
#include "dns/wire/query.h"
#include "dns/wire/reply.h"

namespace portolan::dns {

class ZoneTransfer : public ReplyStream {
 public:
  // What is listed: all of the zone, or its SOA alone for a client that has this version already.
  enum class Extent : uint8_t { kZone, kSoa };

  // `query` is for the zone's own name.
  ZoneTransfer(const wire::Query& query, ServedZone zone, KubernetesConfig config,
               std::vector<IpAddress> name_servers, ClusterData data, Extent extent);

  size_t Next(std::span<uint8_t> room) override;

 private:
  enum class Stage : uint8_t { kFirstSoa, kNameServers, kServices, kLastSoa, kDone };
  class Writer;

  // False: the message is full.
  bool WriteStage(wire::ReplyWriter& reply);
  bool WriteSoa(wire::ReplyWriter& reply) const;
  bool WriteServices(wire::ReplyWriter& reply);
  void AddNameServers(Writer& writer) const;
  void AddService(Writer& writer, const Service& service) const;
  void AddClusterIps(Writer& writer, const Service& service) const;
  void AddEndpoints(Writer& writer, const EndpointRecords& records) const;

  std::vector<uint8_t> question_;
  wire::Query query_;
  const ServedZone zone_;
  const KubernetesConfig config_;
  const std::vector<IpAddress> name_servers_;
  const ClusterData data_;
  const Extent extent_;

  Stage stage_ = Stage::kFirstSoa;
  Snapshot::Services::Cursor services_;
  const Service* service_ = nullptr;
  // How many records of the stage, or of `service_`, stand in messages already.
  size_t written_ = 0;
};

}  // namespace portolan::dns
