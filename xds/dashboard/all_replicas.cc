#include "xds/dashboard/all_replicas.h"

#include <fmt/format.h>

#include <utility>

namespace portolan::xds {
namespace {

using nlohmann::json;

// RFC 3986 2.3, and the slash of paths.
std::string Escape(std::string_view text) {
  constexpr std::string_view kPlain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
  std::string out;
  for (const char c : text) {
    if (kPlain.find(c) != kPlain.npos) {
      out.push_back(c);
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace

void AllReplicas::Ask(const http::Request& request, absl::Duration patience, Done done) const {
  if (replicas_ == nullptr || request.FindQuery("scope") == "local") return done({});
  if (request.method == "POST") {
    return replicas_->Post(TargetOf(request), patience, std::move(done));
  }
  replicas_->Ask(TargetOf(request), patience, std::move(done));
}

std::string TargetOf(const http::Request& request) {
  std::string target = Escape(request.path);
  char separator = '?';
  for (const auto& [key, value] : request.query) {
    target += fmt::format("{}{}={}", separator, Escape(key), Escape(value));
    separator = '&';
  }
  return target;
}

std::vector<json> ListsOf(const std::vector<ReplicaAnswer>& others, const char* key) {
  std::vector<json> objects;
  for (const ReplicaAnswer& other : others) {
    if (!other.answer.ok() || !other.answer->is_object()) continue;
    const auto list = other.answer->find(key);
    if (list == other.answer->end() || !list->is_array()) continue;
    for (const json& object : *list) {
      if (object.is_object()) objects.push_back(object);
    }
  }
  return objects;
}

uint64_t NumberIn(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number_unsigned() ? found->get<uint64_t>() : 0;
}

}  // namespace portolan::xds
