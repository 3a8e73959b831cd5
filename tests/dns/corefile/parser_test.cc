#include "dns/corefile/parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace portolan::dns::corefile {
namespace {

using ::testing::HasSubstr;

// Files that stand in a map instead of a folder.
using Files = std::map<std::string, std::string>;

class MapImports : public ImportSource {
 public:
  explicit MapImports(Files files) : files_(std::move(files)) {}

  absl::StatusOr<std::vector<std::string>> Match(std::string_view pattern,
                                                 std::string_view) const override {
    std::vector<std::string> out;
    for (const auto& [name, text] : files_) {
      if (pattern == name ||
          (pattern.ends_with('*') && name.starts_with(pattern.substr(0, pattern.size() - 1)))) {
        out.push_back(name);
      }
    }
    if (out.empty() && !pattern.ends_with('*')) return NotFound("no file {}", pattern);
    return out;
  }
  absl::StatusOr<std::string> Read(const std::string& path, size_t max_bytes) const override {
    const std::string& text = files_.at(path);
    if (text.size() > max_bytes) return InvalidArgument("{} is too large", path);
    return text;
  }

 private:
  Files files_;
};

std::string Show(const std::vector<Directive>& directives) {
  std::string out;
  for (const Directive& directive : directives) {
    if (!out.empty()) out += "; ";
    out += directive.name.text;
    for (const Token& argument : directive.arguments) out += " <" + argument.text + ">";
    if (!directive.block.empty()) out += " {" + Show(directive.block) + "}";
  }
  return out;
}

// ". cluster.local: errors; cache <30>", one line for each block.
std::string Show(const Corefile& corefile) {
  std::string out;
  for (const ServerBlock& block : corefile.blocks) {
    if (!out.empty()) out += "\n";
    for (size_t i = 0; i < block.keys.size(); ++i) out += (i > 0 ? " " : "") + block.keys[i].text;
    out += ": " + Show(block.directives);
  }
  return out;
}

std::string Parse(std::string_view text, const ImportSource* imports = nullptr) {
  ParseOptions options;
  options.imports = imports;
  options.environment = [](std::string_view name) -> std::optional<std::string> {
    if (name == "ZONE") return "cluster.local";
    if (name == "TWO_WORDS") return "a b";
    if (name == "LOOP") return "{$LOOP}";
    return std::nullopt;
  };
  auto corefile = ParseCorefile(text, "Corefile", options);
  if (!corefile.ok()) return "error " + std::string(Message(corefile.status()));
  return Show(*corefile);
}

TEST(Corefile, TheSeedsFileIsReadWordForWord) {
  EXPECT_EQ(Parse(R"(.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    hosts {
       # Static entries if needed
       fallthrough
    }
    cache 30
    loop
    reload
    loadbalance
}
)"),
            ".:53: errors; health {lameduck <5s>}; ready; "
            "kubernetes <cluster.local> <in-addr.arpa> <ip6.arpa> {pods <insecure>; "
            "fallthrough <in-addr.arpa> <ip6.arpa>; ttl <30>}; prometheus <:9153>; "
            "hosts {fallthrough}; cache <30>; loop; reload; loadbalance");
}

TEST(Corefile, SeveralBlocksStandInOrder) {
  EXPECT_EQ(Parse("a.example {\n whoami\n}\n\nb.example:1053 {\n}\n"),
            "a.example: whoami\nb.example:1053: ");
}

TEST(Corefile, KeysStandOnALineOrBehindCommasOverLines) {
  EXPECT_EQ(Parse("a b,\n c, d {\n log\n}"), "a b c d: log");
}

TEST(Corefile, ABraceMayStandOnTheLineAfterTheKeys) { EXPECT_EQ(Parse("a\n{\n log\n}"), "a: log"); }

TEST(Corefile, ASingleBlockNeedsNoBraces) {
  EXPECT_EQ(Parse(".:53\nerrors\nhosts {\n fallthrough\n}\nforward . 9.9.9.9"),
            ".:53: errors; hosts {fallthrough}; forward <.> <9.9.9.9>");
  EXPECT_EQ(Parse("example.org"), "example.org: ");
}

TEST(Corefile, AnEmptyFileHasNoBlocks) {
  EXPECT_EQ(Parse(""), "");
  EXPECT_EQ(Parse("# only a comment"), "");
}

TEST(Corefile, BlocksNest) {
  EXPECT_EQ(Parse(". {\n log . {\n  class {\n   denial\n  }\n }\n}"),
            ".: log <.> {class {denial}}");
}

TEST(Corefile, WindowsLineEndsAndAByteOrderMarkAreDropped) {
  EXPECT_EQ(Parse("\xEF\xBB\xBF.:53 {\r\n  cache 30\r\n}\r\n"), ".:53: cache <30>");
}

TEST(Corefile, CommentsRunToTheEndOfTheLine) {
  EXPECT_EQ(Parse("# first\n. { # zone\n log#now\n # } no\n cache 30 # s\n}"),
            ".: log; cache <30>");
}

TEST(Corefile, DoubleQuotesKeepBlanksAndEscapeOnlyQuotes) {
  EXPECT_EQ(Parse(R"(. {
 log . "{remote} \"x\" \n # no comment"
 x "" "{" "}"
})"),
            R"(.: log <.> <{remote} "x" \n # no comment>; x <> <{> <}>)");
}

TEST(Corefile, AQuoteBehindTwoBackslashesEndsTheWord) {
  EXPECT_EQ(Parse(R"(. {
 x "a\\" "b\.c" d
})"),
            R"(.: x <a\\> <b\.c> <d>)");
}

TEST(Corefile, BackquotesHaveNoEscapes) {
  EXPECT_EQ(Parse(". {\n template `a \\\"b\\\" # c`\n}"), ".: template <a \\\"b\\\" # c>");
}

TEST(Corefile, AQuotedWordSpansLinesAndTheNextWordStaysOnItsLine) {
  EXPECT_EQ(Parse(". {\n x \"a\nb\" c\n y\n}"), ".: x <a\nb> <c>; y");
}

TEST(Corefile, VariablesAreReplacedInsideWordsAndKeys) {
  EXPECT_EQ(Parse("{$ZONE}:53 {\n x {%ZONE%}. \"q {$ZONE} q\"\n}"),
            "cluster.local:53: x <cluster.local.> <q cluster.local q>");
}

TEST(Corefile, AVariablesValueIsOneWordAndNotLookedAtAgain) {
  EXPECT_EQ(Parse(". {\n x {$TWO_WORDS} {$LOOP} {$UNSET} {$} {$NO\n}"),
            ".: x <a b> <{$LOOP}> <> <{$}> <{$NO>");
}

TEST(Corefile, SnippetsStandForTheirLines) {
  EXPECT_EQ(Parse("(common) {\n errors\n hosts {\n  fallthrough\n }\n}\n"
                  "a {\n import common\n log\n}\nb {\n import common\n}\n"),
            "a: errors; hosts {fallthrough}; log\nb: errors; hosts {fallthrough}");
}

TEST(Corefile, SnippetsImportSnippetsAndStandInNestedBlocks) {
  EXPECT_EQ(Parse("(inner) {\n ttl 5\n}\n(outer) {\n kubernetes {\n  import inner\n }\n}\n"
                  ". {\n import outer\n}"),
            ".: kubernetes {ttl <5>}");
}

TEST(Corefile, AVariableInASnippetIsReplacedWhereItIsImported) {
  EXPECT_EQ(Parse("(s) {\n x {$ZONE}\n}\n. {\n import s\n}"), ".: x <cluster.local>");
}

TEST(Corefile, FilesAreImportedAtTheTopAndInBlocks) {
  MapImports imports(
      {{"lines", "errors\nlog"}, {"zones/a", "a {\n import lines\n}"}, {"zones/b", "b {\n}"}});
  EXPECT_EQ(Parse("import zones/*\n. {\n import lines\n}", &imports),
            "a: errors; log\nb: \n.: errors; log");
}

TEST(Corefile, APatternWithoutFilesStandsForNothing) {
  MapImports imports(Files{});
  EXPECT_EQ(Parse("import zones/*\n. {\n}", &imports), ".: ");
}

TEST(Corefile, AnImportedFilesErrorsCarryItsName) {
  MapImports imports(Files{{"lines", "errors\nlog {\n"}});
  EXPECT_EQ(Parse(". {\n import lines\n}", &imports), "error lines:2:5: this '{' is never closed");
}

struct Wrong {
  std::string_view text;
  std::string_view error;
};

TEST(Corefile, ErrorsNameFileLineAndColumn) {
  const Wrong wrong[] = {
      {". {\n errors\n", "Corefile:1:3: this '{' is never closed"},
      {". {\n hosts {\n }\n", "Corefile:1:3: this '{' is never closed"},
      {". {\n}\n}", "Corefile:3:1: '}' without a '{' before it"},
      {".\n errors\n}", "Corefile:3:1: '}' without a '{' before it"},
      {"{\n}", "Corefile:1:1: a server block needs a zone, such as '.:53'"},
      {". {\n errors }\n}", "Corefile:2:9: '}' must stand on a line of its own"},
      {". {\n hosts { fallthrough\n }\n}",
       "Corefile:2:10: what follows '{' must start on a new line"},
      {". {\n hosts {\n } log\n}", "Corefile:3:4: what follows '}' must start on a new line"},
      {". {\n hosts\n {\n }\n}", "Corefile:3:2: '{' must stand at the end of its directive's line"},
      {". {\n hosts{\n }\n}", "Corefile:2:2: 'hosts{': a space is missing before '{'"},
      {". {\n log \"a\n}", "Corefile:2:6: the quote \" is never closed"},
      {". {\n log `a\n}", "Corefile:2:6: the quote ` is never closed"},
      {"a, {\n}", "Corefile:1:4: another zone must follow the comma"},
      {"a,", "Corefile:1:1: another zone must follow the comma"},
      {"(s)\n", "Corefile:1:1: the snippet (s) needs a block in braces"},
      {"(s) {\n log", "Corefile:1:5: this '{' is never closed"},
      {"(s) {\n}\n(s) {\n}", "Corefile:3:1: the snippet (s) is defined twice"},
      {". {\n import\n}", "Corefile:2:2: import needs a snippet, a file or a pattern"},
      {". {\n import a b\n}", "Corefile:2:11: import takes one argument"},
      {". {\n import later\n}\n(later) {\n}",
       "Corefile:2:9: no snippet (later) stands above, and this Corefile cannot import files"},
      {"(s) {\n import s\n}\n. {\n import s\n}", "Corefile:2:9: (s) imports itself"},
      {"(s) {\n }\n}\n", "Corefile:3:1: '}' without a '{' before it"},
  };
  for (const Wrong& w : wrong) EXPECT_EQ(Parse(w.text), "error " + std::string(w.error)) << w.text;
}

TEST(Corefile, ASnippetDefinedLaterMayCloseACircleAndIsCaught) {
  MapImports imports(Files{{"a", "import b"}, {"b", "import a"}});
  EXPECT_EQ(Parse("import a", &imports), "error b:1:8: a imports itself");
}

TEST(Corefile, ANulByteIsAnError) {
  EXPECT_EQ(Parse(std::string_view(". {\n a\0b\n}", 10)),
            "error Corefile:2:2: a NUL byte in a word");
}

TEST(Corefile, DepthIsBounded) {
  std::string text = ". {\n";
  for (int i = 0; i < 1000; ++i) text += "a {\n";
  EXPECT_THAT(Parse(text), HasSubstr("more than 64 blocks and imports inside each other"));
}

TEST(Corefile, SizeIsBounded) {
  EXPECT_THAT(Parse(std::string(kMaxCorefileBytes + 1, ' ')), HasSubstr("more than the 1048576"));
}

TEST(Corefile, SnippetsThatDoubleEachOtherAreStoppedByTheWordCount) {
  std::string text = "(s0) {\n a\n}\n";
  for (int i = 1; i < 40; ++i) {
    const std::string before = "import s" + std::to_string(i - 1) + "\n";
    text += "(s" + std::to_string(i) + ") {\n" + before + before + "}\n";
  }
  EXPECT_THAT(Parse(text + ". {\n import s39\n}"), HasSubstr("more than 100000 words"));
}

TEST(Corefile, AllImportsTogetherAreBounded) {
  MapImports imports(Files{{"big", std::string(600'000, ' ')}});
  EXPECT_THAT(Parse("import big\nimport big", &imports), HasSubstr("big is too large"));
}

}  // namespace
}  // namespace portolan::dns::corefile
