#include "dns/plugins/registry.h"

#include <algorithm>
#include <array>
#include <vector>

#include "common/nearest.h"
#include "dns/plugins/acl.h"
#include "dns/plugins/any.h"
#include "dns/plugins/autopath.h"
#include "dns/plugins/bind.h"
#include "dns/plugins/bufsize.h"
#include "dns/plugins/cache.h"
#include "dns/plugins/chaos.h"
#include "dns/plugins/dns64.h"
#include "dns/plugins/errors.h"
#include "dns/plugins/forward.h"
#include "dns/plugins/header.h"
#include "dns/plugins/hosts.h"
#include "dns/plugins/http_settings.h"
#include "dns/plugins/kubernetes.h"
#include "dns/plugins/loadbalance.h"
#include "dns/plugins/local.h"
#include "dns/plugins/log.h"
#include "dns/plugins/loop.h"
#include "dns/plugins/minimal.h"
#include "dns/plugins/nsid.h"
#include "dns/plugins/reload.h"
#include "dns/plugins/rewrite.h"
#include "dns/plugins/template.h"
#include "dns/plugins/transfer.h"
#include "dns/plugins/whoami.h"

namespace portolan::dns {
namespace {

constexpr DirectiveState kActive = DirectiveState::kActive;
constexpr DirectiveState kAccepted = DirectiveState::kAccepted;
constexpr DirectiveState kForwarded = DirectiveState::kForwarded;

constexpr std::string_view kByClusterDns =
    "questions in its zones are forwarded to the cluster DNS";

// CoreDNS 1.12 and later: https://github.com/coredns/coredns/blob/master/plugin.cfg
constexpr DirectiveInfo kDirectives[] = {
    {"root", kAccepted, false, "relative paths start in the working folder"},
    {"metadata", kAccepted, false, "no metadata is collected"},
    {"geoip", kAccepted, false, "no geographic metadata is collected"},
    {"cancel", kAccepted, false, "the sidecar's own deadline of 5 s holds"},
    {"tls", kAccepted, false, "the sidecar serves plain DNS to its own pod only"},
    {"proxyproto", kAccepted, false, "clients are in the sidecar's own pod"},
    {"quic", kAccepted, false, "the sidecar serves plain DNS to its own pod only"},
    {"grpc_server", kAccepted, false, "the sidecar serves plain DNS to its own pod only"},
    {"https", kAccepted, false, "the sidecar serves plain DNS to its own pod only"},
    {"https3", kAccepted, false, "the sidecar serves plain DNS to its own pod only"},
    {"timeouts", kAccepted, false, "the sidecar's own time limits hold"},
    {"multisocket", kAccepted, false, "the sidecar has one socket for each of its workers"},
    {"reload", kActive, true, "", LoadReload},
    {"nsid", kActive, true, "", LoadNsid},
    {"bufsize", kActive, false, "", LoadBufsize},
    {"bind", kAccepted, false, "the sidecar's own listen address holds", LoadBind},
    {"debug", kAccepted, false, "there is no extra output"},
    {"trace", kAccepted, false, "queries are not traced"},
    {"ready", kActive, true, "", LoadReady},
    {"health", kActive, true, "", LoadHealth},
    {"pprof", kAccepted, false, "no profile is served"},
    {"prometheus", kActive, true, "", LoadPrometheus},
    {"errors", kActive, true, "", LoadErrors},
    {"log", kActive, false, "", LoadLog},
    {"dnstap", kAccepted, false, "nothing is sent to dnstap"},
    {"local", kActive, false, "", LoadLocal},
    {"dns64", kActive, false, "", LoadDns64},
    {"acl", kActive, false, "", LoadAcl},
    {"any", kActive, false, "", LoadAny},
    {"chaos", kActive, false, "", LoadChaos},
    {"loadbalance", kActive, true, "", LoadLoadbalance},
    {"tsig", kAccepted, false, "signatures are neither checked nor made"},
    {"cache", kActive, true, "", LoadCache},
    {"rewrite", kActive, false, "", LoadRewrite},
    {"header", kActive, false, "", LoadHeader},
    {"dnssec", kAccepted, false, "local answers are not signed"},
    {"autopath", kActive, false, "", LoadAutopath},
    {"minimal", kActive, false, "", LoadMinimal},
    {"template", kActive, false, "", LoadTemplate},
    {"transfer", kActive, false, "", LoadTransfer},
    {"hosts", kActive, true, "", LoadHosts},
    {"route53", kAccepted, false, "its zones go on to the next directive"},
    {"azure", kAccepted, false, "its zones go on to the next directive"},
    {"clouddns", kAccepted, false, "its zones go on to the next directive"},
    {"k8s_external", kForwarded, false, kByClusterDns, LoadForwardedZones},
    {"kubernetes", kActive, true, "", LoadKubernetes},
    {"file", kForwarded, false, kByClusterDns, LoadFile},
    {"auto", kForwarded, false, kByClusterDns, LoadForwardedZones},
    {"secondary", kForwarded, false, kByClusterDns, LoadForwardedZones},
    {"etcd", kForwarded, false, kByClusterDns, LoadForwardedZones},
    {"loop", kActive, true, "", LoadLoop},
    {"forward", kActive, false, "", LoadForward},
    {"grpc", kAccepted, false, "questions go on to the next directive"},
    {"erratic", kAccepted, false, "questions go on to the next directive"},
    {"whoami", kActive, false, "", LoadWhoami},
    {"on", kAccepted, false, "no command is run"},
    {"sign", kAccepted, false, "no zone is signed"},
    {"view", kForwarded, false,
     "all questions of its server block are forwarded to the cluster DNS", LoadView},
    {"nomad", kAccepted, false, "its zones go on to the next directive"},
};

}  // namespace

std::span<const DirectiveInfo> AllDirectives() { return kDirectives; }

const DirectiveInfo* FindDirective(std::string_view name) {
  const auto* found = std::find_if(std::begin(kDirectives), std::end(kDirectives),
                                   [&](const DirectiveInfo& info) { return info.name == name; });
  return found == std::end(kDirectives) ? nullptr : found;
}

size_t ChainPlace(std::string_view name) {
  return static_cast<size_t>(FindDirective(name) - kDirectives);
}

std::string UnknownDirective(std::string_view name) {
  std::vector<std::string_view> names;
  for (const DirectiveInfo& info : kDirectives) names.push_back(info.name);
  return "unknown directive '" + std::string(name) + "'" + DidYouMean(name, names);
}

}  // namespace portolan::dns
