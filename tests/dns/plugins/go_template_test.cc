#include "dns/plugins/go_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace portolan::dns {
namespace {

using corefile::Token;
using ::testing::HasSubstr;

class GoTemplateTest : public ::testing::Test {
 protected:
  GoTemplateTest() {
    Match("^(?P<a>[0-9]+)-(?P<b>[0-9]+)?[.]");
    data_.zone = "example.";
    data_.rclass = "IN";
    data_.type = "A";
    data_.remote = "10.42.0.9";
    data_.question_name = "10-.Example.";
    data_.question_type = 1;
    data_.question_class = 1;
    data_.id = 4660;
    data_.flags = 0x0110;  // RD, CD
  }

  void Match(const std::string& pattern, std::string_view name = "10-.example.") {
    patterns_.clear();
    patterns_.push_back(*NamePattern::Compile(TokenOf(pattern)));
    data_.name = name;
    data_.pattern = &patterns_[0];
    data_.groups = {};
    EXPECT_TRUE(patterns_[0].Match(name, patterns_[0].groups(), data_.groups));
  }

  static Token TokenOf(const std::string& text) {
    return {text, std::make_shared<const std::string>("Corefile"), 3, 8};
  }

  // What is rendered, "failed" where nothing is; the error of a template that is none.
  std::string Render(const std::string& text) {
    const auto parsed = GoTemplate::Parse(TokenOf(text), patterns_);
    if (!parsed.ok()) return std::string(parsed.status().message());
    std::array<char, 256> room;
    const auto rendered = parsed->Render(data_, room);
    if (!rendered.has_value()) return "failed";
    EXPECT_EQ(room[rendered->size()], '\0');
    return std::string(*rendered);
  }
  std::string Error(const std::string& text) {
    const auto parsed = GoTemplate::Parse(TokenOf(text), patterns_);
    return parsed.ok() ? "no error" : std::string(parsed.status().message());
  }

  std::vector<NamePattern> patterns_;
  TemplateData data_;
};

TEST_F(GoTemplateTest, AllThatAQuestionSaysCanBeHad) {
  EXPECT_EQ(Render("{{ .Name }} {{.Zone}} {{ $.Class }} {{ .Type }} {{ .Remote }}"),
            "10-.example. example. IN A 10.42.0.9");
  EXPECT_EQ(Render("{{ .Question.Name }} {{ .Question.Qtype }} {{ .Question.Qclass }}"),
            "10-.Example. 1 1");
  EXPECT_EQ(Render("{{ .Message.Id }} {{ .Message.RecursionDesired }} {{ .Message.Response }} "
                   "{{ .Message.CheckingDisabled }} {{ .Message.Opcode }}"),
            "4660 true false true 0");
  EXPECT_EQ(Render("{{ (index .Message.Question 0).Name }}"), "10-.Example.");
  EXPECT_EQ(Render("{{ .Group.a }}{{ index .Group \"a\" }}{{ index .Match 1 }}"), "101010");
  EXPECT_EQ(Render("[{{ .Meta \"kubernetes/client-namespace\" }}]"), "[]");
}

TEST_F(GoTemplateTest, IfTakesTheFirstBranchThatIsTrue) {
  const std::string text =
      R"({{ if eq .Type "A" "AAAA" }}address{{ else if .Group.b }}b{{ else }}other{{ end }})";
  EXPECT_EQ(Render(text), "address");
  data_.type = "TXT";
  EXPECT_EQ(Render(text), "other");
  Match("^(?P<a>[0-9]+)-(?P<b>[0-9]+)?[.]", "10-7.example.");
  EXPECT_EQ(Render(text), "b");
  EXPECT_EQ(Render("{{if true}}{{if false}}x{{else}}y{{end}}{{end}}"), "y");
}

TEST_F(GoTemplateTest, WithAndRangeMoveTheDot) {
  EXPECT_EQ(Render("{{ with .Group.a }}{{ . }} of {{ $.Zone }}{{ end }}"), "10 of example.");
  EXPECT_EQ(Render("{{ with .Group.b }}{{ . }}{{ else }}{{ .Zone }}{{ end }}"), "example.");
  EXPECT_EQ(Render("{{ with $x := .Group.a }}{{ $x }}{{ . }}{{ end }}"), "1010");
  EXPECT_EQ(Render("{{ with .Question }}{{ .Qtype }}{{ end }}"), "1");
  EXPECT_EQ(Render("{{ range .Match }}<{{ . }}>{{ end }}"), "<10-.><10><>");
  EXPECT_EQ(Render("{{ range $i, $m := .Match }}{{ if $i }}{{ $i }}={{ $m }};{{ end }}{{ end }}"),
            "1=10;2=;");
}

TEST_F(GoTemplateTest, VariablesHoldWhatTheyWereGiven) {
  EXPECT_EQ(Render("{{ $x := .Type }}{{ $y := 7 }}{{ $x }}{{ $y }}"), "A7");
  EXPECT_EQ(Render("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $x := 3 }}{{ $x }}{{ end }}{{ $x }}"),
            "32");
  EXPECT_EQ(Render("{{ $q := .Question }}{{ $q.Qtype }}"), "1");
}

TEST_F(GoTemplateTest, LogicAndComparisonsAreGos) {
  EXPECT_EQ(Render("{{ and .Group.b .Type }}|{{ or .Group.b .Type }}|{{ not .Group.b }}"),
            "|A|true");
  EXPECT_EQ(Render("{{ ne .Type \"A\" }} {{ lt 1 2 }} {{ le 2 2 }} {{ gt 1 2 }} {{ ge 2 3 }}"),
            "false true true false false");
  EXPECT_EQ(Render("{{ lt \"a\" \"b\" }} {{ eq 1 2 1 }}"), "true true");
  EXPECT_EQ(Render("{{ and (eq .Type \"A\") (or false (eq .Question.Qclass 1)) }}"), "true");
}

TEST_F(GoTemplateTest, FunctionsOfTextAndNumbersAreGos) {
  EXPECT_EQ(Render("{{ len .Type }} {{ len .Match }} {{ slice .Zone 1 3 }}{{ slice .Zone 6 }}"),
            "1 3 xae.");
  EXPECT_EQ(Render("{{ parseInt \"ff\" 16 8 }} {{ .Group.a | parseInt | print }}"),
            "Corefile:3:8: '{{ .Group.a | parseInt | print }}': parseInt takes 3 arguments");
  EXPECT_EQ(Render("{{ parseInt \"ff\" 16 8 }}"), "255");
  EXPECT_EQ(Render("{{ parseInt \"100\" 16 8 }}"), "failed");
  EXPECT_EQ(Render("{{ parseInt .Type 10 8 }}"), "failed");
  EXPECT_EQ(Render("{{ print 1 2 \"a\" 3 \"b\" }}"), "1 2a3b");
  EXPECT_EQ(Render("{{ \"a\" | printf \"%s-%s\" \"b\" }}"), "b-a");
  EXPECT_EQ(Render("{{ printf \"%03d|%-4d|%4s|%x|%X|%02x|%q|%t|%v%%\" 7 7 \"a\" 255 \"Jk\" 10 "
                   "\"q\\\"\" true }}"),
            "Corefile:3:8: '{{ printf \"%03d|%-4d|%4s|%x|%X|%02x|%q|%t|%v%%\" 7 7 \"a\" 255 "
            "\"Jk\" 10 \"q\\\"\" true }}': the format of printf takes 9 arguments");
  EXPECT_EQ(Render("{{ printf \"%03d|%-4d|%4s|%x|%X|%02x|%q|%t%%\" 7 7 \"a\" 255 \"Jk\" 10 "
                   "\"q\\\"\" true }}"),
            "007|7   |   a|ff|4A6B|0a|\"q\\\"\"|true%");
  EXPECT_EQ(Render("{{ index .Match (len .Type) }}"), "10");
  EXPECT_EQ(Render("{{ index .Match (len .Zone) }}"), "failed") << "there is no group 8";
}

TEST_F(GoTemplateTest, BlanksQuotesAndCommentsAreRead) {
  EXPECT_EQ(Render("a {{- /* }} */ -}} b"), "ab");
  EXPECT_EQ(Render("a {{- `}}` -}} b{{ \"\\\"\\\\\" }}"), "a}}b\"\\");
  EXPECT_EQ(Render("{{ if .Name -}}  x  {{- end }} y"), "x y");
  EXPECT_EQ(Render("{{ -7 }}{{ 0x10 }}"), "-716");
}

TEST_F(GoTemplateTest, RenderingIsBoundedInStepsAndBytes) {
  EXPECT_EQ(Render(std::string(255, 'x')), std::string(255, 'x'));
  EXPECT_EQ(Render(std::string(256, 'x')), "failed");
  std::string nested;
  for (int i = 0; i < 12; ++i) nested += "{{ range $.Match }}";
  for (int i = 0; i < 12; ++i) nested += "{{ end }}";
  EXPECT_EQ(Render(nested), "failed");
  std::string deep;
  for (int i = 0; i < 17; ++i) deep += "{{ if true }}";
  EXPECT_THAT(Error(deep), HasSubstr("nested too deeply"));
  EXPECT_THAT(Error("{{ " + std::string(100, '(') + " }}"), HasSubstr("nested too deeply"));
}

TEST_F(GoTemplateTest, WhatCannotWorkIsAnErrorThatNamesTheAction) {
  EXPECT_EQ(Error("{{ .Nam }}"),
            "Corefile:3:8: '{{ .Nam }}' is not supported in a template, did you mean '.Name'?");
  EXPECT_EQ(Error("{{ prnt .Name }}"),
            "Corefile:3:8: '{{ prnt .Name }}' is not supported in a template, did you mean "
            "'print'?");
  EXPECT_THAT(Error("{{ .Message.Idd }}"), HasSubstr("did you mean '.Id'?"));
  EXPECT_THAT(Error("{{ template \"x\" }}"), HasSubstr("is not supported"));
  EXPECT_THAT(Error("{{ .Name.Length }}"), HasSubstr("no field .Length of that"));
  EXPECT_THAT(Error("{{ range .Match }}{{ .Name }}{{ end }}"), HasSubstr("no field .Name of that"));
  EXPECT_THAT(Error("{{ $x }}"), HasSubstr("there is no variable $x"));
  EXPECT_THAT(Error("{{ if true }}{{ $x := 1 }}{{ end }}{{ $x }}"), HasSubstr("no variable $x"));
  EXPECT_THAT(Error("{{ if true }}"), HasSubstr("'{{ if true }}': no '{{ end }}' follows"));
  EXPECT_THAT(Error("{{ end }}"), HasSubstr("no block that it belongs to"));
  EXPECT_THAT(Error("{{ if 1 }}{{ else }}{{ else }}{{ end }}"), HasSubstr("another else"));
  EXPECT_THAT(Error("{{ if }}x{{ end }}"), HasSubstr("a value is missing"));
  EXPECT_THAT(Error("{{ eq .Type 1 }}"), HasSubstr("different types"));
  EXPECT_THAT(Error("{{ .Match }}"), HasSubstr("it is no text, number or bool"));
  EXPECT_THAT(Error("{{ range .Name }}{{ end }}"), HasSubstr("range goes over .Match alone"));
  EXPECT_THAT(Error("{{ .Name .Type }}"), HasSubstr("'Type' is not expected"));
  EXPECT_THAT(Error("{{ eq len .Name 1 }}"), HasSubstr("must stand in parentheses"));
  EXPECT_THAT(Error("{{ printf \"%f\" 1 }}"), HasSubstr("printf needs a format"));
  EXPECT_THAT(Error("{{ index .Match 3 }}"), HasSubstr("no expression has a group 3"));
  EXPECT_THAT(Error("{{ .Group.c }}"), HasSubstr("no expression has a group named 'c'"));
  EXPECT_THAT(Error("{{ \"a }}"), HasSubstr("'{{' is not closed"));
  EXPECT_THAT(Error("{{ 12ab }}"), HasSubstr("'12ab' is no number"));
  EXPECT_THAT(Error("{{ .Name ; }}"), HasSubstr("';' is not expected"));
  EXPECT_THAT(Error("{{ (.Name }}"), HasSubstr("a ')' is missing"));
  EXPECT_THAT(Error("{{ }}"), HasSubstr("'{{ }}' is empty"));
}

}  // namespace
}  // namespace portolan::dns
