#include "common/kubernetes/reflector.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/kubernetes/recordings.h"
#include "tests/kubernetes/scripted_api.h"

namespace portolan {
namespace {

using test::Recording;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;
using Failure = Reflector::Failure;

constexpr absl::Duration kNever = absl::Hours(24);

// What a Reflector said, one word for each.
class Told : public Reflector::Listener {
 public:
  void OnListing(Compare compare) override {
    words.push_back(compare == Compare::kByVersion ? "listing" : "listing anew");
  }
  void OnObject(const Value& object, absl::Time) override { words.push_back(Name(object)); }
  void OnDeleted(const Value& object) override { words.push_back("-" + Name(object)); }
  void OnUnreadable(std::string_view name) override { words.push_back("?" + std::string(name)); }
  void OnListed() override { words.push_back("listed"); }
  void OnAbsent() override { words.push_back("absent"); }

  std::vector<std::string> Take() { return std::exchange(words, {}); }
  std::vector<std::string> words;

 private:
  static std::string Name(const Value& value) {
    FieldErrors errors;
    const Field object(value, errors);
    const Field metadata = object["metadata"];
    const Field name = metadata["name"];
    return name.String();
  }
};

std::string Event(const std::string& type, const std::string& name, int version) {
  return fmt::format(
      R"({{"type":"{}","object":{{"kind":"Service","apiVersion":"v1","metadata":{{"name":"{}","resourceVersion":"{}"}}}}}})"
      "\n",
      type, name, version);
}

std::string Bookmark(int version, bool ends_list = false) {
  return fmt::format(
      R"({{"type":"BOOKMARK","object":{{"kind":"Service","apiVersion":"v1","metadata":{{"resourceVersion":"{}"{}}}}}}})"
      "\n",
      version, ends_list ? R"(,"annotations":{"k8s.io/initial-events-end":"true"})" : "");
}

std::string Page(const std::vector<std::string>& names, int version, const std::string& next = "") {
  std::string items;
  for (const std::string& name : names) {
    items += fmt::format(R"({}{{"metadata":{{"name":"{}","resourceVersion":"1"}}}})",
                         items.empty() ? "" : ",", name);
  }
  return fmt::format(
      R"({{"kind":"ServiceList","metadata":{{"resourceVersion":"{}","continue":"{}"}},"items":[{}]}})",
      version, next, items);
}

class ReflectorTest : public ::testing::Test {
 protected:
  ReflectorTest() {
    // What waits, waits for no time at all, unless a test says otherwise.
    options_.first_delay = options_.max_delay = absl::ZeroDuration();
    options_.settled = absl::ZeroDuration();
    options_.absent_delay = kNever;
    options_.repair_delay = options_.max_repair_delay = kNever;
  }

  void Start(ApiResource resource = {"", "v1", "services", "Service"}) {
    reflector_.emplace(loop_, api_, std::move(resource), told_, options_);
    reflector_->Start();
    seen_ = api_.count();
  }
  // Streamed, of no objects.
  void StartListed(int version = 10) {
    Start();
    api_.last().Head().Bytes(Bookmark(version, true));
    told_.Take();
  }
  // The next request that nobody has looked at yet; it may take a turn of the loop or a few.
  test::ScriptedApi::Asked& Next() {
    EXPECT_TRUE(test::Until(loop_, [&] { return api_.count() > seen_; }))
        << "nothing more was asked for";
    seen_ = api_.count();
    return api_.last();
  }
  // The watch that goes on after a connection was lost, and the server was found to have gone on.
  test::ScriptedApi::Asked& Resumed() {
    EXPECT_THAT(Next().target(), EndsWith("?limit=1"));
    api_.last().Answer(200, Page({"any"}, 2'000'000));
    seen_ = api_.count();
    return api_.last();
  }
  bool NothingIsAsked() {
    const size_t before = api_.count();
    test::RunFor(loop_, absl::Milliseconds(20));
    return api_.count() == before;
  }
  uint64_t failures(Failure failure) const {
    return reflector_->stats().failures[static_cast<size_t>(failure)];
  }
  const std::string& version() const { return reflector_->stats().resource_version; }

  EventLoop loop_;
  test::ScriptedApi api_;
  Told told_;
  Reflector::Options options_;
  std::optional<Reflector> reflector_;
  size_t seen_ = 0;
};

TEST_F(ReflectorTest, AListIsAskedForAsAStreamAndIsTheWatchThen) {
  Start();
  EXPECT_THAT(api_.last().target(),
              MatchesRegex("/api/v1/services\\?watch=true&allowWatchBookmarks=true&"
                           "timeoutSeconds=[3-6]..&sendInitialEvents=true&"
                           "resourceVersionMatch=NotOlderThan"));
  EXPECT_EQ(api_.last().request().silence, absl::Seconds(90));
  api_.last().Head().Bytes(Recording("watches/11-streaming-list.ndjson"));
  EXPECT_THAT(told_.Take(), ElementsAre("listing anew", "s1", "s2", "listed", "s1"));
  EXPECT_TRUE(reflector_->stats().listed);
  EXPECT_TRUE(reflector_->stats().connected);
  EXPECT_EQ(api_.count(), 1u);
  EXPECT_FALSE(version().empty());
}

TEST_F(ReflectorTest, ANamespaceAndASelectorNarrowEveryQuestion) {
  Start({.group = "discovery.k8s.io",
         .version = "v1",
         .plural = "endpointslices",
         .kind = "EndpointSlice",
         .name_space = "kube-system",
         .selector = "labelSelector=a=b"});
  constexpr char kPath[] = "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices?";
  EXPECT_THAT(api_.last().target(), AllOf(StartsWith(kPath), EndsWith("&labelSelector=a=b")));
  api_.last().Answer(422, "no streams here");
  EXPECT_EQ(api_.last().target(), std::string(kPath) + "limit=500&labelSelector=a=b");
}

TEST_F(ReflectorTest, OfNarrowFieldsAnErrorAndTheEndOfAListAreReadAllTheSame) {
  Start({.group = "",
         .version = "v1",
         .plural = "services",
         .kind = "Service",
         .fields = {{"metadata", {{"name"}, {"resourceVersion"}, {"annotations"}}}}});
  api_.last().Head().Bytes(Event("ADDED", "a", 9) + Bookmark(10, true));
  EXPECT_THAT(told_.Take(), ElementsAre("listing anew", "a", "listed"));
  api_.last().Bytes(Recording("watches/23-too-old.ndjson"));
  EXPECT_EQ(failures(Failure::kExpired), 1u);
}

TEST_F(ReflectorTest, VersionsOfAListsObjectsAreNotThoseToGoOnFrom) {
  Start();
  api_.last().Head().Bytes(Event("ADDED", "a", 99) + Bookmark(50, true)).End();
  EXPECT_THAT(Next().target(), EndsWith("&resourceVersion=50"));
}

TEST_F(ReflectorTest, WhereStreamsAreRefusedPagesAreRead) {
  Start();
  api_.last().Answer(422, Recording("refusals/066-list-services-match-without-rv.json"));
  EXPECT_EQ(api_.last().target(), "/api/v1/services?limit=500");
  api_.last().Answer(200, Recording("lists/012-list-services-limit3-page1.json"));
  EXPECT_THAT(api_.last().target(), StartsWith("/api/v1/services?limit=500&continue=eyJ2IjoibWV0"));
  EXPECT_FALSE(reflector_->stats().listed);
  api_.last().Answer(200, Recording("lists/013-list-services-limit3-page2.json"));
  api_.last().Answer(200, Recording("lists/014-list-services-limit3-page3.json"));
  EXPECT_TRUE(reflector_->stats().listed);
  EXPECT_EQ(told_.words.front(), "listing anew");
  EXPECT_EQ(told_.words.back(), "listed");
  EXPECT_EQ(told_.words.size(), 8u + 2);
  EXPECT_THAT(api_.last().target(), EndsWith("&resourceVersion=396"));
}

TEST_F(ReflectorTest, AWatchGoesOnWhereItEnded) {
  StartListed(10);
  api_.last().Bytes(Event("ADDED", "a", 11)).End();
  Next().Head().Bytes(Bookmark(15)).End();
  Next().Head().Bytes(Event("DELETED", "a", 16)).End(absl::UnavailableError("cut"));
  EXPECT_THAT(Resumed().target(), AllOf(HasSubstr("&resourceVersion=16"), HasSubstr("watch=true"),
                                        Not(HasSubstr("sendInitialEvents"))));
  EXPECT_THAT(told_.Take(), ElementsAre("a", "-a"));
  EXPECT_EQ(reflector_->stats().relists, 0u);
}

TEST_F(ReflectorTest, ALineThatWasCutIsNoEventAndComesAgain) {
  StartListed(10);
  const std::string event = Event("ADDED", "b", 12);
  for (size_t cut = 0; cut < event.size(); ++cut) {
    api_.last().Head().Bytes(Event("MODIFIED", "a", 11) + event.substr(0, cut));
    api_.last().End(absl::UnavailableError("cut"));
    ASSERT_THAT(Resumed().target(), EndsWith("&resourceVersion=11"));
    ASSERT_THAT(told_.Take(), ElementsAre("a"));
  }
  api_.last().Head().Bytes(event);
  EXPECT_THAT(told_.Take(), ElementsAre("b"));
}

TEST_F(ReflectorTest, TooOldAVersionMeansAListAndNothingIsForgottenBeforeItsEnd) {
  StartListed(10);
  api_.last().End();
  // Status 200, then the error.
  Next().Head().Bytes(Recording("watches/23-too-old.ndjson"));
  EXPECT_THAT(told_.Take(), ElementsAre("listing"));
  EXPECT_THAT(api_.last().target(), HasSubstr("sendInitialEvents=true"));
  api_.last().Head().Bytes(Event("ADDED", "a", 5));
  EXPECT_THAT(told_.Take(), ElementsAre("a"));
  api_.last().Bytes(Bookmark(20, true));
  EXPECT_THAT(told_.Take(), ElementsAre("listed"));
  EXPECT_EQ(reflector_->stats().relists, 1u);
  EXPECT_EQ(failures(Failure::kExpired), 1u);

  api_.last().End();
  Next().Answer(410, R"({"kind":"Status","code":410,"message":"gone"})");
  EXPECT_THAT(told_.Take(), ElementsAre("listing"));
}

TEST_F(ReflectorTest, AServerThatForgetsAtOnceIsNotAskedWithoutEnd) {
  options_.settled = options_.first_delay = options_.max_delay = kNever;
  StartListed(10);
  api_.last().Bytes(Recording("watches/23-too-old.ndjson"));
  EXPECT_FALSE(api_.last().open());
  EXPECT_TRUE(NothingIsAsked());
}

TEST_F(ReflectorTest, AWatchThatEndsAtOnceIsNotAskedForWithoutEnd) {
  options_.settled = options_.first_delay = options_.max_delay = kNever;
  StartListed(10);
  api_.last().End();
  EXPECT_TRUE(NothingIsAsked());
  EXPECT_EQ(failures(Failure::kShort), 1u);
}

TEST_F(ReflectorTest, AnExpiredContinueTokenMeansOneWholeList) {
  Start();
  api_.last().Answer(400, "no streams here");
  api_.last().Answer(200, Page({"a"}, 10, "token/1"));
  EXPECT_EQ(api_.last().target(), "/api/v1/services?limit=500&continue=token%2F1");
  api_.last().Answer(410, Recording("refusals/141-410-continue-services.json"));
  EXPECT_EQ(api_.last().target(), "/api/v1/services?limit=0");
  api_.last().Answer(200, Page({"a", "b"}, 20));
  EXPECT_THAT(told_.Take(), ElementsAre("listing anew", "a", "listing anew", "a", "b", "listed"));
  EXPECT_THAT(api_.last().target(), EndsWith("&resourceVersion=20"));
}

TEST_F(ReflectorTest, APageThatFailsIsAskedForAgainAndNotTheWholeList) {
  Start();
  api_.last().Answer(400, "no streams here");
  api_.last().Answer(200, Page({"a"}, 10, "next"));
  api_.last().Head().Bytes(Page({"b"}, 10).substr(0, 60));
  api_.last().End(absl::UnavailableError("cut"));
  EXPECT_THAT(Next().target(), EndsWith("&continue=next"));
  api_.last().Answer(503, "{}");
  EXPECT_THAT(Next().target(), EndsWith("&continue=next"));
  api_.last().Answer(200, Page({"b"}, 10));
  EXPECT_THAT(told_.Take(), ElementsAre("listing anew", "a", "b", "listed"));
}

TEST_F(ReflectorTest, AListThatIsNotWholeIsNone) {
  for (const std::string& body :
       {Page({"a", "b"}, 10).substr(0, 90), std::string("{}"), std::string("ok"),
        std::string(R"({"kind":"PodList","metadata":{"resourceVersion":"1"},"items":[]})")}) {
    told_ = {};
    api_ = {};
    reflector_.reset();
    Start();
    api_.last().Answer(400, "no streams here");
    api_.last().Answer(200, body);
    EXPECT_THAT(told_.Take(), Not(::testing::Contains("listed"))) << body;
    EXPECT_EQ(failures(Failure::kUnreadable), 1u);
    EXPECT_FALSE(reflector_->stats().listed);
  }
}

TEST_F(ReflectorTest, ADenialNamesTheVerbAndTheResourceAndIsTriedAgain) {
  Start({"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"});
  for (int i = 0; i < 5; ++i) {
    api_.last().Answer(403, Recording("refusals/084-403-watch.json"));
    EXPECT_THAT(reflector_->stats().last_failure,
                StartsWith("403: the role lacks watch on endpointslices.discovery.k8s.io (services "
                           "is forbidden: User \"system:serviceaccount:team-1:nobody\""));
    Next();
  }
  EXPECT_EQ(failures(Failure::kForbidden), 5u);
  api_.last().Head().Bytes(Bookmark(5, true));
  EXPECT_TRUE(reflector_->stats().listed);
  EXPECT_EQ(reflector_->stats().last_failure, "");
}

TEST_F(ReflectorTest, EveryRefusalIsTriedAgainAndCountedByItsReason) {
  Start();
  for (const auto& [status, failure] : {std::pair{401, Failure::kUnauthorized},
                                        {404, Failure::kNotFound},
                                        {429, Failure::kThrottled},
                                        {500, Failure::kServer},
                                        {504, Failure::kServer},
                                        {418, Failure::kRefused}}) {
    const uint64_t before = failures(failure);
    api_.last().Answer(status, "plain text\n");
    EXPECT_EQ(failures(failure), before + 1) << status;
    EXPECT_FALSE(reflector_->stats().last_failure.ends_with("\n"));
    Next();
  }
  api_.last().End(absl::UnavailableError("10.0.0.1:6443: Connection refused"));
  EXPECT_EQ(failures(Failure::kUnreachable), 1u);
  EXPECT_EQ(reflector_->stats().last_failure, "10.0.0.1:6443: Connection refused");
  Next();
}

TEST_F(ReflectorTest, AServerThatAsksForTimeGetsIt) {
  Start();
  api_.last().Head(429, absl::Hours(1)).Bytes(Recording("refusals/095-429-list.txt")).End();
  EXPECT_TRUE(NothingIsAsked());
}

TEST_F(ReflectorTest, AnOptionalResourceMayBeAbsentAndIsLookedForAgain) {
  options_.absent_delay = absl::ZeroDuration();
  Start({"multicluster.x-k8s.io", "v1alpha1", "serviceimports", "ServiceImport", true});
  EXPECT_THAT(api_.last().target(),
              StartsWith("/apis/multicluster.x-k8s.io/v1alpha1/serviceimports?"));
  api_.last().Answer(404, Recording("refusals/087-404-unknown-group.txt"));
  EXPECT_THAT(told_.Take(), ElementsAre("listing anew", "absent"));
  EXPECT_EQ(failures(Failure::kNotFound), 0u);
  Next().Answer(404, "404 page not found");
  EXPECT_THAT(told_.Take(), ElementsAre("listing anew"));
  Next().Head().Bytes(Bookmark(7, true));
  EXPECT_THAT(told_.Take(), ElementsAre("listing anew", "listed"));
  EXPECT_FALSE(reflector_->stats().absent);
}

TEST_F(ReflectorTest, WhatIsNotFoundForLongIsAListOfNothing) {
  options_.absent_delay = absl::ZeroDuration();
  options_.gone_after = absl::Milliseconds(30);
  Start({"portolan.dev", "v1alpha1", "dnsegresspolicies", "DNSEgressPolicy", true});
  api_.last().Head().Bytes(Event("ADDED", "a", 5) + Bookmark(7, true)).End();
  Next().Answer(404, "404 page not found");
  Next();
  test::RunFor(loop_, absl::Milliseconds(40));
  // A server that fails in between may come up without it for a moment.
  api_.last().Answer(503, "{}");
  Next().Answer(404, "404 page not found");
  EXPECT_THAT(told_.Take(),
              ElementsAre("listing anew", "a", "listed", "absent", "listing", "listing"));
  Next();
  test::RunFor(loop_, absl::Milliseconds(40));
  api_.last().Answer(404, "404 page not found");
  EXPECT_THAT(told_.Take(), ElementsAre("listing", "listed"));
  // Once.
  Next().Answer(404, "404 page not found");
  EXPECT_THAT(told_.Take(), ElementsAre("listing"));
  EXPECT_TRUE(reflector_->stats().absent);
}

// A server that comes up says 403 for a moment; one whose role lacks the resource says it for good.
TEST_F(ReflectorTest, AnOptionalResourceThatIsDeniedForGoodIsAbsent) {
  Start({"multicluster.x-k8s.io", "v1alpha1", "serviceimports", "ServiceImport", true});
  api_.last().Answer(403, "{}");
  Next().Answer(403, "{}");
  EXPECT_THAT(told_.Take(), Not(::testing::Contains("absent")));
  Next().Answer(403, "{}");
  EXPECT_THAT(told_.Take(), ::testing::Contains("absent"));
}

TEST_F(ReflectorTest, DenialsBetweenWatchesThatStoodAreNotInARow) {
  Start({"portolan.dev", "v1alpha1", "dnsegresspolicies", "DNSEgressPolicy", true});
  api_.last().Head().Bytes(Event("ADDED", "a", 5) + Bookmark(7, true)).End();
  for (int i = 0; i < 5; ++i) {
    Next().Answer(403, "{}");
    Next().Head().End();
  }
  EXPECT_THAT(told_.Take(), Not(::testing::Contains("absent")));
}

TEST_F(ReflectorTest, AKindThatGoesBetweenTwoPagesIsListedFromTheFirst) {
  options_.absent_delay = absl::ZeroDuration();
  Start({"", "v1", "services", "Service", true});
  api_.last().Answer(404, "404 page not found");
  Next().Answer(400, "no streams here");
  api_.last().Answer(200, Page({"a"}, 10, "next"));
  EXPECT_THAT(api_.last().target(), EndsWith("&continue=next"));
  seen_ = api_.count();
  api_.last().Answer(404, "404 page not found");
  EXPECT_THAT(Next().target(), Not(HasSubstr("continue=")));
}

TEST_F(ReflectorTest, DenialsByAServerThatDeniesEverythingSayNothingOfOneResource) {
  bool is_let_in = false;
  options_.is_let_in = [&] { return is_let_in; };
  Start({"portolan.dev", "v1alpha1", "dnsegresspolicies", "DNSEgressPolicy", true});
  api_.last().Answer(403, "{}");
  for (int i = 0; i < 20; ++i) Next().Answer(403, "{}");
  EXPECT_THAT(told_.Take(), Not(::testing::Contains("absent")));
  is_let_in = true;
  Next().Answer(403, "{}");
  Next().Answer(403, "{}");
  EXPECT_THAT(told_.Take(), Not(::testing::Contains("absent")));
  Next().Answer(403, "{}");
  EXPECT_THAT(told_.Take(), ::testing::Contains("absent"));
}

TEST_F(ReflectorTest, ASilentWatchIsAskedForAnewAndTheSecondTimeAllIsListed) {
  StartListed(1'000'000);
  api_.last().End();
  // The server was set back: it has not reached that version, and says nothing.
  Next().Head().End(absl::DeadlineExceededError("no byte for 90s"));
  EXPECT_EQ(failures(Failure::kSilent), 1u);
  EXPECT_THAT(Next().target(), EndsWith("&resourceVersion=1000000"));
  api_.last().Head().End(absl::DeadlineExceededError("no byte for 90s"));
  EXPECT_THAT(Next().target(), HasSubstr("sendInitialEvents=true"));
  // Equal versions may now be those of other objects.
  EXPECT_THAT(told_.Take(), ElementsAre("listing anew"));
}

TEST_F(ReflectorTest, AServerThatWasSetBackIsFoundOutOnceTheConnectionIsLost) {
  StartListed(1'000);
  api_.last().End(absl::UnavailableError("cut"));
  Next().Answer(200, Page({"any"}, 999));
  EXPECT_THAT(told_.Take(), ElementsAre("listing anew"));
  EXPECT_THAT(api_.last().target(), HasSubstr("sendInitialEvents=true"));
  api_.last().Head().Bytes(Bookmark(999, true));
  EXPECT_EQ(version(), "999");
}

TEST_F(ReflectorTest, AServerThatCannotTellWhetherItWasSetBackIsWatchedAllTheSame) {
  for (const auto& [status, body] : {std::pair{500, std::string("etcdserver: no leader")},
                                     {403, std::string("{}")},
                                     {200, Page({}, 10)}}) {
    StartListed(10);
    api_.last().End(absl::UnavailableError("cut"));
    Next().Answer(status, body);
    EXPECT_THAT(api_.last().target(), EndsWith("&resourceVersion=10")) << status;
    EXPECT_THAT(told_.Take(), IsEmpty());
  }
}

TEST_F(ReflectorTest, WhatCannotBeReadIsNamedAndTheRestGoesOn) {
  StartListed(10);
  api_.last().Bytes(Event("ADDED", "a", 11));
  api_.last().Bytes(
      R"({"type":"MODIFIED","object":{"metadata":{"name":"b","namespace":"shop","resourceVersion":)"
      "\n");
  api_.last().Bytes("garbage\n" + Event("ADDED", "c", 13));
  EXPECT_THAT(told_.Take(), ElementsAre("a", "?shop/b", "?", "c"));
  EXPECT_TRUE(api_.last().open());
  EXPECT_EQ(version(), "13");
  EXPECT_EQ(failures(Failure::kUnreadable), 2u);
}

TEST_F(ReflectorTest, AListMakesUpForWhatCouldNotBeRead) {
  options_.repair_delay = absl::ZeroDuration();
  StartListed(10);
  api_.last().Bytes("garbage\n");
  EXPECT_THAT(Next().target(), HasSubstr("sendInitialEvents=true"));
  EXPECT_THAT(told_.Take(), ElementsAre("?", "listing"));
}

TEST_F(ReflectorTest, AnItemOfAListThatCannotBeReadDoesNotSpoilTheList) {
  Start();
  api_.last().Answer(400, "no streams here");
  std::string page = Page({"a", "b", "c"}, 10);
  page.replace(page.find(R"("resourceVersion":"1"}},{"metadata":{"name":"c")"), 17,
               R"("resourceVersion"!)");
  api_.last().Answer(200, page);
  EXPECT_THAT(told_.Take(), ElementsAre("listing anew", "a", "?b", "c", "listed"));
}

TEST_F(ReflectorTest, AnErrorInTheStreamOtherThanTooOldIsNoReasonToList) {
  StartListed(10);
  api_.last().Bytes(
      R"({"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcd is away"}})"
      "\n");
  EXPECT_EQ(failures(Failure::kServer), 1u);
  EXPECT_THAT(Next().target(), EndsWith("&resourceVersion=10"));
  EXPECT_THAT(told_.Take(), IsEmpty());
}

TEST_F(ReflectorTest, AStreamedListThatEndsBeforeItIsCompleteIsNone) {
  Start();
  api_.last().Head().Bytes(Event("ADDED", "a", 5)).End();
  EXPECT_FALSE(reflector_->stats().listed);
  Next().Head().Bytes(Event("ADDED", "a", 5) + Bookmark(9, true));
  EXPECT_THAT(told_.Take(), ElementsAre("listing anew", "a", "listing anew", "a", "listed"));
}

TEST_F(ReflectorTest, AStreamedListWhoseEndCannotBeReadIsReadByPages) {
  options_.repair_delay = absl::ZeroDuration();
  Start();
  std::string end = Bookmark(9, true);
  api_.last().Head().Bytes(Event("ADDED", "a", 5) +
                           end.replace(end.find("BOOKMARK"), 8, "BOOK\"ARK"));
  EXPECT_EQ(Next().target(), "/api/v1/services?limit=500");
  api_.last().Answer(200, Page({"a"}, 10));
  EXPECT_THAT(told_.Take(), ElementsAre("listing anew", "a", "?", "listing anew", "a", "listed"));
}

TEST_F(ReflectorTest, AStreamedListWithoutAVersionIsNone) {
  Start();
  std::string end = Bookmark(9, true);
  api_.last().Head().Bytes(end.replace(end.find("\"9\""), 3, "\"\""));
  EXPECT_FALSE(reflector_->stats().listed);
  EXPECT_FALSE(api_[0].open());
}

TEST_F(ReflectorTest, AStreamedListThatStopsIsReadByPages) {
  options_.list_silence = absl::ZeroDuration();
  Start();
  api_.last().Head().Bytes(Event("ADDED", "a", 5));
  EXPECT_EQ(Next().target(), "/api/v1/services?limit=500");
  EXPECT_EQ(failures(Failure::kSilent), 1u);
}

TEST_F(ReflectorTest, AnyCutOfAStreamGivesTheSame) {
  const std::string stream = Recording("watches/14-streaming-list-endpointslices.ndjson");
  std::vector<std::string> whole;
  for (size_t cut = 0; cut <= stream.size(); cut += cut < 6000 ? 1 : 7) {
    told_ = {};
    api_ = {};
    reflector_.reset();
    Start({"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice"});
    api_.last().Head();
    api_.last().Bytes(std::string_view(stream).substr(0, cut));
    api_.last().Bytes(std::string_view(stream).substr(cut));
    if (cut == 0) whole = told_.words;
    ASSERT_EQ(told_.words, whole) << "cut at " << cut;
  }
  EXPECT_EQ(whole.size(), 11u);
}

}  // namespace
}  // namespace portolan
