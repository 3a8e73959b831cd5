#include "xds/dashboard/replicas.h"

#include "common/status.h"

namespace portolan::xds {

using nlohmann::json;

json ReplicasJson(const std::string& self, const std::vector<ReplicaAnswer>& answers) {
  json list = {{{"name", self}, {"self", true}}};
  for (const ReplicaAnswer& each : answers) {
    json one = {{"name", each.name}};
    if (!each.answer.ok()) one["error"] = Message(each.answer.status());
    list.push_back(std::move(one));
  }
  return list;
}

}  // namespace portolan::xds
