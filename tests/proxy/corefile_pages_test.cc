#include "proxy/corefile_pages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/http/server.h"

namespace portolan::proxy {
namespace {

using ::testing::HasSubstr;

class CorefilePagesTest : public ::testing::Test {
 protected:
  // A port that something listens on, and one that was free a moment ago.
  CorefilePagesTest() {
    taken_server_ = *http::Server::Listen(loop_, {.name = "app", .listen = {Loopback(0)}});
    taken_ = taken_server_->addresses()[0].port;
    auto other = *http::Server::Listen(loop_, {.name = "app", .listen = {Loopback(0)}});
    free_ = other->addresses()[0].port;
  }

  static SocketAddress Loopback(uint16_t port) { return {*IpAddress::Parse("127.0.0.1"), port}; }
  static std::optional<dns::HttpAddress> At(uint16_t port) {
    return dns::HttpAddress{*IpAddress::Parse("127.0.0.1"), port};
  }
  bool IsOpen(uint16_t port) {
    return !http::Server::Listen(loop_, {.name = "probe", .listen = {Loopback(port)}}).ok();
  }
  static std::string MetricsOf(CorefilePages& pages) {
    MetricsPage page;
    page.AddSource([&](MetricFamilies& families) { pages.CollectMetrics(families); });
    return page.Render();
  }

  const CorefilePages::Page page_{"prometheus", "/metrics", [](const auto&, http::Responder) {}};
  EventLoop loop_;
  std::unique_ptr<http::Server> taken_server_;
  uint16_t taken_ = 0;
  uint16_t free_ = 0;
};

TEST_F(CorefilePagesTest, AnAddressOfItsOwnIsOpenedAndClosedAgain) {
  CorefilePages pages(loop_, {});
  pages.Serve(page_, At(free_));
  EXPECT_TRUE(IsOpen(free_));
  pages.Serve(page_, At(free_));
  EXPECT_TRUE(IsOpen(free_));
  pages.Serve(page_, std::nullopt);
  EXPECT_FALSE(IsOpen(free_));
}

TEST_F(CorefilePagesTest, APortThatAContainerDeclaresIsLeftToItAndCounted) {
  CorefilePages pages(loop_, {80, free_});
  pages.Serve(page_, At(free_));
  EXPECT_FALSE(IsOpen(free_));
  EXPECT_THAT(MetricsOf(pages), HasSubstr("_not_opened_total{reason=\"declared\"} 1"));
}

TEST_F(CorefilePagesTest, APortThatIsTakenIsLeftAndCounted) {
  CorefilePages pages(loop_, {});
  pages.Serve(page_, At(taken_));
  EXPECT_THAT(MetricsOf(pages), HasSubstr("_not_opened_total{reason=\"taken\"} 1"));
}

}  // namespace
}  // namespace portolan::proxy
