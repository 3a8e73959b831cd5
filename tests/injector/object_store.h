// An ApiClient whose server is a map of objects in memory: GET, POST, PUT and PATCH with
// resourceVersions, as an API server does them (shared/recordings/README.md, PATCH). Answers come
// with the loop's next turn, so that replicas on one loop come between each other's reads and
// writes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "common/event_loop.h"
#include "common/kubernetes/api_client.h"
#include "common/status.h"

namespace portolan::test {

class ObjectStore : public ApiClient {
 public:
  using Json = nlohmann::json;

  explicit ObjectStore(EventLoop& loop) : loop_(loop) {}

  // By path: "/api/v1/namespaces/a/secrets/b".
  std::map<std::string, Json> objects;
  // What is answered instead, where it says so: a status; 0: the connection is lost.
  std::function<std::optional<int>(const ApiRequest&)> refuse;
  std::map<std::string, int> asked;  // "PUT /api/...": how often

  void Put(const std::string& path, Json object) {
    object["metadata"]["resourceVersion"] = std::to_string(++version_);
    objects[path] = std::move(object);
  }
  std::string Secret(const std::string& path, const std::string& key) const {
    const auto found = objects.find(path);
    if (found == objects.end() || !found->second["data"].contains(key)) return "";
    std::string text;
    absl::Base64Unescape(found->second["data"][key].get<std::string>(), &text);
    return text;
  }
  int writes() const {
    int sum = 0;
    for (const auto& [what, count] : asked) sum += what.starts_with("GET") ? 0 : count;
    return sum;
  }

  std::unique_ptr<Exchange> Start(ApiRequest request, Listener& listener) override {
    auto open = std::make_shared<Listener*>(&listener);
    loop_.Post([this, open, request = std::move(request)] { Answer(request, *open); });
    return std::make_unique<Open>(open);
  }

 private:
  struct Open : Exchange {
    explicit Open(std::shared_ptr<Listener*> to) : listener(std::move(to)) {}
    ~Open() override { *listener = nullptr; }
    std::shared_ptr<Listener*> listener;
  };
  using Answered = std::pair<int, std::string>;

  void Answer(const ApiRequest& request, Listener*& open) {
    if (open == nullptr) return;
    ++asked[request.method + " " + request.target];
    const auto refusal = refuse ? refuse(request) : std::nullopt;
    if (refusal == 0) return open->OnEnd(absl::UnavailableError("Connection refused"));
    const Answered answer = refusal.has_value() ? Refusal(*refusal, "Refused") : Do(request);
    open->OnHead({answer.first, std::nullopt, "application/json"});
    open->OnBytes(answer.second);
    open->OnEnd(absl::OkStatus());
  }

  static Answered Refusal(int code, const std::string& reason) {
    return {code, Json({{"kind", "Status"},
                        {"code", code},
                        {"reason", reason},
                        {"message", "refused: " + reason}})
                      .dump()};
  }

  Answered Do(const ApiRequest& request) {
    const std::string& path = request.target;
    const Json body = Json::parse(request.body, nullptr, false);
    if (request.method == "POST") {
      const std::string own = path + "/" + body["metadata"]["name"].get<std::string>();
      if (objects.contains(own)) return Refusal(409, "AlreadyExists");
      Put(own, body);
      return {201, objects[own].dump()};
    }
    const auto found = objects.find(path);
    if (found == objects.end()) return Refusal(404, "NotFound");
    if (request.method == "PUT") {
      if (body["metadata"]["resourceVersion"] != found->second["metadata"]["resourceVersion"]) {
        return Refusal(409, "Conflict");
      }
      Put(path, body);
    } else if (request.method == "PATCH" && !Patch(request, body, path)) {
      return Refusal(422, "Invalid");
    }
    return {200, objects[path].dump()};
  }

  bool Patch(const ApiRequest& request, const Json& patch, const std::string& path) {
    Json object = objects[path];
    if (request.content_type == "application/merge-patch+json") {
      object.merge_patch(patch);
    } else {
      try {
        object = object.patch(patch);
      } catch (const Json::exception&) {
        return false;
      }
    }
    if (object != objects[path]) Put(path, std::move(object));
    return true;
  }

  EventLoop& loop_;
  int version_ = 100;
};

}  // namespace portolan::test
