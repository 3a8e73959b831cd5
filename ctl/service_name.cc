#include "ctl/service_name.h"

#include <utility>
#include <vector>

#include "common/ip.h"
#include "common/status.h"
#include "ctl/json_fields.h"

namespace portolan::ctl {
namespace {

using nlohmann::json;

constexpr size_t kMostAlike = 5;

std::vector<std::string> LabelsOf(std::string text) {
  if (text.ends_with('.')) text.pop_back();
  std::vector<std::string> labels(1);
  for (const char c : text) {
    if (c == '.') {
      labels.emplace_back();
    } else {
      labels.back() += c;
    }
  }
  return labels;
}

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
  const std::vector<std::string> labels = LabelsOf(text);
  for (const std::string& label : labels) {
    if (label.empty()) {
      return InvalidArgument("'{}' is no name: SERVICE, NAMESPACE/SERVICE or SERVICE.NAMESPACE",
                             text);
    }
  }
  if (labels.size() == 1) return ServiceName{ns, labels[0]};
  if (labels.size() > 3 && labels[3] == "svc") return ServiceName{labels[2], labels[1], labels[0]};
  if (labels.size() == 2 || labels[2] == "svc") return ServiceName{labels[1], labels[0]};
  return InvalidArgument(
      "'{}' is no name of this cluster: SERVICE.NAMESPACE.svc and the cluster domain is\n"
      "What else a pod may look up is shown by portolanctl explain",
      text);
}

absl::StatusOr<json> FetchService(Session& session, const std::string& text, const std::string& ns,
                                  const std::string& query) {
  const auto named =
      IpAddress::Parse(text).ok() ? ServiceAt(session, text) : ParseServiceName(text, ns);
  if (!named.ok()) return named.status();
  auto answer = session.Get(named->Path() + query);
  if (answer.ok() || !absl::IsFailedPrecondition(answer.status())) return answer;
  const auto alike = Matching(session, named->name);
  if (!alike.ok() || ListOf(*alike, "names").empty()) return answer;
  for (const json& name : ListOf(*alike, "names")) {
    // It is there: something else is wrong.
    if (TextOf(name, "namespace") == named->ns && TextOf(name, "name") == named->name)
      return answer;
  }
  return NotFound("{}\nThere are: {}", Message(answer.status()), Listed(*alike));
}

}  // namespace portolan::ctl
