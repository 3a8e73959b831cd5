#include "injector/cluster/ca_config_maps.h"

#include <algorithm>
#include <functional>
#include <utility>

#include <nlohmann/json.hpp>

#include "common/log.h"
#include "common/monotonic.h"
#include "common/status.h"
#include "injector/names.h"

namespace portolan::injector {
namespace {

using nlohmann::json;

size_t HashOf(const std::string& text) { return std::hash<std::string>()(text); }

ApiResource Namespaces() {
  return {.group = "",
          .version = "v1",
          .plural = "namespaces",
          .kind = "Namespace",
          .fields = {{"metadata",
                      {{"name"}, {"resourceVersion"}, {"annotations"}, {"deletionTimestamp"}}}}};
}

ApiResource Maps() {
  return {.group = "",
          .version = "v1",
          .plural = "configmaps",
          .kind = "ConfigMap",
          .selector = std::string("fieldSelector=metadata.name=") + CaConfigMaps::kName,
          .fields = {{"metadata", {{"name"}, {"namespace"}, {"resourceVersion"}, {"annotations"}}},
                     {"data"}}};
}

// A namespace that ends takes nothing new.
bool WantsOne(const Field& name_space) {
  const Field metadata = name_space["metadata"];
  const Field ends = metadata["deletionTimestamp"];
  return !ends.present() && std::find(kKubeNamespaces.begin(), kKubeNamespaces.end(),
                                      NameOf(name_space)) == kKubeNamespaces.end();
}

size_t ContentOf(const Field& map) {
  const Field data = map["data"];
  const Field bundle = data[CaConfigMaps::kKey];
  return HashOf(bundle.String());
}

std::string PathOf(const std::string& name_space) {
  return fmt::format("/api/v1/namespaces/{}/configmaps", name_space);
}

}  // namespace

CaConfigMaps::CaConfigMaps(EventLoop& loop, ApiClient& client)
    : client_(client),
      namespaces_(loop, client, Namespaces(), WantsOne, [this] { Soon(kGather); }),
      maps_(loop, client, Maps(), ContentOf, [this] { Soon(kGather); }),
      timer_(loop.AddTimer([this] { WriteMissing(); })) {}

void CaConfigMaps::Start() {
  namespaces_.Start();
  maps_.Start();
}

void CaConfigMaps::SetBundle(std::string bundle) {
  bundle_ = std::move(bundle);
  Soon(kGather);
}

void CaConfigMaps::Soon(absl::Duration delay) {
  const absl::Duration due = Monotonic() + delay;
  if (due >= due_) return;
  due_ = due;
  timer_.Start(delay);
}

bool CaConfigMaps::IsRight(const std::string& name_space) const {
  const Content* held = maps_.Find(fmt::format("{}/{}", name_space, kName));
  return held != nullptr && *held == HashOf(bundle_);
}

void CaConfigMaps::WriteMissing() {
  due_ = absl::InfiniteDuration();
  done_.clear();
  if (bundle_.empty() || !namespaces_.known() || !maps_.known()) return;
  const absl::Duration now = Monotonic();
  absl::erase_if(refused_until_, [&](const auto& each) { return each.second <= now; });
  namespaces_.ForEach([this](const std::string& name, bool wants_one) {
    if (!wants_one || writing_.size() >= kMostWrites) return;
    if (writing_.contains(name) || refused_until_.contains(name) || IsRight(name)) return;
    Write(name);
  });
  if (!refused_until_.empty()) Soon(kTryAgain);
}

void CaConfigMaps::Write(const std::string& name_space) {
  json map = {
      {"metadata",
       {{"name", kName}, {"labels", {{"app.kubernetes.io/managed-by", "portolan-injector"}}}}},
      {"data", {{kKey, bundle_}}}};
  const bool is_there = maps_.Find(fmt::format("{}/{}", name_space, kName)) != nullptr;
  ApiRequest request;
  request.method = is_there ? "PATCH" : "POST";
  request.target = PathOf(name_space) + (is_there ? "/" + std::string(kName) : "");
  if (is_there) {
    request.content_type = "application/merge-patch+json";
  } else {
    map["apiVersion"] = "v1";
    map["kind"] = "ConfigMap";
  }
  request.body = map.dump(-1, ' ', false, json::error_handler_t::replace);
  auto call = std::make_unique<ApiCall>(client_);
  ApiCall& started = *call;
  writing_.emplace(name_space, std::move(call));
  started.Start(
      std::move(request),
      fmt::format("{} configmaps {} in {}", is_there ? "patch" : "create", kName, name_space),
      [this, name_space](const absl::StatusOr<std::string>& body) { OnWritten(name_space, body); });
}

void CaConfigMaps::OnWritten(const std::string& name_space,
                             const absl::StatusOr<std::string>& body) {
  const auto found = writing_.find(name_space);
  done_.push_back(std::move(found->second));
  writing_.erase(found);
  Soon(absl::ZeroDuration());
  if (body.ok()) {
    written_.Add();
    return maps_.Expect(fmt::format("{}/{}", name_space, kName), HashOf(bundle_));
  }
  // Another replica was first, or the namespace is gone: the watch says so.
  const bool overtaken = absl::IsAlreadyExists(body.status()) || absl::IsNotFound(body.status());
  refused_until_[name_space] = Monotonic() + (overtaken ? kTryAgain : kTryRefusedAgain);
  if (overtaken) return;
  failures_.Add();
  log::warn("{}; trying again in {}", Message(body.status()),
            absl::FormatDuration(kTryRefusedAgain));
}

void CaConfigMaps::AddMetrics(MetricFamilies& families) const {
  size_t missing = 0;
  namespaces_.ForEach([&](const std::string& name, bool wants_one) {
    if (wants_one && !IsRight(name)) ++missing;
  });
  SetGaugeSample(families, "portolan_injector_ca_configmaps_missing",
                 "Namespaces whose ConfigMap portolan-ca is not as it should be.", {},
                 static_cast<double>(missing));
  const auto writes = [&](std::string_view result, const Counter& counter) {
    AddCounterSample(families, "portolan_injector_ca_configmap_writes_total",
                     "ConfigMaps portolan-ca that were written.", {{"result", result}},
                     static_cast<double>(counter.value()));
  };
  writes("ok", written_);
  writes("failed", failures_);
}

}  // namespace portolan::injector
