#include "ctl/service_name.h"

#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/ip.h"
#include "common/json_fields.h"
#include "common/status.h"
#include "common/text.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

constexpr size_t kMostAlike = 5;

absl::StatusOr<json> Matching(Session& session, const std::string& search) {
  return session.Get(
      fmt::format("/api/v1/names?limit={}&search={}", kMostAlike, EncodeQuery(search)));
}

std::string Listed(const json& answer) {
  std::string out;
  for (const json& name : ListOf(answer, "names")) {
    if (!out.empty()) out += ", ";
    out += fmt::format("{}/{}", TextOf(name, "namespace"), TextOf(name, "name"));
  }
  return out;
}

absl::StatusOr<ServiceName> ServiceAt(Session& session, const std::string& address) {
  const auto answer = Matching(session, address);
  if (!answer.ok()) return answer.status();
  const json& names = ListOf(*answer, "names");
  if (names.size() == 1) {
    return ServiceName{TextOf(names[0], "namespace"), TextOf(names[0], "name")};
  }
  if (names.empty()) return NotFound("no Service has or lists the address {}", address);
  return InvalidArgument("more than one Service has or lists {}: {}\nName one of them", address,
                         Listed(*answer));
}

}  // namespace

std::string ServiceName::Path() const {
  return fmt::format("/api/v1/names/{}/{}", EncodeQuery(ns), EncodeQuery(name));
}

absl::StatusOr<ServiceName> ParseServiceName(const std::string& text, const std::string& ns) {
  if (const size_t slash = text.find('/'); slash != std::string::npos) {
    ServiceName named{text.substr(0, slash), text.substr(slash + 1)};
    if (!named.ns.empty() && !named.name.empty() && named.name.find('/') == std::string::npos) {
      return named;
    }
    return InvalidArgument("'{}' is not NAMESPACE/SERVICE", text);
  }
  const std::string whole = text.substr(0, text.size() - (text.ends_with('.') ? 1 : 0));
  std::vector<std::string> labels = absl::StrSplit(whole, '.');
  for (const std::string& label : labels) {
    if (label.empty()) {
      return InvalidArgument("'{}' is no name: SERVICE, NAMESPACE/SERVICE or SERVICE.NAMESPACE",
                             text);
    }
  }
  while (labels.size() > 1 && labels[0].starts_with('_')) labels.erase(labels.begin());  // of SRV
  if (labels.size() == 1) return ServiceName{ns, labels[0]};
  if (labels.size() == 2) return ServiceName{labels[1], labels[0]};
  if (labels.size() > 3 && labels[3] == "svc") {
    const std::string domain = absl::StrJoin(labels.begin() + 4, labels.end(), ".");
    return ServiceName{labels[2], labels[1], labels[0], domain};
  }
  if (labels[2] == "svc") {
    const std::string domain = absl::StrJoin(labels.begin() + 3, labels.end(), ".");
    return ServiceName{labels[1], labels[0], {}, domain};
  }
  return InvalidArgument(
      "'{}' is no name of this cluster: SERVICE.NAMESPACE.svc and the cluster domain is\n"
      "What else a pod may look up is shown by portolanctl explain",
      text);
}

absl::StatusOr<ServiceName> ResolveService(Session& session, const std::string& text,
                                           const std::string& ns) {
  return IpAddress::Parse(text).ok() ? ServiceAt(session, text) : ParseServiceName(text, ns);
}

std::string Alike(Session& session, const ServiceName& named) {
  const auto alike = Matching(session, named.name);
  if (!alike.ok() || ListOf(*alike, "names").empty()) return {};
  for (const json& name : ListOf(*alike, "names")) {
    if (TextOf(name, "namespace") == named.ns && TextOf(name, "name") == named.name) return {};
  }
  return "There are: " + Listed(*alike);
}

absl::StatusOr<json> FetchService(Session& session, const std::string& text, const std::string& ns,
                                  const std::string& query) {
  const auto named = ResolveService(session, text, ns);
  if (!named.ok()) return named.status();
  auto answer = session.Get(named->Path() + query);
  if (answer.ok()) {
    const std::string whole = TextOf(*answer, "dnsName");
    if (named->domain.empty() || whole.empty() || whole.ends_with(".svc." + Lower(named->domain))) {
      return answer;
    }
    return NotFound("'{}' is no name of this cluster, where it is {}", text, whole);
  }
  if (!absl::IsFailedPrecondition(answer.status())) return answer;
  const std::string alike = Alike(session, *named);
  if (alike.empty()) return answer;
  return NotFound("{}\n{}", Message(answer.status()), alike);
}

}  // namespace portolan::ctl
