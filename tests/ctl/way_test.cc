// The way to the control plane: the program itself, with a kubectl that is a script.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>

#include "common/guarded.h"
#include "tests/common/http/served.h"
#include "tests/ctl/invoke.h"
#include "tests/proxy/feed/temp_dir.h"

namespace portolan::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class Way : public ::testing::Test {
 protected:
  // `script`: what this kubectl does; $LOG is a file that it may write to.
  void Kubectl(const std::string& script) {
    const std::string path = folder_.path() + "/bin/kubectl";
    std::filesystem::create_directory(folder_.path() + "/bin");
    std::ofstream(path) << "#!/bin/sh\nLOG=" << folder_.path() << "/log\n" << script;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  }
  void Config() { std::ofstream(folder_.path() + "/config") << "kind: Config\n"; }
  // With that kubectl alone, and that kubeconfig.
  Ran InvokeThere(const std::string& arguments, const std::string& environment = "") {
    return Invoke(arguments, "env KUBECONFIG=" + folder_.path() + "/config PATH=" + folder_.path() +
                                 "/bin:/usr/bin:/bin " + environment + " ");
  }
  // "Forwards" to the server of the test.
  std::string Forwarding() const {
    return "echo \"$@\" >> $LOG; echo \"config $KUBECONFIG\" >> $LOG; echo $$ >> $LOG\n"
           "echo 'Forwarding from 127.0.0.1:" +
           std::to_string(served_.address().port) +
           " -> 15080'\n"
           "exec sleep 60\n";
  }
  std::string Log() const {
    std::ifstream in(folder_.path() + "/log");
    return {std::istreambuf_iterator<char>(in), {}};
  }

  proxy::TempDir folder_;
  std::string Token() const {
    return token_.With([](const auto& token) { return token; });
  }

  Guarded<std::string> token_;  // that the server was shown last
  std::atomic<bool> next_events_ = false;
  http::Served next_{[this](http::Server& server) {
    server.Get("/*", [this](const http::Request& request, http::Responder responder) {
      if (request.path == "/api/v1/events") next_events_ = true;
      responder.Send(http::TextResponse(
          200, R"({"names": [{"namespace": "default", "name": "of-the-next"}]})"));
    });
  }};
  http::Served served_{[this](http::Server& server) {
    server.Get("/*", [this](const http::Request& request, http::Responder responder) {
      token_.With([&](auto& token) { token = request.FindHeader("authorization").value_or(""); });
      http::Response response;
      response.body = R"({"names": [{"namespace": "default", "name": "backend"}]})";
      responder.Send(response);
    });
  }};
};

TEST_F(Way, LeadsThroughKubectlWhereAKubeconfigIs) {
  Kubectl(Forwarding());
  Config();
  const Ran ran = InvokeThere("names --context yard --control-namespace harbour");
  EXPECT_EQ(ran.status, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("default     backend"));
  EXPECT_THAT(Log(), HasSubstr("--context=yard --namespace=harbour port-forward "
                               "--address=127.0.0.1 deployment/portolan-control :15080\n"
                               "config " +
                               folder_.path() + "/config\n"));
}

TEST_F(Way, KubectlEndsWithTheCommand) {
  Kubectl(Forwarding());
  Config();
  ASSERT_EQ(InvokeThere("names").status, 0);
  const std::string log = Log();
  const pid_t pid = std::stoi(log.substr(log.rfind('\n', log.size() - 2) + 1));
  EXPECT_EQ(kill(pid, 0), -1);
}

TEST_F(Way, WhatKubectlSaysIsShown) {
  Kubectl("echo 'error: deployments.apps \"portolan-control\" not found' >&2; exit 1\n");
  Config();
  const Ran ran = InvokeThere("names");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("deployment/portolan-control in namespace portolan-system "
                                    "failed:\nerror: deployments.apps"));
  EXPECT_THAT(ran.output, HasSubstr("Another cluster: --context"));
}

TEST_F(Way, AConnectionThatFailsInThePodIsExplainedByKubectl) {
  Kubectl(
      "echo 'Forwarding from 127.0.0.1:1 -> 15080'\n"
      "echo 'connection refused inside namespace' >&2\nexec sleep 60\n");
  Config();
  EXPECT_THAT(InvokeThere("names").output,
              HasSubstr("kubectl port-forward said: connection refused inside namespace"));
}

TEST_F(Way, WithoutKubectlItIsSaidWhatToInstall) {
  Config();
  const Ran ran = Invoke("names", "env KUBECONFIG=" + folder_.path() + "/config PATH=/nowhere ");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("kubectl is not there"));
  EXPECT_THAT(ran.output, HasSubstr("--server URL, which needs no kubectl"));
}

TEST_F(Way, ServerNeedsNoKubectlAndNoKubeconfigNoCluster) {
  Config();
  EXPECT_EQ(InvokeThere("names --server " + served_.url()).status, 0);
  std::filesystem::remove(folder_.path() + "/config");
  EXPECT_THAT(InvokeThere("names --timeout 1s").output, HasSubstr("http://127.0.0.1:15080"));
}

TEST_F(Way, TheTokenIsOfAFileOrTheEnvironment) {
  std::ofstream(folder_.path() + "/token") << "of-a-file\n";
  const std::string names = "names --server " + served_.url();
  EXPECT_EQ(InvokeThere(names + " --token " + folder_.path() + "/token").status, 0);
  EXPECT_EQ(Token(), "Bearer of-a-file");
  EXPECT_EQ(InvokeThere(names, "PORTOLAN_TOKEN=of-the-environment").status, 0);
  EXPECT_EQ(Token(), "Bearer of-the-environment");
  EXPECT_EQ(InvokeThere(names).status, 0);
  EXPECT_EQ(Token(), "");
  EXPECT_EQ(InvokeThere(names + " --token /absent").status, 1);
}

TEST_F(Way, ATokenIsNotSentWhereOthersCouldReadIt) {
  const Ran ran = InvokeThere("names --server http://192.0.2.1:15080", "PORTOLAN_TOKEN=secret");
  EXPECT_EQ(ran.status, 1);
  EXPECT_THAT(ran.output, HasSubstr("the token is not sent to http://192.0.2.1:15080"));
  EXPECT_THAT(ran.output, Not(HasSubstr("secret")));
}

TEST_F(Way, ATokenIsSentToThisMachineHoweverItIsWritten) {
  std::ofstream(folder_.path() + "/token") << "secret";
  const auto to = [&](const std::string& server) {
    return InvokeThere("names --timeout 1s --token " + folder_.path() + "/token --server " + server)
        .output;
  };
  const std::string port = std::to_string(served_.address().port);
  for (const char* host :
       {"http://127.0.0.1:", "http://LOCALHOST:", "127.0.0.1:", "HTTP://127.1:"}) {
    EXPECT_THAT(to(host + port), HasSubstr("backend")) << host;
  }
  EXPECT_THAT(to("HTTPS://127.0.0.1:1"), HasSubstr("cannot reach"));
  EXPECT_THAT(to("'http://[::1]:1'"), HasSubstr("cannot reach"));
}

TEST_F(Way, ATokenIsNotSentToWhatOnlyLooksLikeThisMachine) {
  for (const char* server :
       {"http://127.0.0.1.evil.invalid", "http://localhost.evil.invalid", "localhost.evil.invalid",
        "http://127.0.0.1@evil.invalid", "http://localhost:80@evil.invalid", "http://evil.invalid",
        "'http://[::1]@evil.invalid'"}) {
    const Ran ran = InvokeThere(std::string("names --server ") + server, "PORTOLAN_TOKEN=secret");
    EXPECT_EQ(ran.status, 1);
    EXPECT_THAT(ran.output, HasSubstr("the token is not sent to")) << server;
  }
}

TEST_F(Way, WatchGoesOnWithTheNextKubectl) {
  // The first one ends as if its pod had.
  Kubectl(
      "echo life >> $LOG\n"
      "if [ $(wc -l < $LOG) = 1 ]; then\n"
      "  echo 'Forwarding from 127.0.0.1:" +
      std::to_string(served_.address().port) +
      " -> 15080'\n"
      "  sleep 1; exit 0\n"
      "fi\n"
      "echo 'Forwarding from 127.0.0.1:" +
      std::to_string(next_.address().port) +
      " -> 15080'\n"
      "exec sleep 60\n");
  Config();
  const Ran ran =
      InvokeThere("names --watch", "PORTOLAN_TOKEN=secret timeout --preserve-status -s INT 6");
  EXPECT_EQ(ran.status, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("default     backend"));
  EXPECT_THAT(ran.output, HasSubstr("default     of-the-next"));
  EXPECT_TRUE(next_events_);
}

TEST_F(Way, WatchShowsTheTokenThatStandsInItsFileNow) {
  std::ofstream(folder_.path() + "/token") << "first";
  http::Served rotating([&](http::Server& server) {
    server.Get("/*", [&](const http::Request& request, http::Responder responder) {
      token_.With([&](auto& token) { token = request.FindHeader("authorization").value_or(""); });
      std::ofstream(folder_.path() + "/token") << "second";
      responder.Send(http::TextResponse(200, R"({"names": []})"));
    });
  });
  InvokeThere("names --watch --token " + folder_.path() + "/token --server " + rotating.url(),
              "timeout --preserve-status -s INT 4");
  EXPECT_EQ(Token(), "Bearer second");
}

TEST_F(Way, ABrowserThatStaysInTheForegroundDoesNotHoldTheDashboard) {
  Kubectl(Forwarding());
  Config();
  std::ofstream(folder_.path() + "/bin/xdg-open") << "#!/bin/sh\ntrap '' INT\nexec sleep 20\n";
  std::filesystem::permissions(folder_.path() + "/bin/xdg-open", std::filesystem::perms::owner_all);
  const Ran ran = InvokeThere("dashboard", "timeout --preserve-status -k 5 -s INT 4");
  EXPECT_EQ(ran.status, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("The page is there until Ctrl-C."));
  EXPECT_THAT(ran.output, Not(HasSubstr("No browser")));
}

TEST_F(Way, TheDashboardIsOpenUntilCtrlC) {
  // timeout signals kubectl too, which is to end by us.
  Kubectl("trap '' INT\n" + Forwarding());
  Config();
  const Ran ran = InvokeThere("dashboard --no-browser", "timeout --preserve-status -k 5 -s INT 2");
  EXPECT_EQ(ran.status, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr(served_.url() + "/\n"));
  EXPECT_THAT(ran.output, HasSubstr("The page is there until Ctrl-C."));
  const std::string log = Log();
  const pid_t pid = std::stoi(log.substr(log.rfind('\n', log.size() - 2) + 1));
  EXPECT_EQ(kill(pid, 0), -1);
}

}  // namespace
}  // namespace portolan::ctl
