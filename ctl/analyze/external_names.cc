// Services of type ExternalName: whether there is anything where they lead.
#include <fmt/format.h>

#include <set>
#include <string>
#include <string_view>

#include "common/ip.h"
#include "common/text.h"
#include "ctl/analyze/analyze.h"

namespace portolan::ctl::analyze {
namespace {

// NAME.NS.svc.cluster.local, or nothing.
struct Target {
  std::string name;
  std::string ns;
};
bool InCluster(std::string_view text, std::string_view cluster_domain, Target& target) {
  if (text.ends_with('.')) text.remove_suffix(1);
  const std::string suffix = fmt::format(".svc.{}", cluster_domain);
  if (!text.ends_with(suffix)) return false;
  text.remove_suffix(suffix.size());
  const size_t dot = text.rfind('.');
  if (dot == text.npos) return false;
  target.ns = text.substr(dot + 1);
  // Behind a hostname of a headless Service.
  const std::string_view front = text.substr(0, dot);
  target.name = front.substr(front.rfind('.') + 1);
  return true;
}

// Whether files hold a Service of the namespace that others may be told by: those of one
// application.
bool HoldSome(const Objects& objects, const std::string& ns) {
  for (auto it = objects.services.lower_bound(ns + "/");
       it != objects.services.end() && it->second.ns == ns; ++it) {
    if (it->second.type != "ExternalName") return true;
  }
  return false;
}

void Check(const Objects& objects, const Service& service, std::vector<Finding>& findings) {
  Place place = service.place;
  if (service.external_name_line > 0) place.line = service.external_name_line;
  const auto add = [&](const char* code, std::string what, std::string advice,
                       Severity severity = Severity::kError) {
    findings.push_back(
        {code, severity, service.ToString(), place, std::move(what), std::move(advice)});
  };
  const std::string& name = service.external_name;
  if (IpAddress::Parse(name).ok()) {
    return add("external-name-is-address",
               fmt::format("leads to {}, an address: DNS cannot answer with it", name),
               "Use a Service without selector and an EndpointSlice with that address");
  }
  // Follows ExternalNames through the cluster.
  std::set<const Service*> passed{&service};
  std::string at = Lower(name);
  for (Target target; InCluster(at, objects.cluster_domain, target);) {
    const Service* next = objects.FindService(target.ns, target.name);
    if (next == nullptr) {
      const bool known = objects.whole_services.Of(target.ns);
      if (!known && !(place.IsOfFile() && HoldSome(objects, target.ns))) return;
      return add("external-name-to-nowhere",
                 fmt::format("leads to {}, and there is no Service {} in namespace {}{}", at,
                             target.name, target.ns, known ? "" : " of these files"),
                 "Correct spec.externalName, or create that Service",
                 known ? Severity::kError : Severity::kWarning);
    }
    if (!passed.insert(next).second) {
      return add("external-name-loop", fmt::format("leads back to {}", next->ToString()),
                 "Resolvers give up on it: break the circle");
    }
    if (next->type != "ExternalName") return;
    at = Lower(next->external_name);
  }
}

}  // namespace

void CheckExternalNames(const Objects& objects, std::vector<Finding>& findings) {
  for (const auto& [name, service] : objects.services) {
    if (service.type == "ExternalName" && objects.Judges(service.ns)) {
      Check(objects, service, findings);
    }
  }
}

}  // namespace portolan::ctl::analyze
