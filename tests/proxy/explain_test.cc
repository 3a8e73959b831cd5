#include "proxy/explain.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "common/status.h"
#include "tests/directory/small_cluster.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ResolvConf AsKubeletWritesIt() {
  return ParseResolvConf(
      "search default.svc.cluster.local svc.cluster.local cluster.local\n"
      "nameserver 10.43.0.10\noptions ndots:5\n",
      "resolv.conf");
}

TEST(NamesAskedFor, FollowTheSearchListBelowNdots) {
  EXPECT_THAT(NamesAskedFor("backend", AsKubeletWritesIt()),
              ElementsAre("backend.default.svc.cluster.local.", "backend.svc.cluster.local.",
                          "backend.cluster.local.", "backend."));
}

TEST(NamesAskedFor, BeginWithTheNameItselfFromNdotsOn) {
  ResolvConf two = AsKubeletWritesIt();
  two.ndots = 1;
  EXPECT_EQ(NamesAskedFor("a.b", two).front(), "a.b.");
  EXPECT_EQ(NamesAskedFor("a.b", two).size(), 4u);
}

TEST(NamesAskedFor, EndWithAFinalDot) {
  EXPECT_THAT(NamesAskedFor("backend.", AsKubeletWritesIt()), ElementsAre("backend."));
}

// A DNS server that knows one name, and says nothing to another.
class OddServer {
 public:
  explicit OddServer(EventLoop& loop) {
    fd_ = Fd(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(bind(fd_.get(), reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
    watch_ = loop.AddWatch(fd_.get(), EventLoop::Interest::kRead, [this] { OnReadable(); });
  }
  SocketAddress address() const {
    sockaddr_in at{};
    socklen_t size = sizeof at;
    getsockname(fd_.get(), reinterpret_cast<sockaddr*>(&at), &size);
    return *SocketAddress::From(reinterpret_cast<sockaddr*>(&at), size);
  }
  int questions = 0;

 private:
  void OnReadable() {
    std::array<uint8_t, 512> bytes;
    sockaddr_storage from{};
    socklen_t from_size = sizeof from;
    const ssize_t size = recvfrom(fd_.get(), bytes.data(), bytes.size(), 0,
                                  reinterpret_cast<sockaddr*>(&from), &from_size);
    if (size < 12) return;
    ++questions;
    const std::string question(reinterpret_cast<const char*>(bytes.data()) + 12,
                               static_cast<size_t>(size) - 12);
    if (question.find("silent") != question.npos) return;
    const bool known = question.find(
                           "\x07"
                           "backend\x03svc") != question.npos;
    // The header and the question alone; an answer where the name is known.
    const size_t question_end = 12 + question.find('\0') + 5;
    std::string reply(reinterpret_cast<const char*>(bytes.data()), question_end);
    reply[2] = '\x81';
    reply[3] = known ? '\x80' : '\x83';
    reply[7] = known ? '\x01' : '\x00';
    reply[11] = '\x00';
    if (known) reply += std::string("\xc0\x0c\0\x01\0\x01\0\0\0\x1e\0\x04\x0a\x2b\0\x7b", 16);
    const auto send = [&](const std::string& what) {
      sendto(fd_.get(), what.data(), what.size(), 0, reinterpret_cast<sockaddr*>(&from), from_size);
    };
    std::string other_id = reply;
    other_id[0] = static_cast<char>(~other_id[0]);
    send("short");
    send(other_id);
    send(reply);
  }

  Fd fd_;
  EventLoop::Watch watch_;
};

class ExplainerTest : public ::testing::Test {
 protected:
  absl::StatusOr<json> LookUp(const std::string& name, const std::string& type = "A") {
    std::optional<absl::StatusOr<json>> got;
    explainer.LookUp(name, type, AsKubeletWritesIt(), [&](absl::StatusOr<json> explained) {
      got = std::move(explained);
      loop.Stop();
    });
    if (!got) loop.Run();
    return *got;
  }

  absl::StatusOr<json> LookUpSilent() {
    Explainer impatient(loop, server.address(), absl::ZeroDuration());
    std::optional<absl::StatusOr<json>> got;
    impatient.LookUp("silent", "A", AsKubeletWritesIt(), [&](absl::StatusOr<json> explained) {
      got = std::move(explained);
      loop.Stop();
    });
    loop.Run();
    return *got;
  }

  EventLoop loop;
  OddServer server{loop};
  Explainer explainer{loop, server.address()};
};

TEST_F(ExplainerTest, ShowsEachLookupUntilOneHasAnAnswer) {
  const auto explained = LookUp("backend");
  ASSERT_TRUE(explained.ok()) << explained.status();
  EXPECT_EQ((*explained)["lookups"], json::parse(R"([
    {"name": "backend.default.svc.cluster.local.", "rcode": "NXDOMAIN", "answers": []},
    {"name": "backend.svc.cluster.local.", "rcode": "NOERROR",
     "answers": ["backend.svc.cluster.local. 30 IN A 10.43.0.123"]}])"));
  EXPECT_EQ((*explained)["ndots"], 5);
  EXPECT_EQ(server.questions, 2);
}

TEST_F(ExplainerTest, SaysWhichLookupHadNoAnswer) {
  const auto explained = LookUpSilent();
  ASSERT_TRUE(explained.ok()) << explained.status();
  ASSERT_EQ((*explained)["lookups"].size(), 1u);
  EXPECT_EQ((*explained)["lookups"][0]["error"], "no answer in time");
}

TEST_F(ExplainerTest, RefusesWhatIsNoNameOrNoType) {
  EXPECT_TRUE(absl::IsInvalidArgument(LookUp("").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(LookUp("a..b").status()));
  EXPECT_THAT(std::string(Message(LookUp("a", "AAAAA").status())),
              HasSubstr("did you mean 'AAAA'"));
}

TEST_F(ExplainerTest, PassesOverANameThatASearchDomainMakesTooLong) {
  std::string name;
  while (name.size() < 240) name += "0123456789.";
  const auto explained = LookUp(name + "a");
  ASSERT_TRUE(explained.ok()) << explained.status();
  EXPECT_EQ((*explained)["lookups"].back()["rcode"], "NXDOMAIN");
}

TEST_F(ExplainerTest, BoundsHowManyAreUnderWay) {
  for (size_t i = 0; i < Explainer::kMostAtOnce; ++i) {
    explainer.LookUp("silent", "A", AsKubeletWritesIt(), [](const auto&) {});
  }
  EXPECT_TRUE(absl::IsResourceExhausted(LookUp("backend").status()));
}

}  // namespace
}  // namespace portolan::proxy
