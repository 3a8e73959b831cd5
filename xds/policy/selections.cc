#include "xds/policy/selections.h"

#include <algorithm>

namespace portolan::xds {
namespace {

constexpr char kNameLabel[] = "kubernetes.io/metadata.name";

using Label = std::pair<std::string, std::string>;

}  // namespace

LabelMap NamespaceLabels(const std::string& ns, const Namespace* now) {
  LabelMap labels = now == nullptr ? LabelMap() : now->labels;
  const auto at =
      std::lower_bound(labels.begin(), labels.end(), kNameLabel,
                       [](const Label& label, const char* wanted) { return label.first < wanted; });
  if (at == labels.end() || at->first != kNameLabel) labels.insert(at, {kNameLabel, ns});
  return labels;
}

// The selectors for pods of one namespace, or of those with certain labels.
class Selections::Scope {
 public:
  explicit Scope(const PodSelector& one) : of_(one) {}

  bool empty() const { return all_.empty(); }
  // The one namespace; empty: those with labels.
  const std::string& ns() const { return of_.ns; }
  bool Has(const std::string& ns, const LabelMap& labels) const { return of_.InScope(ns, labels); }

  Selection& At(const PodSelector& selector) {
    auto& held = all_[ToText(selector.pods)];
    if (held == nullptr) {
      held = std::make_unique<Selection>(Selection{selector, {}, {}, this});
      PlaceOf(*held).push_back(held.get());
    }
    return *held;
  }

  void Drop(const Selection& selection) {
    auto& place = PlaceOf(selection);
    std::erase(place, &selection);
    const LabelMap& wanted = selection.selector.pods.match_labels;
    if (place.empty() && !wanted.empty()) by_label_.erase(wanted.front());
    all_.erase(ToText(selection.selector.pods));
  }

  template <typename F>
  void ForEachOf(const Pod& pod, F&& visit) const {
    const auto compare = [&](const std::vector<Selection*>& candidates) {
      for (Selection* one : candidates) {
        if (Matches(one->selector.pods, pod.labels)) visit(*one);
      }
    };
    compare(others_);
    if (by_label_.empty()) return;
    for (const Label& label : pod.labels) {
      const auto found = by_label_.find(label);
      if (found != by_label_.end()) compare(found->second);
    }
  }

 private:
  // Those that want labels are found by the first of them.
  std::vector<Selection*>& PlaceOf(const Selection& selection) {
    const LabelMap& wanted = selection.selector.pods.match_labels;
    return wanted.empty() ? others_ : by_label_[wanted.front()];
  }

  const PodSelector of_;
  StringMap<std::unique_ptr<Selection>> all_;  // by the text of the pods' selector
  absl::flat_hash_map<Label, std::vector<Selection*>> by_label_;
  std::vector<Selection*> others_;
};

Selections::Selections() = default;
Selections::~Selections() = default;

Selections::Selection& Selections::At(const PodSelector& selector) {
  auto& scope = scopes_[ScopeText(selector)];
  if (scope == nullptr) {
    scope = std::make_unique<Scope>(selector);
    for (auto& [ns, known] : namespaces_) {
      if (scope->Has(ns, known.labels)) known.scopes.push_back(scope.get());
    }
  }
  return scope->At(selector);
}

void Selections::DropIfUnused(Selection& selection) {
  if (!selection.policies.empty() || !selection.sets.empty()) return;
  Scope* scope = selection.scope;
  const std::string text = ScopeText(selection.selector);
  scope->Drop(selection);
  if (!scope->empty()) return;
  for (auto& [ns, known] : namespaces_) std::erase(known.scopes, scope);
  scopes_.erase(text);
}

LabelMap Selections::LabelsOf(const std::string& ns) const {
  const auto known = namespaces_.find(ns);
  return known == namespaces_.end() ? NamespaceLabels(ns, nullptr) : known->second.labels;
}

void Selections::SetNamespace(const std::string& ns, const Namespace* now) {
  KnownNamespace& known = namespaces_[ns];
  known.exists = now != nullptr;
  SetLabels(ns, now, known);
  ForgetIfUnused(ns);
}

void Selections::SetLabels(const std::string& ns, const Namespace* now, KnownNamespace& known) {
  known.labels = NamespaceLabels(ns, now);
  known.scopes.clear();
  for (const auto& [text, scope] : scopes_) {
    if (scope->Has(ns, known.labels)) known.scopes.push_back(scope.get());
  }
}

void Selections::ForgetIfUnused(const std::string& ns) {
  const auto known = namespaces_.find(ns);
  if (!known->second.exists && known->second.pods.empty()) namespaces_.erase(known);
}

void Selections::AddPod(const Pod& pod) {
  if (pod.host_network) return;
  const auto [known, is_new] = namespaces_.try_emplace(pod.name.ns);
  if (is_new) SetLabels(pod.name.ns, nullptr, known->second);
  known->second.pods.insert(&pod);
}

void Selections::RemovePod(const Pod& pod) {
  if (pod.host_network) return;
  namespaces_.find(pod.name.ns)->second.pods.erase(&pod);
  ForgetIfUnused(pod.name.ns);
}

std::vector<const Pod*> Selections::PodsIn(const std::string& ns) const {
  const auto known = namespaces_.find(ns);
  if (known == namespaces_.end()) return {};
  return {known->second.pods.begin(), known->second.pods.end()};
}

void Selections::ForEachOf(const Pod& pod, absl::FunctionRef<void(Selection&)> visit) {
  if (pod.host_network) return;
  const auto known = namespaces_.find(pod.name.ns);
  if (known != namespaces_.end()) {
    for (const Scope* scope : known->second.scopes) scope->ForEachOf(pod, visit);
    return;
  }
  const LabelMap labels = LabelsOf(pod.name.ns);
  for (const auto& [text, scope] : scopes_) {
    if (scope->Has(pod.name.ns, labels)) scope->ForEachOf(pod, visit);
  }
}

void Selections::ForEachSelected(const Some& selections,
                                 absl::FunctionRef<void(const Pod&, Selection&)> visit) {
  absl::flat_hash_set<const Scope*> scopes;
  for (const Selection* one : selections) scopes.insert(one->scope);
  for (const Scope* scope : scopes) {
    ForEachPodIn(*scope, [&](const Pod& pod) {
      scope->ForEachOf(pod, [&](Selection& selection) {
        if (selections.contains(&selection)) visit(pod, selection);
      });
    });
  }
}

void Selections::ForEachPodIn(const Scope& scope, absl::FunctionRef<void(const Pod&)> visit) const {
  const auto visit_all = [&](const KnownNamespace& known) {
    for (const Pod* pod : known.pods) visit(*pod);
  };
  if (!scope.ns().empty()) {
    const auto known = namespaces_.find(scope.ns());
    if (known != namespaces_.end()) visit_all(known->second);
    return;
  }
  for (const auto& [ns, known] : namespaces_) {
    if (scope.Has(ns, known.labels)) visit_all(known);
  }
}

}  // namespace portolan::xds
