// Any bytes as the body of a review: never an exception, and where a patch comes back it applies,
// and a second review of the patched pod changes nothing.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/escaping.h"
#include "injector/injector.h"
#include "injector/pod.h"

namespace portolan::injector {
namespace {

void Require(bool holds) {
  if (!holds) std::abort();
}

ClusterFacts Cluster() {
  ClusterFacts facts;
  facts.service_cidrs = {*Cidr::Parse("10.43.0.0/16")};
  facts.control_pods = {*SocketAddress::Parse("[fd00::9]:15012")};
  facts.service_port = [](std::string_view, std::string_view name) {
    return name == "backend" ? std::optional<uint16_t>(8080) : std::nullopt;
  };
  return facts;
}

Template Settings() {
  Template settings;
  settings.image_pull_secrets = {"pull"};
  return settings;
}

Reviewed Ask(std::string_view body) {
  static const ClusterFacts facts = Cluster();
  static const Template settings = Settings();
  return Review(body, settings, facts, "portolan-system");
}

void RequireOneLine(const std::string& text) {
  Require(text.size() <= 256);
  for (const char c : text) Require(static_cast<unsigned char>(c) >= ' ');
}

void Try(std::string_view body) {
  const Reviewed first = Ask(body);
  if (first.status != 200) return Require(first.outcome == Outcome::kBadReview);
  const Json response = Json::parse(first.body).at("response");
  for (const Json& warning : response.value("warnings", Json::array())) {
    RequireOneLine(warning.get<std::string>());
  }
  Require(response.at("allowed") == !Denied(first.outcome));
  Require(response.contains("patch") == (first.outcome == Outcome::kInjected));
  if (!response.contains("patch")) return;

  std::string patch;
  Require(absl::Base64Unescape(response.at("patch").get<std::string>(), &patch));
  Json review = Json::parse(body);
  Json& pod = review.at("request").at("object");
  pod = pod.patch(Json::parse(patch));
  Require(Ask(review.dump()).outcome == Outcome::kAlreadyInjected);
}

}  // namespace
}  // namespace portolan::injector

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  portolan::injector::Try({reinterpret_cast<const char*>(data), size});
  return 0;
}
