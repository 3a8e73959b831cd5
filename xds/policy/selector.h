// Label selectors: what they select, and one way to write each down.
//
// https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors. Values
// and pure functions; any thread.
#pragma once

#include <string>

#include "directory/model.h"
#include "directory/network_policy.h"

namespace portolan::xds {

// NotIn and DoesNotExist hold where there is no such label.
bool Matches(const ObjectSelector& selector, const LabelMap& labels);

// As kubectl has it: "app=db,env notin (test),tier in (a,b),!legacy". The same for selectors that
// say the same in another order, of no two others; empty: selects everything.
std::string ToText(const ObjectSelector& selector);

// Pods of one namespace, or of those namespaces whose labels are selected. Never pods on their
// host's network: their address is their node's.
struct PodSelector {
  std::string ns;             // empty: of those that `namespaces` selects
  ObjectSelector namespaces;  // where `ns` is empty
  ObjectSelector pods;

  bool InScope(const std::string& name, const LabelMap& labels) const {
    return ns.empty() ? Matches(namespaces, labels) : ns == name;
  }
};

// "ns=shop" or "namespaces: team=a". What PodSelector::InScope goes by.
std::string ScopeText(const PodSelector& selector);
// "ns=shop; pods: app=db". The same for selectors that say the same, of no two others.
std::string ToText(const PodSelector& selector);

// The addresses of pods, be it those alone that have a container port of a name and protocol.
struct PeerSelector {
  PodSelector of;
  std::string port_name;               // empty: whatever their ports
  Protocol protocol = Protocol::kTcp;  // where there is a port_name

  // What PeerSets are told apart by: 16 hexadecimal digits. Of a hash that nobody finds a second
  // text to: who may write policies in one namespace must not get at the peers of another's.
  std::string SetName() const;
  // "pods with app=db in namespaces with team=a, at their TCP port sql"
  std::string Describe() const;
};

}  // namespace portolan::xds
