#include "xds/dashboard/explain_pages.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "common/http/json.h"
#include "common/json_fields.h"
#include "common/nearest.h"
#include "common/status.h"
#include "common/text.h"
#include "directory/listing.h"
#include "dns/wire/mnemonics.h"
#include "policy/connection_verdict.h"
#include "xds/dashboard/compare.h"
#include "xds/dashboard/name_records.h"
#include "xds/dashboard/names_pages.h"
#include "xds/dashboard/page.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

struct Asked {
  ObjectName pod;
  std::string name;
  std::string type;  // "A"
  uint16_t type_number = 0;
  bool cluster_dns = false;
};

absl::StatusOr<Asked> ParseAsked(const http::Request& request) {
  const auto pod = ParseObjectName(Parameter(request, "pod"));
  if (!pod) return InvalidArgument("pod: NAMESPACE/POD is needed");
  Asked asked{*pod, Parameter(request, "name"), Parameter(request, "type")};
  if (asked.name.empty()) return InvalidArgument("name: a name is needed");
  if (asked.type.empty()) asked.type = "A";
  absl::AsciiStrToUpper(&asked.type);
  const auto type = dns::wire::FindType(asked.type);
  if (!type) {
    std::vector<std::string_view> known;
    for (const auto& one : dns::wire::AllTypes()) known.push_back(one.word);
    return InvalidArgument("type '{}' is no record type{}", asked.type,
                           DidYouMean(asked.type, known));
  }
  asked.type_number = *type;
  const std::string with = Parameter(request, "clusterDns");
  if (!with.empty() && with != "true" && with != "false") {
    return InvalidArgument("clusterDns: true or false is needed");
  }
  asked.cluster_dns = with == "true";
  return asked;
}

// What a resolver asks for with the resolv.conf that the kubelet writes.
std::vector<std::string> UsualNames(const Asked& asked, const std::string& domain) {
  if (asked.name.ends_with('.')) return {asked.name};
  const std::string& name = asked.name;
  std::vector<std::string> names = {fmt::format("{}.{}.svc.{}.", name, asked.pod.ns, domain),
                                    fmt::format("{}.svc.{}.", name, domain),
                                    fmt::format("{}.{}.", name, domain)};
  const bool first = std::count(name.begin(), name.end(), '.') >= 5;
  names.insert(first ? names.begin() : names.end(), name + ".");
  return names;
}

// The names that the sidecar says it asked for.
std::vector<std::string> NamesLookedUp(const json& sidecar) {
  std::vector<std::string> names;
  for (const json& lookup : ListOf(sidecar, "lookups")) {
    if (names.size() == kMostLookups) break;
    if (std::string name = TextOf(lookup, "name"); !name.empty()) names.push_back(std::move(name));
  }
  return names;
}

// What another server would be asked for is not the cluster's.
bool IsPassedOn(const SidecarDns::Reply& reply) {
  return reply.by.empty() || reply.by == "forward" || reply.rcode.empty();
}

json ControlPlaneJson(const ExplainSources& sources, const Asked& asked,
                      const std::vector<std::string>& names) {
  const NamesIndex& index = sources.index;
  const Snapshot& snapshot = *index.snapshot();
  HoldNames(sources.dns, snapshot, index.addresses(), names, index.cluster_domain());
  json out = {{"generation", snapshot.generation()},
              {"name", nullptr},
              {"records", json::array()},
              {"lookups", json::array()},
              {"objects", json::array()}};
  for (const std::string& name : names) {
    const SidecarDns::Reply reply = sources.dns.Ask(name, asked.type_number);
    if (IsPassedOn(reply)) continue;
    json answers = RecordsJson(reply.answers);
    out["rcode"] = reply.rcode;
    out["records"] = answers;
    const std::string key = ServiceKeyOf(name, index.cluster_domain());
    const Service* service = snapshot.FindService(key);
    out["name"] = service == nullptr ? json() : json(key);
    out["objects"] = service == nullptr ? json::array() : ObjectsJson(snapshot, *service);
    out["lookups"].push_back(
        {{"name", name}, {"rcode", reply.rcode}, {"answers", std::move(answers)}});
    if (reply.rcode == "NOERROR" && !reply.answers.empty()) break;
  }
  return out;
}

// The endpoints of its connections, or what is dialled where it is a pod's own address.
std::vector<SocketAddress> LedTo(const json& connection) {
  std::vector<SocketAddress> led_to;
  const auto add = [&](const absl::StatusOr<SocketAddress>& to) {
    if (to.ok()) led_to.push_back(*to);
  };
  for (const json& endpoint : ListOf(connection, "endpoints")) {
    if (led_to.size() == kMostWays) break;
    add(SocketAddress::Parse(TextOf(endpoint, "address")));
  }
  const auto dialled = IpAddress::Parse(TextOf(connection, "address"));
  const json& port = FieldOf(connection, "port");
  const bool is_whole = dialled.ok() && port.is_number_unsigned() && port <= UINT16_MAX;
  if (led_to.empty() && is_whole) led_to.push_back({*dialled, port.get<uint16_t>()});
  return led_to;
}

// Of no more addresses than kMostWays, of all connections together: each costs (ingress.h).
json IngressJson(const IngressJudge& judge, const ObjectName& client, const json& sidecar) {
  json list = json::array();
  size_t judged = 0;
  for (const json& connection : ListOf(sidecar, "connections")) {
    const bool is_udp = Lower(TextOf(connection, "protocol")) == "udp";
    const Protocol protocol = is_udp ? Protocol::kUdp : Protocol::kTcp;
    for (const SocketAddress& to : LedTo(connection)) {
      if (++judged > kMostWays) return list;
      auto said = judge.Judge(client, to, protocol);
      if (!said) continue;
      (*said)["at"] = to.ToString();
      (*said)["protocol"] = ProtocolWord(protocol);
      list.push_back(*std::move(said));
    }
  }
  return list;
}

using SidecarSaid = std::function<void(json said, const std::vector<ReplicaAnswer>& others)>;

// Through this replica, or whichever it is connected to.
void AskSidecar(const ExplainSources& sources, const http::Request& request, const Asked& asked,
                const SidecarSaid& done) {
  const std::string node = asked.pod.ToString();
  if (sources.sidecars != nullptr && sources.sidecars->Find(node)) {
    v1::Question question;
    question.mutable_explain()->set_name(asked.name);
    question.mutable_explain()->set_type(asked.type);
    question.mutable_explain()->set_with_cluster_dns(asked.cluster_dns);
    return sources.sidecars->Ask(node, question, [done](const absl::StatusOr<std::string>& said) {
      if (!said.ok()) return done({{"error", std::string(Message(said.status()))}}, {});
      json parsed = ParseUntrusted(*said);
      if (!parsed.is_object()) {
        parsed = {
            {"error", "what the sidecar answered is no JSON object, or is nested too deeply"}};
      }
      done(std::move(parsed), {});
    });
  }
  http::Request theirs;
  theirs.method = "GET";
  theirs.path = fmt::format("/api/v1/sidecars/{}/explain", node);
  theirs.query = {{"name", asked.name},
                  {"type", asked.type},
                  {"clusterDns", asked.cluster_dns ? "true" : "false"}};
  if (request.FindQuery("scope") == "local") theirs.query.emplace_back("scope", "local");
  sources.replicas.Ask(
      theirs, Replicas::kSidecarPatience, [node, done](const std::vector<ReplicaAnswer>& others) {
        std::string why = fmt::format("the sidecar of {} is not connected", node);
        for (const ReplicaAnswer& other : others) {
          if (other.answer.ok()) {
            json said = *other.answer;
            return done(std::move(said), others);
          }
          if (other.answer.status().code() == absl::StatusCode::kNotFound) continue;
          why += fmt::format("; {}: {}", other.name, Message(other.answer.status()));
        }
        done({{"error", why}}, others);
      });
}

}  // namespace

void AddExplainPage(http::Server& server, ExplainSources sources) {
  server.Get("/api/v1/explain", [sources](const http::Request& request, http::Responder responder) {
    const auto asked = ParseAsked(request);
    if (!asked.ok()) return responder.Send(ErrorOf(asked.status()));
    AskSidecar(sources, request, *asked,
               [sources, request, asked = *asked, responder](
                   json said, const std::vector<ReplicaAnswer>& others) mutable {
                 std::vector<std::string> names = NamesLookedUp(said);
                 if (names.empty()) names = UsualNames(asked, sources.index.cluster_domain());
                 json body = {{"pod", asked.pod.ToString()},
                              {"name", asked.name},
                              {"type", asked.type},
                              {"controlPlane", ControlPlaneJson(sources, asked, names)},
                              {"ingress", IngressJson(sources.ingress, asked.pod, said)}};
                 if (said.contains("clusterDns")) body["clusterDns"] = said["clusterDns"];
                 body["sidecar"] = std::move(said);
                 body["differences"] = Compare(body);
                 body["replicas"] = sources.replicas.List(others);
                 responder.Send(Fresh(request, body));
               });
  });
}

}  // namespace portolan::xds
