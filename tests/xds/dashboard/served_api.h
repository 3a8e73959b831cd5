// An API on a loop and thread of its own, with a directory that tests write to.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "common/status.h"
#include "tests/common/http/served.h"
#include "tests/directory/small_cluster.h"
#include "xds/dashboard/api.h"
#include "xds/serving/resource_cache.h"

namespace portolan::xds {

// Answers as they are set, by the path asked for.
class FakeReplicas : public Replicas {
 public:
  const std::string& self() const override { return self_; }
  void Ask(std::string target, absl::Duration within, Done done) override {
    patience = within;
    Answer("GET " + target, done);
  }
  void Post(std::string target, absl::Duration within, Done done) override {
    patience = within;
    Answer("POST " + target, done);
  }

  std::vector<ReplicaAnswer> answers;
  std::vector<std::string> asked;
  absl::Duration patience;

 private:
  void Answer(std::string what, const Done& done) {
    asked.push_back(std::move(what));
    done(answers);
  }

  const std::string self_ = "control-a";
};

class ServedApi {
 public:
  explicit ServedApi(Api::Options options = {}) {
    // What the first change puts was there from the start.
    if (options.ready == nullptr) options.ready = [this] { return loaded_; };
    options.resources = [this] { return cache_.current(); };
    served_ = std::make_unique<http::Served>([](http::Server&) {});
    served_->On([&](http::Server& server) {
      api_ = std::make_unique<Api>(served_->loop(), server, std::move(options));
      return 0;
    });
  }
  ~ServedApi() {
    On([this] { api_.reset(); });
  }

  // Runs `change` on the loop and has the API follow.
  void Change(const std::function<void(Directory&)>& change) {
    served_->On([&](http::Server&) {
      change(directory_);
      Commit();
      return 0;
    });
  }
  void SetCorefile(const std::string& text) {
    served_->On([&](http::Server&) {
      api_->SetCorefile(text);
      return 0;
    });
  }
  template <typename F>
  void On(F task) {
    served_->On([&](http::Server&) {
      task();
      return 0;
    });
  }

  std::string Fetch(std::string_view method, std::string_view target,
                    std::string_view fields = {}) {
    return http::Fetch(served_->address(), method, target, fields);
  }
  std::string Get(std::string_view target, std::string_view fields = {}) {
    return Fetch("GET", target, fields);
  }
  nlohmann::json GetJson(std::string_view target) {
    return nlohmann::json::parse(http::BodyOf(Get(target)), nullptr, false);
  }

 private:
  void Commit() {
    const Directory::Committed committed = directory_.Commit();
    cache_.Update(committed);
    std::vector<std::string> changed;
    addresses_ = addresses_.Next(committed, &changed);
    api_->OnCommit(committed, addresses_);
    loaded_ = true;
  }

  Directory directory_;
  ResourceCache cache_;
  AddressIndex addresses_;
  bool loaded_ = false;
  std::unique_ptr<http::Served> served_;
  std::unique_ptr<Api> api_;
};

}  // namespace portolan::xds
