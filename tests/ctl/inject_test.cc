#include "ctl/inject.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/document/yaml.h"
#include "common/status.h"
#include "ctl/manifest.h"
#include "ctl/value_json.h"
#include "injector/injection.h"

namespace portolan::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::string_view kDeployment = R"(# The front door.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: frontend
  namespace: yard
spec:
  selector:
    matchLabels: {app: frontend}
  template:
    metadata:
      labels: {app: frontend, "1.10": "yes"}
    spec:
      containers:
      - name: app
        image: app:1.10
        args: [-c, "echo: 'hello'", "true", 'on']
        env:
        - {name: MODE, value: "0644"}
        - name: SCRIPT
          value: |
            set -e
            echo hello
        ports: [{containerPort: 8080}]
      volumes:
      - name: data
        configMap: {name: data, defaultMode: 0644}
)";
constexpr std::string_view kService = R"(apiVersion: v1
kind: Service   # untouched, with its comment
metadata: {name:   frontend}
)";

injector::Template Settings() {
  injector::Template settings;
  settings.service_cidrs = {*Cidr::Parse("10.43.0.0/16")};
  return settings;
}

InjectedManifest Inject(const std::string& text) {
  auto injected = InjectManifest(text, Settings(), "default");
  EXPECT_TRUE(injected.ok()) << injected.status();
  return injected.ok() ? *std::move(injected) : InjectedManifest{};
}

std::string ErrorOf(const std::string& text) {
  return std::string(Message(InjectManifest(text, Settings(), "default").status()));
}

std::vector<nlohmann::json> DocumentsOf(const std::string& yaml) {
  std::vector<nlohmann::json> documents;
  const auto status = ReadYaml(yaml, [&](const Value& value, int) {
    documents.push_back(ToJson<nlohmann::json>(value));
    return absl::OkStatus();
  });
  EXPECT_TRUE(status.ok()) << status << "\n" << yaml;
  return documents;
}

std::string Cat(std::initializer_list<std::string_view> parts) {
  std::string text;
  for (const std::string_view part : parts) text += part;
  return text;
}

TEST(CtlInject, AddsToThePodTemplateWhatTheWebhookAddsToItsPods) {
  const InjectedManifest injected = Inject(std::string(kDeployment));
  EXPECT_THAT(injected.notes, ElementsAre("Deployment yard/frontend: injected"));
  const auto before = DocumentsOf(std::string(kDeployment)), after = DocumentsOf(injected.text);
  ASSERT_EQ(after.size(), 1u);
  const auto webhook =
      injector::Inject(before[0]["spec"]["template"], "yard", Settings(), {}, "portolan-system");
  ASSERT_TRUE(webhook.ok());
  EXPECT_EQ(after[0]["spec"]["template"], before[0]["spec"]["template"].patch(webhook->patch));
}

TEST(CtlInject, RunningTwiceChangesNothing) {
  const std::string once = Inject(Cat({kService, "---\n", kDeployment})).text;
  const InjectedManifest twice = Inject(once);
  EXPECT_EQ(twice.text, once);
  EXPECT_THAT(twice.notes, ElementsAre("Deployment yard/frontend: already-injected"));
}

TEST(CtlInject, WhatIsNotChangedIsWrittenByteForByte) {
  const std::string text = Cat({"# first\n---\n", kService, "---   # second\n\n# empty\n---\n",
                                kService, "---\n# above\n", kDeployment, "---\n", kService});
  const std::string injected = Inject(text).text;
  const std::string around =
      Cat({"# first\n---\n", kService, "---   # second\n\n# empty\n---\n", kService,
           "---\n# above\n# The front door.\napiVersion: apps/v1\n"});
  EXPECT_THAT(injected, StartsWith(around));
  EXPECT_TRUE(injected.ends_with(Cat({"---\n", kService})));
  EXPECT_EQ(Inject(std::string(kService)).text, kService);
}

TEST(CtlInject, PlainAndQuotedScalarsStayWhatTheyWere) {
  const std::string text = Inject(std::string(kDeployment)).text;
  EXPECT_THAT(text, HasSubstr("defaultMode: 0644\n"));
  EXPECT_THAT(text, HasSubstr("value: \"0644\"\n"));
  EXPECT_THAT(text, HasSubstr("- -c\n"));
  EXPECT_THAT(text, HasSubstr("- \"true\"\n"));
  EXPECT_THAT(text, HasSubstr("\"1.10\": \"yes\"\n"));
  EXPECT_THAT(text, HasSubstr("image: app:1.10\n"));
  EXPECT_THAT(text, HasSubstr("value: |\n"));
}

TEST(CtlInject, EveryKindThatHasAPodTemplate) {
  const std::string pod_spec = "{containers: [{name: a, image: b}]}";
  const std::string of = "spec: {template: {spec: " + pod_spec + "}}\n";
  for (const char* kind :
       {"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job"}) {
    const auto text = Inject(fmt::format("kind: {}\nmetadata: {{name: x}}\n{}", kind, of)).text;
    EXPECT_EQ(DocumentsOf(text)[0]["spec"]["template"]["spec"]["initContainers"].size(), 2u)
        << kind;
  }
  const auto cron = DocumentsOf(Inject("kind: CronJob\nmetadata: {name: x}\nspec: {jobTemplate: {" +
                                       of.substr(0, of.size() - 1) + "}}\n")
                                    .text);
  EXPECT_EQ(cron[0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]["volumes"].size(), 3u);
  const auto pod =
      DocumentsOf(Inject("kind: Pod\nmetadata: {generateName: x-}\nspec: " + pod_spec + "\n").text);
  EXPECT_EQ(pod[0]["spec"]["initContainers"].size(), 2u);
  EXPECT_TRUE(pod[0]["metadata"]["annotations"].contains("portolan.dev/status"));
}

TEST(CtlInject, ListsAreLookedThrough) {
  const InjectedManifest injected = Inject(
      "kind: List\nitems:\n- kind: Service\n- kind: Pod\n  metadata: {name: p}\n  spec: "
      "{containers: [{name: a}]}\n"
      "- kind: PodList\n  items:\n  - kind: Pod\n    metadata: {name: q}\n    spec: {hostNetwork: "
      "yes, containers: []}\n");
  EXPECT_THAT(injected.notes,
              ElementsAre("Pod default/p: injected", "Pod default/q: host-network: hostNetwork"));
  EXPECT_EQ(DocumentsOf(injected.text)[0]["items"][1]["spec"]["initContainers"].size(), 2u);
}

TEST(CtlInject, JsonStaysJsonWithItsOrderAndIndentation) {
  const std::string json =
      "{\n    \"kind\": \"Pod\",\n    \"apiVersion\": \"v1\",\n    \"metadata\": {\"name\": "
      "\"1\"},\n"
      "    \"spec\": {\"containers\": [{\"name\": \"a\", \"image\": \"true\"}], \"priority\": "
      "7}\n}\n";
  const std::string text = Inject(json).text;
  EXPECT_THAT(text, StartsWith("{\n    \"kind\": \"Pod\",\n    \"apiVersion\": \"v1\",\n"));
  const auto parsed = nlohmann::json::parse(text);
  EXPECT_EQ(parsed["metadata"]["name"], "1");
  EXPECT_EQ(parsed["spec"]["containers"][0]["image"], "true");
  EXPECT_EQ(parsed["spec"]["priority"], 7);
  EXPECT_EQ(parsed["spec"]["initContainers"].size(), 2u);
  EXPECT_EQ(Inject(text).text, text);
}

TEST(CtlInject, ANamespaceOfTheFileWithoutTheLabelOptsOut) {
  const std::string plain = "kind: Namespace\nmetadata: {name: yard}\n---\n";
  const std::string labelled =
      "kind: Namespace\nmetadata: {name: yard, labels: {portolan.dev/inject: enabled}}\n---\n";
  const InjectedManifest out = Inject(Cat({plain, kDeployment}));
  EXPECT_EQ(out.text, Cat({plain, kDeployment}));
  EXPECT_THAT(out.notes, ElementsAre(HasSubstr("opted-out")));
  EXPECT_THAT(Inject(Cat({labelled, kDeployment})).text, HasSubstr("portolan-proxy"));
  EXPECT_THAT(Inject(Cat({"kind: Namespace\nmetadata: {name: other}\n---\n", kDeployment})).text,
              HasSubstr("portolan-proxy"));
  std::string wants(kDeployment);
  const std::string_view label = "\"1.10\": \"yes\"";
  wants.replace(wants.find(label), label.size(), "portolan.dev/inject: \"true\"");
  EXPECT_THAT(Inject(Cat({plain, wants})).text, HasSubstr("portolan-proxy"));
}

TEST(CtlInject, InjectFalseIsLeftAlone) {
  const std::string pod =
      "kind: Pod\nmetadata: {name: p, annotations: {portolan.dev/inject: \"false\"}}\n"
      "spec: {containers: [{name: a}]}\n";
  const InjectedManifest injected = Inject(pod);
  EXPECT_EQ(injected.text, pod);
  EXPECT_THAT(injected.denials, IsEmpty());
}

TEST(CtlInject, WhoIsDeniedIsNamedWithItsLine) {
  const std::string bad =
      "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, ports: [{containerPort: "
      "15001}]}]}\n";
  EXPECT_THAT(Inject(Cat({kService, "---\n", bad})).denials,
              ElementsAre(StartsWith("5: Pod default/p: container a declares port 15001")));
  EXPECT_THAT(Inject("kind: Deployment\nmetadata: {name: d}\n").denials,
              ElementsAre("1: Deployment default/d: it has no pod template"));
  // kubectl would send a boolean here, which the API refuses.
  EXPECT_THAT(Inject("kind: Pod\nmetadata: {name: p, annotations: {portolan.dev/inject: true}}\n"
                     "spec: {containers: [{name: a}]}\n")
                  .denials,
              ElementsAre(HasSubstr("metadata.annotations holds what is no string")));
}

TEST(CtlInject, WhatCannotBeReadIsAnErrorWithItsLine) {
  EXPECT_THAT(ErrorOf(Cat({kService, "---\nkind: [\n"})), StartsWith("6: "));
  EXPECT_THAT(ErrorOf("{\"kind\": "), StartsWith("1: "));
  EXPECT_THAT(ErrorOf(std::string(kMaxManifestBytes + 1, ' ')), HasSubstr("at most"));
  EXPECT_THAT(ErrorOf("kind: A\n...\nkind: B\n"), HasSubstr("without ---"));
}

TEST(CtlInject, AnEmptyFileIsAnEmptyFile) {
  EXPECT_EQ(Inject("").text, "");
  EXPECT_EQ(Inject("# nothing\n---\n").text, "# nothing\n---\n");
}

TEST(CtlInject, TakesYamlInBraces) {
  const auto documents = DocumentsOf(
      Inject("{kind: Pod, metadata: {name: p}, spec: {containers: [{name: a}]}}\n").text);
  ASSERT_EQ(documents.size(), 1u);
  EXPECT_TRUE(documents[0]["spec"].contains("initContainers"));
}

TEST(CtlInject, TakesJsonObjectsOneBehindTheOther) {
  const std::string service = "{\"kind\": \"Service\",\n \"x\": \"}{\\\"\"}\n";
  const InjectedManifest injected =
      Inject(service +
             "{\"kind\": \"Pod\", \"metadata\": {\"name\": \"p\"}, \"spec\": "
             "{\"containers\": [{\"name\": \"a\"}]}}\n{\"kind\": \"Job\"}\n");
  EXPECT_THAT(injected.text, StartsWith(service));
  EXPECT_THAT(injected.text, HasSubstr("portolan-proxy"));
  EXPECT_THAT(injected.denials, ElementsAre("4: Job default/*: it has no pod template"));
}

}  // namespace
}  // namespace portolan::ctl
