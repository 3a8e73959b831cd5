#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "common/status.h"
#include "common/text.h"
#include "injector/injection.h"
#include "injector/injector.h"

namespace portolan::injector {
namespace {

// The deepest thing in a pod is some twenty deep.
constexpr size_t kMaxDepth = 100;
// Of one warning: the API server cuts longer ones short, or drops those behind them.
// https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/
constexpr size_t kMaxLine = 256;
constexpr size_t kMaxWarnings = 16;
constexpr std::string_view kVersion = "admission.k8s.io/v1";

// How deep brackets go outside of strings, be it JSON or not.
bool DeeperThan(std::string_view text, size_t limit) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > limit) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

// For a warning, which the API server drops where it has a line break, and for the log: names come
// in as anybody wrote them, since the API server checks them later.
std::string ForAnswer(std::string_view text) { return OneLine(text, kMaxLine); }

Reviewed NoReview(std::string why) {
  Reviewed reviewed{};
  reviewed.outcome = Outcome::kBadReview;
  reviewed.status = 400;
  reviewed.detail = std::move(why);
  reviewed.body = fmt::format("portolan: {}\n", reviewed.detail);
  return reviewed;
}

absl::StatusOr<Json> ReadReview(std::string_view body) {
  if (body.size() > kMaxReviewBytes) {
    return InvalidArgument("{} bytes; at most {} are read", body.size(), kMaxReviewBytes);
  }
  if (DeeperThan(body, kMaxDepth)) return InvalidArgument("more than {} levels deep", kMaxDepth);
  Json review = Json::parse(body, nullptr, false);
  if (review.is_discarded()) return InvalidArgument("the body is no JSON");
  if (TextAt(&review, "kind") != "AdmissionReview" || TextAt(&review, "apiVersion") != kVersion) {
    return InvalidArgument("the body is no AdmissionReview of {}", kVersion);
  }
  const Json* request = Pod::Find(review, "request");
  if (request == nullptr || TextAt(request, "uid").empty()) {
    return InvalidArgument("the AdmissionReview holds no request with a uid");
  }
  return review;
}

// Creation of a pod, and not of something in it, as of ephemeral containers.
bool IsPodCreation(const Json& request) {
  const Json* kind = Pod::Find(request, "kind");
  const Json* resource = Pod::Find(request, "resource");
  return TextAt(&request, "operation") == "CREATE" && TextAt(&request, "subResource").empty() &&
         TextAt(kind, "kind") == "Pod" && TextAt(kind, "group").empty() &&
         TextAt(resource, "resource") == "pods";
}

std::string NameOf(const Json& request) {
  if (const auto name = TextAt(&request, "name"); !name.empty()) return std::string(name);
  const Json* object = Pod::Find(request, "object");
  const Json* metadata = object == nullptr ? nullptr : Pod::Find(*object, "metadata");
  if (const auto name = TextAt(metadata, "name"); !name.empty()) return std::string(name);
  return fmt::format("{}*", TextAt(metadata, "generateName"));
}

// What the pod's creator should hear: nothing of what was wished.
bool IsTold(Outcome outcome) {
  return Skipped(outcome) && outcome != Outcome::kOptedOut && outcome != Outcome::kNotAPod &&
         outcome != Outcome::kKubeNamespace && outcome != Outcome::kOwnNamespace;
}

Json WarningsOf(const Injection& injection) {
  Json warnings = Json::array();
  if (IsTold(injection.outcome)) {
    warnings.push_back(ForAnswer(fmt::format("portolan: skipped: {}", injection.detail)));
  }
  for (const std::string& warning : injection.warnings) {
    if (warnings.size() < kMaxWarnings) {
      warnings.push_back(ForAnswer(fmt::format("portolan: {}", warning)));
    }
  }
  return warnings;
}

std::string Base64(std::string_view bytes) {
  return absl::Base64Escape(absl::string_view(bytes.data(), bytes.size()));
}

std::string Dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string Answer(std::string_view uid, const Injection& injection) {
  Json response = {{"uid", uid},
                   {"allowed", !Denied(injection.outcome)},
                   {"auditAnnotations", {{"outcome", Name(injection.outcome)}}}};
  if (!injection.detail.empty()) response["auditAnnotations"]["detail"] = injection.detail;
  if (Denied(injection.outcome)) {
    response["status"] = {{"code", 403},
                          {"reason", "Forbidden"},
                          {"message", ForAnswer(fmt::format("portolan: {}", injection.detail))}};
  }
  if (!injection.patch.empty()) {
    response["patchType"] = "JSONPatch";
    response["patch"] = Base64(Dumped(injection.patch));
  }
  if (Json warnings = WarningsOf(injection); !warnings.empty()) {
    response["warnings"] = std::move(warnings);
  }
  return Dumped(
      {{"apiVersion", kVersion}, {"kind", "AdmissionReview"}, {"response", std::move(response)}});
}

Injection InjectRequested(const Json& request, std::string_view name_space,
                          const Template& settings, const ClusterFacts& facts,
                          std::string_view own_namespace) {
  if (!IsPodCreation(request)) return {Outcome::kNotAPod, "not the creation of a pod", {}};
  const Json* object = Pod::Find(request, "object");
  if (object == nullptr) return {Outcome::kBadReview, "the request holds no pod", {}};
  auto injection = Inject(*object, name_space, settings, facts, own_namespace);
  if (injection.ok()) return *std::move(injection);
  return {Outcome::kBadReview, fmt::format("no pod: {}", Message(injection.status())), {}};
}

}  // namespace

Reviewed Review(std::string_view body, const Template& settings, const ClusterFacts& facts,
                std::string_view own_namespace) {
  const auto review = ReadReview(body);
  if (!review.ok()) return NoReview(std::string(Message(review.status())));
  const Json& request = *Pod::Find(*review, "request");
  // Older API servers do not say it in the pod itself.
  const std::string_view name_space = TextAt(&request, "namespace");
  const Injection injection = InjectRequested(request, name_space, settings, facts, own_namespace);
  return {.outcome = injection.outcome,
          .name_space = ForAnswer(name_space),
          .pod = ForAnswer(NameOf(request)),
          .detail = ForAnswer(injection.detail),
          .status = 200,
          .body = Answer(TextAt(&request, "uid"), injection)};
}

}  // namespace portolan::injector
