// Completion, asked for as a shell does, and by bash itself.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/common/http/served.h"
#include "tests/ctl/invoke.h"
#include "tests/proxy/feed/temp_dir.h"

namespace portolan::ctl {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class Completion : public ::testing::Test {
 protected:
  static std::string For(const std::string& words) {
    return Invoke("__complete -- " + words).output;
  }
  std::string With(const std::string& words) {
    return For("--server " + served_.url() + " " + words);
  }

  // What bash has in COMPREPLY with the cursor behind `line`.
  std::string ByBash(const std::string& line) {
    const std::string script = folder_.path() + "/script";
    std::ofstream(script) << "source <(" PORTOLANCTL " completion bash)\n"
                          << "line='" << line << "'\n"
                          << "IFS=' ' read -ra COMP_WORDS <<< \"$line\"\n"
                          << "[[ $line == *' ' ]] && COMP_WORDS+=('')\n"
                          << "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
                          << "_portolanctl\n"
                          << "printf '%s\\n' \"${COMPREPLY[@]}\"\n"
                          << "complete -p portolanctl\n";
    FILE* pipe = popen(("bash " + script + " 2>&1").c_str(), "r");
    std::string out;
    char buffer[4096];
    size_t n = 0;
    while ((n = fread(buffer, 1, sizeof buffer, pipe)) > 0) out.append(buffer, n);
    pclose(pipe);
    return out;
  }

  proxy::TempDir folder_;
  http::Served served_{[](http::Server& server) {
    server.Get("/api/v1/names", [](const http::Request&, http::Responder responder) {
      http::Response response;
      response.body = R"~({"names": [{"namespace": "default", "name": "backend"},
                                    {"namespace": "web", "name": "shop"},
                                    {"namespace": "web", "name": "$(touch /tmp/owned)"}]})~";
      responder.Send(response);
    });
    server.Get("/api/v1/sidecars", [](const http::Request&, http::Responder responder) {
      http::Response response;
      response.body = R"({"sidecars": [{"node": "default/frontend-1"}]})";
      responder.Send(response);
    });
  }};
};

TEST_F(Completion, OfCommandsButNotTheHiddenOne) {
  EXPECT_EQ(For("na"), "names\n");
  EXPECT_THAT(For("''"), HasSubstr("analyze\ncompletion\nconfig-dump\n"));
  EXPECT_THAT(For("''"), Not(HasSubstr("__complete")));
}

TEST_F(Completion, OfFlagsOfTheCommandAndOfAll) {
  EXPECT_EQ(For("names --w"), "--warnings\n--watch\n");
  EXPECT_EQ(For("names --ser"), "--server\n");
  EXPECT_EQ(For("log-level --wat"), "");
}

TEST_F(Completion, OfValuesThatAreOneOfSome) {
  EXPECT_EQ(For("names -o ''"), "json\ntable\nwide\nyaml\n");
  EXPECT_EQ(For("names --output = js"), "json\n");
  EXPECT_EQ(For("log-level d"), "debug\n");
  EXPECT_EQ(For("completion ''"), "bash\nzsh\n");
  EXPECT_EQ(For("top ''"), "all\namplifiers\nnames\nupstreams\n");
}

TEST_F(Completion, OfWhatTheClusterHasAndAShellCanTake) {
  EXPECT_EQ(With("endpoints ''"), "backend\ndefault/backend\nweb/shop\n");
  EXPECT_EQ(With("endpoints web/"), "web/shop\n");
  EXPECT_EQ(With("endpoints backend ''"), "");
  EXPECT_EQ(With("config-dump --pod ''"), "default/frontend-1\n");
  EXPECT_EQ(With("policy test --from ''"), "default/frontend-1\n");
  EXPECT_EQ(With("diff d"), "default/frontend-1\n");
  // zsh leaves them whole.
  EXPECT_EQ(For("--server=" + served_.url() + " diff d"), "default/frontend-1\n");
  // The words count, not what stands before them.
  EXPECT_EQ(
      Invoke("--server http://127.0.0.1:1 __complete -- --server " + served_.url() + " diff d")
          .output,
      "default/frontend-1\n");
}

TEST_F(Completion, OfFilesIsTheShells) { EXPECT_EQ(For("analyze -f ''"), ":files\n"); }

TEST_F(Completion, WithoutAnAnswerIsEmpty) {
  EXPECT_EQ(For("--server http://127.0.0.1:1 endpoints ''"), "");
}

TEST_F(Completion, ByBash) {
  const std::string program = PORTOLANCTL;
  EXPECT_THAT(ByBash(program + " na"), StartsWith("names\n"));
  EXPECT_THAT(ByBash(program + " na"), HasSubstr("complete -F _portolanctl portolanctl"));
  EXPECT_THAT(ByBash(program + " --server " + served_.url() + " endpoints "),
              StartsWith("backend\ndefault/backend\nweb/shop\n"));
}

TEST_F(Completion, ForZshIsAScriptToo) {
  EXPECT_THAT(Invoke("completion zsh").output, StartsWith("#compdef portolanctl\n"));
  EXPECT_EQ(Invoke("completion fish").status, 2);
}

}  // namespace
}  // namespace portolan::ctl
