#include "xds/policy/pod_lists.h"

namespace portolan::xds {
namespace {

struct PodName {
  std::string_view ns;
  std::string_view name;
};

PodName Split(std::string_view pod) {
  const size_t slash = pod.find('/');
  if (slash == std::string_view::npos) return {{}, pod};
  return {pod.substr(0, slash), pod.substr(slash + 1)};
}

}  // namespace

const PodLists::List* PodLists::Find(std::string_view pod) const {
  const auto [ns, name] = Split(pod);
  const auto* lists = namespaces_.Find(ns);
  return lists == nullptr ? nullptr : (*lists)->Find(name);
}

size_t PodLists::size() const {
  size_t count = 0;
  namespaces_.ForEach([&](const std::string&, const auto& lists) { count += lists->size(); });
  return count;
}

const PodLists::List* PodLists::Edit::Find(std::string_view pod) const {
  const auto [ns, name] = Split(pod);
  const auto edited = edited_.find(ns);
  if (edited != edited_.end()) return edited->second.Find(name);
  const auto* lists = namespaces_.Find(ns);
  return lists == nullptr ? nullptr : (*lists)->Find(name);
}

void PodLists::Edit::Set(std::string_view pod, List list) {
  const auto [ns, name] = Split(pod);
  Of(ns).Set(std::string(name), std::move(list));
}

void PodLists::Edit::Erase(std::string_view pod) {
  const auto [ns, name] = Split(pod);
  Of(ns).Erase(name);
}

PodLists::OfNamespace::Edit& PodLists::Edit::Of(std::string_view ns) {
  const auto edited = edited_.find(ns);
  if (edited != edited_.end()) return edited->second;
  const auto* lists = namespaces_.Find(ns);
  OfNamespace::Edit edit(lists == nullptr ? OfNamespace() : **lists);
  return edited_.emplace(std::string(ns), std::move(edit)).first->second;
}

PodLists PodLists::Edit::Finish() && {
  ByName<OfNamespace>::Edit next(namespaces_);
  for (auto& [ns, edit] : edited_) {
    OfNamespace lists = std::move(edit).Finish();
    if (lists.empty()) {
      next.Erase(ns);
    } else {
      next.Set(ns, std::make_shared<const OfNamespace>(std::move(lists)));
    }
  }
  PodLists result;
  result.namespaces_ = std::move(next).Finish();
  return result;
}

}  // namespace portolan::xds
