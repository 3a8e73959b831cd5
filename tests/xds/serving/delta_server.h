// A server on loopback with a directory to fill, for tests.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "directory/directory.h"
#include "xds/serving/resource_cache.h"
#include "xds/serving/server.h"

namespace portolan::xds {

class DeltaServer : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = Server::Start({{*SocketAddress::Parse("127.0.0.1:0")}, "test"}, cache_.current());
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  uint16_t port() const { return server_->listening()[0].port; }
  void Commit() { server_->Publish(cache_.Update(directory_.Commit())); }
  template <typename... T>
  void Put(T... objects) {
    (directory_.Put(objects), ...);
    Commit();
  }
  std::string Generation() const { return fmt::format("{}", directory_.snapshot()->generation()); }
  // The first (and here only) client's status of a type, once `done` holds for it.
  TypeStatus StatusOnce(ResourceType type, const std::function<bool(const TypeStatus&)>& done) {
    for (int i = 0; i < 500; ++i) {
      for (const ClientStatus& client : server_->Clients()) {
        for (const TypeStatus& status : client.types) {
          if (status.type_url == TypeUrl(type) && done(status)) return status;
        }
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << "never so";
    return {};
  }

  Directory directory_;
  ResourceCache cache_;
  std::unique_ptr<Server> server_;
};

}  // namespace portolan::xds
