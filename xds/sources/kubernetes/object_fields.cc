#include "xds/sources/kubernetes/object_fields.h"

namespace portolan::xds {

const std::vector<WantedField>& ObjectFields() {
  static const std::vector<WantedField> kFields = {
      {"kind"},
      {"apiVersion"},
      {"metadata",
       {{"name"},
        {"namespace"},
        {"resourceVersion"},
        {"generation"},
        {"creationTimestamp"},
        {"deletionTimestamp"},
        {"labels"},
        {"annotations"}}},
      {"spec",
       {// Service
        {"type"},
        {"clusterIP"},
        {"clusterIPs"},
        {"ipFamilies"},
        {"externalName"},
        {"externalIPs"},
        {"ports"},
        {"sessionAffinity"},
        {"sessionAffinityConfig"},
        {"publishNotReadyAddresses"},
        {"internalTrafficPolicy"},
        {"trafficDistribution"},
        // ServiceImport
        {"ips"},
        // Pod
        {"nodeName"},
        {"hostNetwork"},
        {"containers", {{"ports", {{"name"}, {"protocol"}, {"containerPort"}}}}},
        {"initContainers",
         {{"restartPolicy"}, {"ports", {{"name"}, {"protocol"}, {"containerPort"}}}}},
        // Node
        {"podCIDR"},
        {"podCIDRs"},
        // ServiceCIDR
        {"cidrs"},
        // NetworkPolicy
        {"podSelector"},
        {"policyTypes"},
        {"ingress"},
        {"egress"},
        // DNSEgressPolicy
        {"defaultDeny"},
        {"audit"},
        {"rules"},
        // ClusterNetworkPolicy, AdminNetworkPolicy
        {"tier"},
        {"subject"}}},
      {"status",
       {{"loadBalancer"},
        {"phase"},
        {"podIP"},
        {"podIPs"},
        {"addresses", {{"type"}, {"address"}}},
        // DNSEgressPolicy (xds/policy_status)
        {"observedGeneration"},
        {"selectedPods"},
        {"enforcingSidecars"},
        {"partlyEnforced"},
        {"conditions",
         {{"type"},
          {"status"},
          {"observedGeneration"},
          {"lastTransitionTime"},
          {"reason"},
          {"message"}}}}},
      // EndpointSlice
      {"addressType"},
      {"ports"},
      {"endpoints",
       {{"addresses"},
        {"conditions"},
        {"hostname"},
        {"nodeName"},
        {"zone"},
        {"hints"},
        {"targetRef", {{"kind"}, {"namespace"}, {"name"}}}}},
      // Status, in an ERROR event
      {"code"},
      {"reason"},
      {"message"},
  };
  return kFields;
}

}  // namespace portolan::xds
