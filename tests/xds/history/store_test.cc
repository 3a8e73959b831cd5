#include "xds/history/store.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <random>

#include "tests/xds/history/cluster.h"
#include "xds/history/compare.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const ObjectName kName = {"default", "backend"};
constexpr int64_t kForever = std::numeric_limits<int64_t>::max();
constexpr int64_t kLarge = int64_t{1} << 40;

int64_t Ms(absl::Time time) { return absl::ToUnixMillis(time); }

std::unique_ptr<Store> Open(const std::string& file = "") {
  auto store = Store::Open(file, Ms(kNoon));
  EXPECT_TRUE(store.ok()) << store.status();
  return *std::move(store);
}

std::string FreshFile(const std::string& name) {
  std::string file = testing::TempDir() + "/history_" + name;
  for (const char* suffix : {"", "-wal", "-shm"}) std::filesystem::remove_all(file + suffix);
  return file;
}

std::string ReadAll(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

// A name that changes at random, one slice at a time, and what it was after each change.
class Churn {
 public:
  explicit Churn(Store& store, ObjectName name = kName) : store_(store), name_(std::move(name)) {}

  void Step() {
    const OneName before = now_;
    now_time_ += absl::Milliseconds(100);
    Change();
    Commit(before);
  }

  void Commit(const OneName& before) {
    auto entries = Compare(name_, before.view(), now_.view(), now_time_);
    auto transaction = store_.Begin();
    ASSERT_TRUE(store_.Write(name_, entries, now_.view()).ok());
    ASSERT_TRUE(transaction->Commit().ok());
    written_ += entries.size();
    if (!entries.empty()) was_[Ms(now_time_)] = Shown(now_.view(), name_);
  }

  // At each moment since `since` the file has to say what it was.
  void ExpectToldSince(int64_t since) {
    for (const auto& [ms, shown] : was_) {
      if (ms < since) continue;
      for (const int64_t at : {ms, ms + 99}) {
        const auto past = store_.At(name_, at);
        ASSERT_TRUE(past.ok()) << past.status();
        EXPECT_EQ(Shown(past->state, name_), shown) << at;
      }
    }
  }

  size_t written() const { return written_; }
  absl::Time now() const { return now_time_; }
  const OneName& state() const { return now_; }

 private:
  int Roll(int sides) { return std::uniform_int_distribution<int>(0, sides - 1)(random_); }

  void Change() {
    const std::string version = std::to_string(++version_);
    if (now_.service == nullptr || Roll(20) == 0) {
      Service service = MakeService(name_.name, version, now_time_);
      service.ports[0].port = static_cast<uint16_t>(1 + Roll(60000));
      now_.Put(std::move(service));
      return;
    }
    const std::string slice_name = name_.name + (Roll(2) == 0 ? "-a" : "-b");
    const auto found = now_.slices.find(slice_name);
    if (found != now_.slices.end() && Roll(30) == 0) {
      now_.slices.erase(found);
      return;
    }
    std::vector<Endpoint> endpoints;
    if (found != now_.slices.end()) endpoints = found->second->endpoints;
    ChangeOne(endpoints);
    now_.Put(MakeSlice(std::move(endpoints), version, now_time_, slice_name, name_.name));
    if (Roll(25) == 0) {
      auto changed = std::make_shared<EndpointSlice>(*now_.slices[slice_name]);
      changed->ports[0].port = static_cast<uint16_t>(1 + Roll(60000));
      now_.slices[slice_name] = changed;
    }
  }

  void ChangeOne(std::vector<Endpoint>& endpoints) {
    const int number = Roll(200);
    if (endpoints.size() < 5 || Roll(4) == 0) {
      endpoints.push_back(
          MakeEndpoint("10.42.1." + std::to_string(number), "pod-" + std::to_string(number)));
      return;
    }
    const auto at = static_cast<size_t>(Roll(static_cast<int>(endpoints.size())));
    if (endpoints.size() > 12 || Roll(4) == 0) {
      endpoints.erase(endpoints.begin() + static_cast<ptrdiff_t>(at));
    } else if (Roll(6) == 0) {
      std::swap(endpoints[at], endpoints[0]);
    } else if (Roll(6) == 0) {
      endpoints[at].zone = "zone-" + std::to_string(number);
    } else {
      endpoints[at].conditions.ready = !endpoints[at].conditions.ready;
      endpoints[at].conditions.terminating = Roll(5) == 0;
    }
  }

  Store& store_;
  const ObjectName name_;
  std::minstd_rand random_{7};
  int version_ = 100;
  size_t written_ = 0;
  OneName now_;
  absl::Time now_time_ = kNoon;
  std::map<int64_t, json> was_;
};

TEST(HistoryStore, TellsWhatANameWasAtEveryMoment) {
  const auto store = Open();
  Churn churn(*store);
  for (int i = 0; i < 1500; ++i) churn.Step();
  churn.ExpectToldSince(0);
  EXPECT_GT(churn.written(), 1400);
}

TEST(HistoryStore, GoesOnAfterItWasClosed) {
  const std::string file = FreshFile("goes_on");
  auto store = Open(file);
  Churn churn(*store);
  for (int i = 0; i < 100; ++i) churn.Step();
  const json shown = Shown(churn.state().view(), kName);
  store.reset();
  store = *Store::Open(file, Ms(churn.now()));
  const auto latest = store->Latest(kName);
  ASSERT_TRUE(latest.ok()) << latest.status();
  EXPECT_EQ(Shown(*latest, kName), shown);
  EXPECT_EQ(store->last_alive_unix_ms(), Ms(churn.now()));
  EXPECT_EQ(store->since_unix_ms(), Ms(kNoon));
}

TEST(HistoryStore, WhatIsOldGoesAndWhatItAmountedToStays) {
  const auto store = Open();
  Churn churn(*store);
  for (int i = 0; i < 600; ++i) churn.Step();
  const int64_t cut = Ms(kNoon + absl::Seconds(30));
  while (*store->Trim(cut, kLarge, 37)) {
  }
  EXPECT_LT(store->since_unix_ms(), cut);
  EXPECT_GT(store->since_unix_ms(), cut - 1000);
  const auto page = store->List({.limit = 5000});
  ASSERT_TRUE(page.ok());
  EXPECT_GE(page->entries.back().position.unix_ms, cut);
  churn.ExpectToldSince(store->since_unix_ms());
  EXPECT_TRUE(absl::IsNotFound(store->At(kName, store->since_unix_ms() - 1).status()));
  // Also what is written after that.
  for (int i = 0; i < 100; ++i) churn.Step();
  churn.ExpectToldSince(store->since_unix_ms());
}

TEST(HistoryStore, ANameThatIsGoneLeavesNothingWhenItsEntriesHaveGone) {
  const auto store = Open();
  Churn churn(*store);
  OneName none;
  OneName one;
  one.Put(MakeService());
  auto created = Compare(kName, none.view(), one.view(), kNoon);
  auto deleted = Compare(kName, one.view(), none.view(), kNoon + absl::Seconds(1));
  ASSERT_TRUE(store->Write(kName, created, one.view()).ok());
  ASSERT_TRUE(store->Write(kName, deleted, none.view()).ok());
  EXPECT_THAT(*store->Names(), SizeIs(1));
  EXPECT_FALSE(*store->Trim(kForever, kLarge, 10));
  EXPECT_THAT(*store->Names(), IsEmpty());
  EXPECT_TRUE(absl::IsNotFound(store->At(kName, Ms(kNoon + absl::Hours(1))).status()));
}

// Its deletion is worth a frame by what it lists.
TEST(HistoryStore, NorDoesALargeOne) {
  const auto store = Open();
  std::vector<Endpoint> endpoints;
  for (int i = 0; i < 20; ++i) {
    const std::string number = std::to_string(i);
    endpoints.push_back(
        MakeEndpoint("10.42.0." + number, "backend-" + std::string(80, 'x') + "-" + number));
  }
  OneName none;
  OneName one;
  one.Put(MakeService()).Put(MakeSlice(std::move(endpoints), "20", kNoon));
  auto created = Compare(kName, none.view(), one.view(), kNoon);
  auto deleted = Compare(kName, one.view(), none.view(), kNoon + absl::Seconds(1));
  ASSERT_TRUE(store->Write(kName, created, one.view()).ok());
  ASSERT_TRUE(store->Write(kName, deleted, none.view()).ok());
  EXPECT_TRUE(store->At(kName, Ms(kNoon + absl::Hours(1)))->state.empty());
  EXPECT_FALSE(*store->Trim(kForever, kLarge, 10));
  EXPECT_THAT(*store->Names(), IsEmpty());
}

TEST(HistoryStore, StaysBelowItsSize) {
  const std::string file = FreshFile("size");
  const auto store = Open(file);
  constexpr int64_t kMost = Store::kBeside + 700'000;
  std::vector<std::unique_ptr<Churn>> churns;
  for (int i = 0; i < 5; ++i) {
    churns.push_back(
        std::make_unique<Churn>(*store, ObjectName{"default", "backend-" + std::to_string(i)}));
  }
  size_t written = 0;
  for (int round = 0; round < 1000; ++round) {
    for (const auto& churn : churns) churn->Step();
    if (round % 50 != 0) continue;
    while (*store->Trim(0, kMost, 500)) {
    }
    uintmax_t bytes = std::filesystem::file_size(file) + std::filesystem::file_size(file + "-wal");
    ASSERT_LE(bytes, kMost) << round;
  }
  for (const auto& churn : churns) {
    written += churn->written();
    churn->ExpectToldSince(store->since_unix_ms());
  }
  // And some did have to go.
  EXPECT_LT(store->List({.limit = 1'000'000})->entries.size(), written);
}

TEST(HistoryStore, ALowerLimitShrinksTheFile) {
  const std::string file = FreshFile("shrinks");
  const auto store = Open(file);
  Churn churn(*store);
  for (int i = 0; i < 3000; ++i) churn.Step();
  ASSERT_GT(store->MeasureSize()->file, 600'000);
  while (*store->Trim(Ms(churn.now()) - 100, kLarge, 500)) {
  }
  ASSERT_TRUE(store->Trim(0, Store::kBeside / 2 + 1, 500).ok());
  EXPECT_LT(store->MeasureSize()->file, 200'000);
}

TEST(HistoryStore, ListsNewestFirstAPageAtATimeAndEachOnce) {
  const auto store = Open();
  Churn churn(*store);
  for (int i = 0; i < 200; ++i) churn.Step();
  // Many of the same millisecond, whose order is that of their versions.
  for (int i = 0; i < 30; ++i) {
    const ObjectName name = {"web", "w" + std::to_string(i)};
    OneName none;
    OneName one;
    Service service = MakeService(name.name, std::to_string(1000 + i));
    service.name = name;
    one.Put(service);
    auto entries = Compare(name, none.view(), one.view(), kNoon);
    ASSERT_TRUE(store->Write(name, entries, one.view()).ok());
  }
  std::vector<Position> all;
  HistoryQuery query;
  query.limit = 7;
  while (true) {
    const auto page = store->List(query);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const Entry& entry : page->entries) all.push_back(entry.position);
    if (!page->more) break;
    query.before = Position::FromToken(all.back().ToToken());
  }
  EXPECT_EQ(all.size(), churn.written() + 30);
  EXPECT_TRUE(std::is_sorted(all.rbegin(), all.rend()));
  EXPECT_EQ(std::adjacent_find(all.begin(), all.end()), all.end());
}

TEST(HistoryStore, ListsWhatIsAskedFor) {
  const auto store = Open();
  Churn churn(*store);
  for (int i = 0; i < 100; ++i) churn.Step();
  Churn other(*store, {"default", "other"});
  for (int i = 0; i < 100; ++i) other.Step();
  const auto count = [&](HistoryQuery query) {
    query.limit = 5000;
    const auto page = store->List(query);
    EXPECT_TRUE(page.ok()) << page.status();
    return page->entries.size();
  };
  HistoryQuery query;
  query.ns = "default";
  EXPECT_EQ(count(query), churn.written() + other.written());
  query.name = "other";
  EXPECT_EQ(count(query), other.written());
  query.ns = "";
  EXPECT_EQ(count(query), other.written());
  query.name = "none";
  EXPECT_EQ(count(query), 0);
  query.ns = "default";
  EXPECT_EQ(count(query), 0);
  HistoryQuery late;
  late.since_unix_ms = Ms(kNoon + absl::Seconds(5));
  HistoryQuery early;
  early.until_unix_ms = *late.since_unix_ms - 1;
  EXPECT_EQ(count(late) + count(early), churn.written() + other.written());
  HistoryQuery edited;
  edited.cause = Cause::kServiceEdited;
  const auto page = store->List(edited);
  EXPECT_GT(page->entries.size(), 0);
  for (const Entry& entry : page->entries) {
    EXPECT_EQ(entry.position.cause, Cause::kServiceEdited);
  }
}

TEST(HistoryStore, ANameDoesNotGoBackInTimeWithTheClock) {
  const auto store = Open();
  OneName none;
  OneName one;
  one.Put(MakeService());
  OneName two;
  Service edited = MakeService("backend", "11", kNoon - absl::Hours(1));
  edited.ports[0].port = 1;
  two.Put(edited);
  auto created = Compare(kName, none.view(), one.view(), kNoon);
  auto changed = Compare(kName, one.view(), two.view(), kNoon);
  ASSERT_TRUE(store->Write(kName, created, one.view()).ok());
  ASSERT_TRUE(store->Write(kName, changed, two.view()).ok());
  const auto past = store->At(kName, Ms(kNoon));
  ASSERT_TRUE(past.ok());
  EXPECT_EQ(past->state.service->ports[0].port, 1);
  EXPECT_EQ(past->entry->position.unix_ms, Ms(kNoon));
}

TEST(HistoryStore, KnowsTheSameChangeAgain) {
  const auto store = Open();
  Churn churn(*store);
  for (int i = 0; i < 10; ++i) churn.Step();
  Position position = store->List({.limit = 1})->entries.front().position;
  EXPECT_TRUE(*store->Holds(position, 0));
  position.unix_ms += 2000;
  EXPECT_TRUE(*store->Holds(position, 5000));
  EXPECT_FALSE(*store->Holds(position, 100));
  position.resource_version = "1";
  EXPECT_FALSE(*store->Holds(position, 5000));
}

TEST(HistoryStore, WhatIsNoHistoryOfOursIsSaidToBeNone) {
  const std::string garbage = FreshFile("garbage");
  std::ofstream(garbage) << std::string(100'000, 'x');
  EXPECT_TRUE(absl::IsDataLoss(Store::Open(garbage, Ms(kNoon)).status()));

  const std::string foreign = FreshFile("foreign");
  ASSERT_TRUE(Database::Open(foreign)->Run("CREATE TABLE t(x)").ok());
  const std::string before = ReadAll(foreign);
  EXPECT_TRUE(absl::IsDataLoss(Store::Open(foreign, Ms(kNoon)).status()));
  EXPECT_EQ(ReadAll(foreign), before) << "it is not ours to change";

  const std::string newer = FreshFile("newer");
  Open(newer).reset();
  ASSERT_TRUE(Database::Open(newer)->Run("PRAGMA user_version = 2").ok());
  EXPECT_TRUE(absl::IsDataLoss(Store::Open(newer, Ms(kNoon)).status()));

  const std::string future = FreshFile("future");
  {
    const auto store = Open(future);
    Churn churn(*store);
    churn.Step();
  }
  EXPECT_TRUE(absl::IsDataLoss(Store::Open(future, Ms(kNoon - absl::Hours(1))).status()));
}

TEST(HistoryStore, ADamagedFileIsFoundByTheCheck) {
  const std::string file = FreshFile("damaged");
  {
    const auto store = Open(file);
    Churn churn(*store);
    for (int i = 0; i < 500; ++i) churn.Step();
  }
  std::fstream(file, std::ios::in | std::ios::out).seekp(40'000) << std::string(60'000, '\7');
  auto store = Store::Open(file, Ms(kNoon + absl::Hours(1)));
  EXPECT_TRUE(absl::IsDataLoss(store.ok() ? (*store)->Check() : store.status()));
  store = absl::CancelledError("");
  std::filesystem::resize_file(file, 50'000);
  store = Store::Open(file, Ms(kNoon + absl::Hours(1)));
  EXPECT_TRUE(absl::IsDataLoss(store.ok() ? (*store)->Check() : store.status()));
}

TEST(HistoryStore, OneProcessHasTheFile) {
  const std::string file = FreshFile("locked");
  const auto store = Open(file);
  EXPECT_TRUE(absl::IsUnavailable(Store::Open(file, Ms(kNoon)).status()));
}

TEST(HistoryStore, AFileOfTheNameOfAUriIsAFile) {
  const std::string name = "file:history?mode=memory";
  const auto before = std::filesystem::current_path();
  std::filesystem::current_path(testing::TempDir());
  Open(name).reset();
  EXPECT_TRUE(std::filesystem::remove(name));
  std::filesystem::current_path(before);
}

TEST(HistoryStore, ADamagedRowIsOfOneNameUntilItHasGone) {
  const std::string file = FreshFile("row");
  {
    const auto store = Open(file);
    Churn churn(*store);
    for (int i = 0; i < 20; ++i) churn.Step();
    Churn other(*store, {"default", "other"});
    for (int i = 0; i < 20; ++i) other.Step();
  }
  ASSERT_TRUE(Database::Open(file)
                  ->Run("UPDATE frames SET state = x'00'; UPDATE entries SET delta = x'ff'"
                        " WHERE name = (SELECT id FROM names WHERE name = 'backend')")
                  .ok());
  const int64_t now = Ms(kNoon + absl::Hours(1));
  const auto store = *Store::Open(file, now);
  EXPECT_TRUE(absl::IsInvalidArgument(store->Latest(kName).status()));
  EXPECT_THAT(store->List({})->entries, ::testing::Not(IsEmpty()));
  EXPECT_FALSE(*store->Trim(kForever, kLarge, 1000));
  EXPECT_THAT(store->List({})->entries, IsEmpty());
}

TEST(HistoryStore, ADamagedRowDoesNotEndTheList) {
  const std::string file = FreshFile("row_of_list");
  size_t written = 0;
  {
    const auto store = Open(file);
    Churn churn(*store);
    for (int i = 0; i < 50; ++i) churn.Step();
    written = churn.written();
  }
  // The newest but one.
  ASSERT_TRUE(Database::Open(file)
                  ->Run("UPDATE entries SET delta = x'ff' WHERE id = (SELECT MAX(id) FROM entries)"
                        " - 1")
                  .ok());
  const auto store = *Store::Open(file, Ms(kNoon + absl::Hours(1)));
  HistoryQuery query;
  query.limit = 10;
  size_t listed = 0;
  while (true) {
    const auto page = store->List(query);
    ASSERT_TRUE(page.ok()) << page.status();
    listed += page->entries.size();
    if (!page->more) break;
    query.before = page->entries.back().position;
  }
  EXPECT_EQ(listed, written - 1);
}

TEST(HistoryStore, KnowsAChangeAmongManyOfTheSameTime) {
  const auto store = Open();
  OneName last;
  for (int i = 0; i < 700; ++i) {
    OneName one = last;
    one.Put(MakeService("backend", std::to_string(100 + i)));
    auto edited = std::make_shared<Service>(*one.service);
    edited->ports[0].port = static_cast<uint16_t>(1 + i);
    one.service = edited;
    auto entries = Compare(kName, last.view(), one.view(), kNoon);
    ASSERT_TRUE(store->Write(kName, entries, one.view()).ok());
    last = one;
  }
  const Position first{Ms(kNoon), "101", kName, HistoryKind::kService, "", Cause::kServiceEdited};
  EXPECT_TRUE(*store->Holds(first, 1000));
}

TEST(HistoryStore, OfANamespaceThatIsNotThereThereIsNothing) {
  const auto store = Open();
  Churn churn(*store);
  for (int i = 0; i < 10; ++i) churn.Step();
  EXPECT_THAT(store->List({.ns = "none"})->entries, IsEmpty());
  EXPECT_THAT(store->List({.ns = "default"})->entries, SizeIs(churn.written()));
}

TEST(HistoryStore, GapsAreKeptAndOneThatGoesOnIsOne) {
  const auto store = Open();
  ASSERT_TRUE(store->Write(Gap{1000, 2000, 3, Gap::Reason::kOverload}).ok());
  ASSERT_TRUE(store->Write(Gap{2500, 3000, 4, Gap::Reason::kOverload}).ok());
  ASSERT_TRUE(store->Write(Gap{3000, 4000, 5, Gap::Reason::kFile}).ok());
  ASSERT_TRUE(store->Write(Gap{90'000, 91'000, 6, Gap::Reason::kFile}).ok());
  const auto gaps = store->Gaps();
  ASSERT_THAT(*gaps, SizeIs(3));
  EXPECT_EQ((*gaps)[2].began_unix_ms, 1000);
  EXPECT_EQ((*gaps)[2].ended_unix_ms, 3000);
  EXPECT_EQ((*gaps)[2].lost, 7);
  EXPECT_EQ((*gaps)[2].reason, Gap::Reason::kOverload);
  EXPECT_EQ((*gaps)[0].lost, 6);
}

}  // namespace
}  // namespace portolan::xds
