#include "proxy/reporting/service_of_name.h"

#include <fmt/format.h>

#include "common/text.h"

namespace portolan::proxy {

std::string ServiceKeyOf(std::string_view name, std::string_view cluster_domain) {
  const std::string suffix = fmt::format(".svc.{}.", cluster_domain);
  const std::string lower = Lower(name);
  if (!lower.ends_with(suffix)) return {};
  const std::string_view rest = std::string_view(lower).substr(0, lower.size() - suffix.size());
  const size_t ns_at = rest.rfind('.');
  if (ns_at == rest.npos) return {};
  const std::string_view labels = rest.substr(0, ns_at);
  const size_t service_at = labels.rfind('.') + 1;  // 0 where there is one label alone
  return fmt::format("{}/{}", rest.substr(ns_at + 1), labels.substr(service_at));
}

}  // namespace portolan::proxy
