#include "xds/history/history.h"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <future>

#include "common/event_loop.h"
#include "tests/xds/history/cluster.h"

namespace portolan::xds {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class HistoryTest : public ::testing::Test {
 protected:
  HistoryTest() : folder_(testing::TempDir() + "/history_" + std::to_string(getpid())) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directory(folder_);
    file_ = folder_ + "/history.db";
    thread_ = std::thread([this] { loop_.Run(); });
  }
  ~HistoryTest() override {
    Close();
    loop_.Stop();
    thread_.join();
    std::filesystem::remove_all(folder_);
  }

  absl::Time now() const { return absl::FromUnixMillis(now_ms_); }

  template <typename F>
  auto OnLoop(F task) {
    std::promise<decltype(task())> promise;
    loop_.Post([&] { promise.set_value(task()); });
    return promise.get_future().get();
  }

  absl::Status Open(int64_t max_bytes = 256 << 20) {
    HistoryOptions options{.file = file_,
                           .max_bytes = max_bytes,
                           .retry_after = absl::Milliseconds(10),
                           .now = [this] { return now(); }};
    return OnLoop([&] {
      auto opened = History::Open(loop_, options);
      if (opened.ok()) history_ = *std::move(opened);
      return opened.status();
    });
  }
  void Close() {
    OnLoop([this] {
      history_.reset();
      return true;
    });
  }

  // As a commit of its own, a second after the one before.
  void Commit() {
    now_ms_ += 1000;
    OnLoop([this] {
      history_->Record(directory_->Commit(), now());
      return true;
    });
  }

  json Entries(HistoryQuery query = {}) {
    std::promise<absl::StatusOr<HistoryPage>> promise;
    OnLoop([&] {
      history_->List(query, [&](auto page) { promise.set_value(std::move(page)); });
      return true;
    });
    auto page = promise.get_future().get();
    EXPECT_TRUE(page.ok()) << page.status();
    gaps_ = page->gaps;
    return page->entries;
  }
  // Once the writer is done with what was recorded: it is asked behind it.
  std::vector<std::string> Causes(size_t expected) {
    std::vector<std::string> causes;
    for (int i = 0; i < 2000; ++i) {
      causes.clear();
      for (const json& entry : Entries()) {
        causes.push_back(entry["name"].get<std::string>() + " " +
                         entry["cause"].get<std::string>());
      }
      if (causes.size() >= expected) break;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return causes;
  }

  absl::StatusOr<Past> At(absl::Time time) {
    std::promise<absl::StatusOr<Past>> promise;
    OnLoop([&] {
      history_->At({"default", "backend"}, time, [&](auto past) { promise.set_value(past); });
      return true;
    });
    return promise.get_future().get();
  }

  double Metric(const std::string& name) { return Metric(*history_, name); }
  static double Metric(const History& history, const std::string& name) {
    MetricFamilies families;
    history.AddMetrics(families);
    for (const auto& family : families) {
      if (family.name != name) continue;
      const auto& metric = family.metric.front();
      return family.type == prometheus::MetricType::Counter ? metric.counter.value
                                                            : metric.gauge.value;
    }
    ADD_FAILURE() << "no metric " << name;
    return -1;
  }

  size_t SetAside() {
    size_t files = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      const std::string name = entry.path().filename();
      files += name.starts_with("history.db.corrupt-") && !name.ends_with("-wal") ? 1 : 0;
    }
    return files;
  }

  void PutBackend(bool ready, int version) {
    Endpoint endpoint = MakeEndpoint("10.42.0.1", "backend-1");
    endpoint.conditions.ready = ready;
    directory_->Put(MakeSlice({endpoint}, std::to_string(version), now()));
  }

  // An entry that is larger than what SQLite keeps of the file in memory.
  void WriteLarge() {
    directory_->Put(MakeService());
    Commit();
    Endpoint endpoint = MakeEndpoint("10.42.0.1");
    endpoint.zone = std::string(12 << 20, 'z');
    directory_->Put(MakeSlice({endpoint}, "20", now()));
    Commit();
    EXPECT_THAT(Causes(2), ElementsAre("backend slice-created", "backend first-seen"));
  }
  void DamageLarge() const {
    // Where the pages are read from as long as nothing else is written.
    for (const char* suffix : {"", "-wal"}) {
      std::fstream(file_ + suffix, std::ios::in | std::ios::out).seekp(4 << 20)
          << std::string(4 << 20, '\7');
    }
  }

  std::string folder_;
  std::string file_;
  std::atomic<int64_t> now_ms_ = absl::ToUnixMillis(kNoon);  // also of the history's thread
  EventLoop loop_;
  std::unique_ptr<Directory> directory_ = std::make_unique<Directory>();
  std::unique_ptr<History> history_;
  json gaps_;
  std::thread thread_;
};

TEST_F(HistoryTest, TellsWhatHappenedAndWhatWas) {
  ASSERT_TRUE(Open().ok());
  directory_->Put(MakeService());
  PutBackend(false, 20);
  Commit();
  PutBackend(true, 21);
  Commit();
  EXPECT_THAT(Causes(2), ElementsAre("backend pod-ready", "backend first-seen"));
  const auto before = At(now() - absl::Milliseconds(1001));
  const auto after = At(now());
  ASSERT_TRUE(before.ok() && after.ok()) << before.status() << after.status();
  EXPECT_EQ(CountEndpoints(before->snapshot->FindSlices("default/backend")).ready, 0);
  EXPECT_EQ(CountEndpoints(after->snapshot->FindSlices("default/backend")).ready, 1);
  EXPECT_EQ(before->entry["cause"], "first-seen");
  EXPECT_EQ(after->entry["cause"], "pod-ready");
  EXPECT_THAT(std::string(At(kNoon - absl::Hours(1)).status().message()),
              HasSubstr("history begins at 2023-11-14"));
}

TEST_F(HistoryTest, ARestartLeavesAnEntryForWhatIsDifferentAlone) {
  ASSERT_TRUE(Open().ok());
  directory_->Put(MakeService());
  directory_->Put(MakeService("stays"));
  directory_->Put(MakeService("goes"));
  PutBackend(false, 20);
  Commit();
  EXPECT_THAT(Causes(3), SizeIs(3));
  Close();
  now_ms_ += 60'000;
  directory_ = std::make_unique<Directory>();
  directory_->Put(MakeService());
  directory_->Put(MakeService("stays"));
  directory_->Put(MakeService("comes", "30", now()));
  PutBackend(true, 22);
  ASSERT_TRUE(Open().ok());
  Commit();
  std::vector<std::string> causes = Causes(6);
  causes.resize(3);
  EXPECT_THAT(causes, ::testing::UnorderedElementsAre("backend pod-ready", "comes first-seen",
                                                      "goes service-deleted"));
  ASSERT_THAT(gaps_, SizeIs(1));
  EXPECT_EQ(gaps_[0]["reason"], "not-running");
  EXPECT_EQ(gaps_[0]["from"], "2023-11-14T22:13:21.000Z");
  const auto within = At(now() - absl::Seconds(30));
  ASSERT_TRUE(within.ok());
  EXPECT_EQ(within->gap["reason"], "not-running");
}

TEST_F(HistoryTest, ThatCommitsWereTakenTogetherIsAGapAndWhatWasIsStillRight) {
  ASSERT_TRUE(Open().ok());
  directory_->Put(MakeService());
  Commit();
  EXPECT_THAT(Causes(1), SizeIs(1));
  // More than may wait, and faster than the history's thread can write them.
  constexpr int kCommits = static_cast<int>(History::kMostCommits) * 20;
  const auto address = [](int i) {
    return "10." + std::to_string(i / 65536) + "." + std::to_string(i / 256 % 256) + "." +
           std::to_string(i % 256);
  };
  OnLoop([&] {
    for (int i = 1; i <= kCommits; ++i) {
      directory_->Put(MakeSlice({MakeEndpoint(address(i))}, std::to_string(i), now()));
      history_->Record(directory_->Commit(), now());
    }
    return true;
  });
  const double lost = Metric("portolan_history_lost_total");
  ASSERT_GT(lost, 0);
  json last;
  do {
    last = SlicesJson(At(now())->snapshot->FindSlices("default/backend"));
  } while (last.empty() || last[0]["endpoints"][0]["addresses"][0] != address(kCommits));
  EXPECT_EQ(Metric("portolan_history_entries_total"), 1 + kCommits - lost);
  Entries();
  double changes = 0;
  for (const json& gap : gaps_) {
    EXPECT_EQ(gap["reason"], "overload");
    changes += gap["changes"].get<double>();
  }
  EXPECT_EQ(changes, lost);
}

TEST_F(HistoryTest, WhatWentWhileCommitsWereTakenTogetherHasItsOwnTime) {
  ASSERT_TRUE(Open().ok());
  directory_->Put(MakeService("goes"));
  Commit();
  EXPECT_THAT(Causes(1), SizeIs(1));
  const absl::Time gone = now() + absl::Seconds(10);
  OnLoop([&] {
    for (int i = 1; i <= static_cast<int>(History::kMostCommits) * 20; ++i) {
      directory_->Put(
          MakeSlice({MakeEndpoint("10.0.0.1", std::to_string(i))}, std::to_string(i), now()));
      history_->Record(directory_->Commit(), now());
    }
    Service edited = MakeService("goes", "11");
    edited.ports[0].port = 1;
    directory_->Put(edited);
    history_->Record(directory_->Commit(), now());
    directory_->RemoveService({"default", "goes"});
    history_->Record(directory_->Commit(), gone);
    return true;
  });
  ASSERT_GT(Metric("portolan_history_lost_total"), 0);
  const HistoryQuery query{.ns = "default", .name = "goes"};
  // The thread may have made room for the edit, which then is an entry of its own.
  json entries = Entries(query);
  while (entries.empty() || entries[0]["cause"] != "service-deleted") entries = Entries(query);
  EXPECT_EQ(entries[0]["time"], TimeJson(gone));
}

// The gap of the next start begins where what was written ends.
TEST_F(HistoryTest, WhatIsNotWrittenWhenItEndsIsInTheGap) {
  ASSERT_TRUE(Open().ok());
  directory_->Put(MakeService());
  Commit();
  EXPECT_THAT(Causes(1), SizeIs(1));
  OnLoop([this] {
    for (int i = 1; i <= static_cast<int>(History::kMostCommits); ++i) {
      now_ms_ += 1000;
      PutBackend(i % 2 == 0, i);
      history_->Record(directory_->Commit(), now());
    }
    history_.reset();
    return true;
  });
  ASSERT_TRUE(Open().ok());
  const json before = Entries();
  now_ms_ += 60'000;
  PutBackend(false, 9999);
  Commit();
  do {
    Entries();
  } while (gaps_.empty());
  ASSERT_THAT(gaps_, SizeIs(1));
  EXPECT_LE(gaps_[0]["from"], before[0]["time"]);
}

TEST_F(HistoryTest, AFileOfNoUseIsSetAsideAndANewOneBegun) {
  std::ofstream(file_) << std::string(100'000, 'x');
  ASSERT_TRUE(Open().ok());
  EXPECT_EQ(SetAside(), 1);
  EXPECT_EQ(Metric("portolan_history_set_aside_total"), 1);
  directory_->Put(MakeService());
  Commit();
  EXPECT_THAT(Causes(1), ElementsAre("backend first-seen"));
  EXPECT_EQ(Metric("portolan_history_in_file"), 1);
}

TEST_F(HistoryTest, AFileThatWasCutShortIsSetAside) {
  ASSERT_TRUE(Open().ok());
  for (int i = 0; i < 400; ++i) directory_->Put(MakeService("service-" + std::to_string(i)));
  Commit();
  EXPECT_THAT(Causes(400), SizeIs(400));
  Close();
  ASSERT_GT(std::filesystem::file_size(file_), 60'000);
  std::filesystem::resize_file(file_, 50'000);
  directory_->Put(MakeService());
  ASSERT_TRUE(Open().ok());
  Commit();
  EXPECT_THAT(Causes(401), SizeIs(401));
  EXPECT_EQ(SetAside(), 1);
}

TEST_F(HistoryTest, WhatCannotBeSetAsideIsLeftForMemory) {
  ASSERT_TRUE(Open().ok());
  WriteLarge();
  Close();
  DamageLarge();
  // Where it would go to there is something already.
  std::filesystem::create_directories(
      file_ + ".corrupt-" + absl::FormatTime("%Y%m%dT%H%M%SZ", now(), absl::UTCTimeZone()) +
      "/full");
  ASSERT_TRUE(Open().ok());
  while (Metric("portolan_history_set_aside_total") == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(Metric("portolan_history_in_file"), 0);
}

// Found to be damaged while no commit is being written.
TEST_F(HistoryTest, WhatTheFileSaidLastIsThereToBeWrittenAnew) {
  Recorder::Stats stats;
  const auto recorder = *Recorder::Open({.file = file_, .now = [this] { return now(); }}, stats);
  const auto write = [&](const RecordedCommit& commit) {
    return recorder->Write(commit) == Recorder::Outcome::kDone;
  };
  directory_->Put(MakeService());
  ASSERT_TRUE(write({.snapshot = directory_->Commit().snapshot, .keys = {}, .since = now()}));
  Endpoint endpoint = MakeEndpoint("10.42.0.1");
  endpoint.zone = std::string(12 << 20, 'z');
  directory_->Put(MakeSlice({endpoint}, "20", now()));
  const auto snapshot = directory_->Commit().snapshot;
  ASSERT_TRUE(write({.snapshot = snapshot, .keys = {{"default/backend", now()}}, .since = now()}));
  EXPECT_FALSE(recorder->TakeToWriteAnew().has_value());
  DamageLarge();
  recorder->Check();
  EXPECT_EQ(SetAside(), 1u);
  EXPECT_TRUE(recorder->store().List({})->entries.empty());
  const auto anew = recorder->TakeToWriteAnew();
  ASSERT_TRUE(anew.has_value());
  EXPECT_EQ(anew->snapshot, snapshot);
  ASSERT_TRUE(write(*anew));
  EXPECT_THAT(recorder->store().List({})->entries, SizeIs(1));
  EXPECT_FALSE(recorder->TakeToWriteAnew().has_value());
}

TEST_F(HistoryTest, AFullDiskIsWaitedForAndWhatHappenedMeanwhileIsMade) {
  ASSERT_TRUE(Open().ok());
  directory_->Put(MakeService());
  Commit();
  EXPECT_THAT(Causes(1), SizeIs(1));
  // As a disk that is full: no file may grow beyond this.
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit small{std::filesystem::file_size(file_ + "-wal"), before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  PutBackend(true, 20);
  Commit();
  while (Metric("portolan_history_write_failures_total") == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_THAT(Entries(), SizeIs(1));
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_THAT(Causes(2), ElementsAre("backend slice-created", "backend first-seen"));
}

TEST_F(HistoryTest, WhatCanNeverBeAFileIsAnErrorAtTheStart) {
  std::filesystem::create_directory(file_);
  EXPECT_THAT(std::string(Open().message()), HasSubstr("it is a directory"));
  file_ = folder_ + "/none/history.db";
  EXPECT_THAT(std::string(Open().message()), HasSubstr("--history-db " + file_));
}

TEST_F(HistoryTest, ASecondProcessKeepsItsHistoryInMemory) {
  ASSERT_TRUE(Open().ok());
  EventLoop other_loop;
  auto other = History::Open(other_loop, {.file = file_});
  ASSERT_TRUE(other.ok()) << other.status();
  EXPECT_EQ(Metric(**other, "portolan_history_in_file"), 0);
  EXPECT_EQ(Metric("portolan_history_in_file"), 1);
  EXPECT_EQ(SetAside(), 0);
}

TEST_F(HistoryTest, MoreQuestionsThanMayWaitAreRefused) {
  ASSERT_TRUE(Open().ok());
  std::promise<int> refused;
  OnLoop([&] {
    auto left = std::make_shared<int>(1000);
    auto count = std::make_shared<int>(0);
    for (int i = 0; i < 1000; ++i) {
      history_->List({}, [&, left, count](const absl::StatusOr<HistoryPage>& page) {
        *count += absl::IsUnavailable(page.status()) ? 1 : 0;
        if (--*left == 0) refused.set_value(*count);
      });
    }
    return true;
  });
  EXPECT_GT(refused.get_future().get(), 0);
}

}  // namespace
}  // namespace portolan::xds
