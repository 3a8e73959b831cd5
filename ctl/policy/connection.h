// Whether the policies of a snapshot let a pod open a connection, those for its egress and those
// for the ingress of the pod that it leads to: the rules as the control plane works them out
// (xds/policy), judged as sidecars do (policy/). Any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <nlohmann/json.hpp>

#include "directory/directory.h"

namespace portolan::ctl {

struct PolicyQuestion {
  ObjectName from;  // a pod of the snapshot
  // As the application has it, in lower case: "backend", "backend.shop", "db.example.com", or an
  // address. A name is one that dns::wire::NameToWire takes.
  std::string to;
  uint16_t port = 0;
  Protocol protocol = Protocol::kTcp;
  std::string cluster_domain = "cluster.local";  // lower case, without the final dot
};

// What proxy/explain/policy_tester.h says of a running pod, as far as a snapshot knows it: the
// verdict, "at" and "ways", with the "ingress" of whom it leads to (xds/dashboard/ingress.h), and
// "besides" where the Service has no such port. A Service is judged by its endpoints, of which one
// that is allowed is enough; what leads nowhere by rules for names alone. Whether the pod may ask a
// DNS server is not part of it, nor is whether any sidecar enforces the ingress.
nlohmann::json AnswerOf(const std::shared_ptr<const Snapshot>& snapshot,
                        const PolicyQuestion& question);

}  // namespace portolan::ctl
