// One kind of object of a cluster, followed for as long as the program runs, whatever the API
// server does: listed, then watched from there, and listed again when the server no longer knows
// what happened since.
//
// A list is asked for as a stream (sendInitialEvents) and, where the server refuses that, page by
// page. After a connection was lost the server is asked for one object first: where its
// resourceVersion lies before ours, the cluster was set back to a backup, and all is listed.
// Nothing is forgotten while a list is under way: what it lacks is gone only once it is complete.
// What fails is tried again after a time that doubles up to Options::max_delay, with jitter, not
// before a Retry-After; 403 too, which a server that has just come up says of those it will let in.
// An optional resource is absent where the server says 404, or 403 three times in a row while it
// lets us see something else (Options::is_let_in): then it is the role that lacks the resource.
// https://kubernetes.io/docs/reference/using-api/api-concepts/.
//
// Everything happens on the loop's thread.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"
#include "common/event_loop.h"
#include "common/kubernetes/api_client.h"
#include "common/kubernetes/api_status.h"
#include "common/kubernetes/list_reader.h"
#include "common/kubernetes/watch_stream.h"

namespace portolan {

// Which objects.
struct ApiResource {
  std::string group;  // empty: the core group
  std::string version;
  std::string plural;
  std::string kind;  // of one
  // Not every server has it: it may be absent, and is then looked for again now and then.
  bool optional = false;
  std::string name_space = {};  // empty: all namespaces, or none
  std::string selector = {};    // "fieldSelector=metadata.name=portolan-ca"; empty: all objects
  // What is read of an object, its name, resourceVersion and annotations among it; none: all.
  std::vector<WantedField> fields = {};

  // "/api/v1/services", "/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices"
  std::string path() const;
  // As a role names it: "services", "endpointslices.discovery.k8s.io".
  std::string name() const;
};

class Reflector : private ApiClient::Listener {
 public:
  struct Options {
    int page_items = 500;
    // Before the first repeated attempt, and at most.
    absl::Duration first_delay = absl::Milliseconds(200);
    absl::Duration max_delay = absl::Seconds(5);
    // How long a server may ask to be left alone.
    absl::Duration max_retry_after = absl::Minutes(5);
    // A watch without a byte: its server is gone, or does not know the resourceVersion yet.
    // Bookmarks come once a minute.
    absl::Duration watch_silence = absl::Seconds(90);
    absl::Duration list_silence = absl::Seconds(30);
    // timeoutSeconds of a watch, chosen anew for each.
    absl::Duration min_watch = absl::Minutes(5);
    absl::Duration max_watch = absl::Minutes(10);
    // A watch that lived so long was none that failed, and a list so old may be followed by
    // another.
    absl::Duration settled = absl::Seconds(2);
    // How often an optional resource that is absent is looked for.
    absl::Duration absent_delay = absl::Minutes(1);
    // After so long of nothing but 404 there are no objects of it any more.
    absl::Duration gone_after = absl::Minutes(5);
    // From an event that could not be read to the list that makes up for it; doubles as they come.
    absl::Duration repair_delay = absl::Seconds(10);
    absl::Duration max_repair_delay = absl::Minutes(5);
    // Whether the server lets us see another resource just now: a 403 counts towards absence only
    // then. Without it, always.
    std::function<bool()> is_let_in = {};
  };

  // The Reflector must not be destroyed from these.
  class Listener {
   public:
    virtual ~Listener() = default;
    // From here to OnListed comes all there is. May come again before that: a list that failed.
    // kByVersion: an object whose resourceVersion is held is the one that is held.
    enum class Compare : uint8_t { kByVersion, kByContent };
    virtual void OnListing(Compare compare) = 0;
    virtual void OnObject(const Value& object, absl::Time arrived) = 0;
    virtual void OnDeleted(const Value& object) = 0;
    // Something that is no object arrived in the place of `name` ("default/backend"); empty: it
    // cannot be told. Of a list under way it is a part all the same.
    virtual void OnUnreadable(std::string_view name) = 0;
    virtual void OnListed() = 0;
    // The server has no such resource, or does not let us see it, and it is optional. Once. What
    // there was of it may yet be there; Options::gone_after ends that with a list of nothing.
    virtual void OnAbsent() = 0;
  };

  enum class Failure : uint8_t {
    kUnreachable,   // no answer, or its end is missing
    kSilent,        // a watch without a byte for too long
    kShort,         // a watch that ended at once
    kUnauthorized,  // 401
    kForbidden,     // 403
    kNotFound,      // 404
    kExpired,       // 410
    kThrottled,     // 429
    kServer,        // 5xx
    kRefused,       // any other status
    kUnreadable,    // bytes that are no list and no event
  };
  static constexpr size_t kFailures = 11;
  static std::string_view FailureName(Failure failure);

  struct Stats {
    std::array<uint64_t, 5> events = {};  // by WatchEvent::Type
    uint64_t lists = 0;                   // completed
    uint64_t relists = 0;                 // begun after the first
    uint64_t watches = 0;                 // begun
    std::array<uint64_t, kFailures> failures = {};
    bool listed = false;     // once
    bool connected = false;  // a watch stands, and the list before it is complete
    bool absent = false;
    absl::Time last_event = {};  // the epoch: none yet
    std::string resource_version;
    std::string last_failure;  // in words; empty when all has been well since
  };

  // `client` and `listener` outlive it.
  Reflector(EventLoop& loop, ApiClient& client, ApiResource resource, Listener& listener,
            Options options);

  void Start();

  const ApiResource& resource() const { return resource_; }
  const Stats& stats() const { return stats_; }

 private:
  enum class Phase : uint8_t { kIdle, kStreamedList, kPage, kCheck, kWatch };

  void Next();
  void Ask(Phase phase, const std::string& query, absl::Duration silence);
  void AskForStream();
  void AskForPage();
  void AskForCheck();
  void AskForWatch();
  std::string WatchQuery() const;

  void OnHead(const ApiResponseHead& head) override;
  void OnBytes(std::string_view bytes) override;
  void OnEnd(const absl::Status& status) override;

  void TakePage(std::string_view bytes);
  // False: no more of this stream.
  bool TakeEvent(std::string& line);
  bool TakeError(const ApiStatus& error);
  void Heard();
  void TakeUnreadable(std::string_view text, std::string_view why);
  bool EndStreamedList(const WatchEvent& bookmark);
  void Repair();
  void EndPage();
  void EndCheck();
  void EndWatch(const absl::Status& status);
  void Refused(const ApiStatus& answer);
  void CountDenials(int code);
  bool RefusedStreaming(int code) const;
  void Listed(std::string resource_version);

  // What the server remembers no longer reaches back to what we have.
  void Expired(const std::string& message);
  void ListAgain(Listener::Compare compare);
  void Absent(const ApiStatus& answer);
  void NotFound();
  void Fail(Failure failure, const std::string& what);
  void Log(Failure failure, const std::string& what, absl::Duration delay);
  void WaitThenNext(absl::Duration delay);
  void StopAsking();
  absl::Duration lived() const;

  EventLoop& loop_;
  ApiClient& client_;
  const ApiResource resource_;
  Reflector::Listener& listener_;
  const Options options_;
  Stats stats_;

  Phase phase_ = Phase::kIdle;
  std::unique_ptr<ApiClient::Exchange> exchange_;
  absl::Duration began_;  // Monotonic
  ApiResponseHead head_;
  absl::Time arrived_;  // the bytes at hand
  std::string refusal_;
  LineSplitter lines_;
  ListReader page_;
  JsonReader json_;
  const std::vector<WantedField> event_fields_;
  bool heard_ = false;  // an event in this exchange

  // What is to be listed: all anew, or the next page.
  bool must_list_ = true;
  bool streams_lists_ = true;
  Listener::Compare compare_ = Listener::Compare::kByContent;
  std::string continue_token_;
  int page_items_;
  std::string list_version_;
  int unreadable_ = 0;  // since the last list began
  absl::Duration repair_delay_;
  absl::Duration listed_at_ = -absl::InfiniteDuration();    // Monotonic
  absl::Duration relisted_at_ = -absl::InfiniteDuration();  // Monotonic: begun, not for a failure

  bool lost_ = false;                              // the connection, since the last watch stood
  int failures_ = 0;                               // in a row
  int silences_ = 0;                               // in a row
  std::optional<absl::Duration> not_found_since_;  // Monotonic: nothing but 404 since
  int denials_ = 0;                                // 403s in a row, while let in to something else
  std::optional<Failure> logged_;
  absl::Duration logged_at_;
  EventLoop::Timer timer_;
  EventLoop::Timer list_timer_;
  EventLoop::Timer repair_timer_;
};

}  // namespace portolan
