#include "common/kubernetes/reflector.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/numbers.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/status.h"

namespace portolan {
namespace {

// A role that lacks an optional resource says so for good; a server that comes up, for a moment.
constexpr int kDenialsUntilAbsent = 3;
// A watch from a resourceVersion that the server has not reached is answered, and silent.
constexpr int kSilencesUntilList = 2;
// Lines for what is unreadable, of one list and the watch after it.
constexpr int kMostLogged = 10;
constexpr absl::Duration kLogAgain = absl::Minutes(1);
constexpr absl::Duration kLongestDoubling = absl::Hours(1);

// `part` to 1, so that what fails together is not tried again together.
absl::Duration Jittered(absl::Duration duration, double part = 0.5) {
  thread_local absl::InsecureBitGen random;
  return duration * absl::Uniform(random, part, 1.0);
}

absl::Duration Doubled(absl::Duration first, int times, absl::Duration most) {
  absl::Duration delay = first;
  for (int i = 0; i < times && delay < std::min(most, kLongestDoubling); ++i) delay *= 2;
  return std::min(delay, most);
}

// Safe in a query: a continue token is base64 for URLs, but that is the server's affair.
std::string Escaped(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '_' || c == '.') {
      escaped += c;
    } else {
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return escaped;
}

}  // namespace

std::string ApiResource::path() const {
  const std::string root = group.empty() ? "/api" : "/apis/" + group;
  const std::string place = name_space.empty() ? "" : "namespaces/" + name_space + "/";
  return fmt::format("{}/{}/{}{}", root, version, place, plural);
}

std::string ApiResource::name() const {
  return group.empty() ? plural : fmt::format("{}.{}", plural, group);
}

std::string_view Reflector::FailureName(Failure failure) {
  static constexpr std::array<std::string_view, kFailures> kNames = {
      "unreachable", "silent",    "short",  "unauthorized", "forbidden", "not_found",
      "expired",     "throttled", "server", "refused",      "unreadable"};
  return kNames[static_cast<size_t>(failure)];
}

Reflector::Reflector(EventLoop& loop, ApiClient& client, ApiResource resource, Listener& listener,
                     Options options)
    : loop_(loop),
      client_(client),
      resource_(std::move(resource)),
      listener_(listener),
      options_(std::move(options)),
      event_fields_(EventFields(resource_.fields)),
      page_items_(options_.page_items),
      repair_delay_(options_.repair_delay) {
  timer_ = loop_.AddTimer([this] { Next(); });
  list_timer_ = loop_.AddTimer([this] {
    streams_lists_ = false;
    Fail(Failure::kSilent,
         fmt::format("a list that stopped for {}", absl::FormatDuration(options_.list_silence)));
  });
  repair_timer_ = loop_.AddTimer([this] { Repair(); });
}

void Reflector::Start() { Next(); }

// --- Asking ---

void Reflector::Next() {
  if (!must_list_) return lost_ ? AskForCheck() : AskForWatch();
  if (!continue_token_.empty()) return AskForPage();
  unreadable_ = 0;
  repair_timer_.Cancel();
  listener_.OnListing(compare_);
  if (streams_lists_) return AskForStream();
  AskForPage();
}

void Reflector::Ask(Phase phase, const std::string& query, absl::Duration silence) {
  phase_ = phase;
  began_ = Monotonic();
  head_ = {};
  refusal_.clear();
  lines_ = {};
  page_ = {};
  heard_ = false;
  ApiRequest request;
  request.target = fmt::format("{}?{}", resource_.path(), query);
  if (!resource_.selector.empty()) request.target += "&" + resource_.selector;
  request.timeout = absl::InfiniteDuration();
  request.silence = silence;
  exchange_ = client_.Start(std::move(request), *this);
}

std::string Reflector::WatchQuery() const {
  const auto seconds = absl::ToInt64Seconds(Jittered(
      options_.max_watch,
      absl::FDivDuration(options_.min_watch, std::max(options_.max_watch, absl::Seconds(1)))));
  return fmt::format("watch=true&allowWatchBookmarks=true&timeoutSeconds={}", seconds);
}

void Reflector::AskForStream() {
  list_timer_.Start(options_.list_silence);
  Ask(Phase::kStreamedList,
      WatchQuery() + "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
      options_.watch_silence);
}

void Reflector::AskForPage() {
  std::string query = page_items_ > 0 ? fmt::format("limit={}", page_items_) : "limit=0";
  if (!continue_token_.empty()) query += "&continue=" + Escaped(continue_token_);
  Ask(Phase::kPage, query, options_.list_silence);
}

void Reflector::AskForCheck() { Ask(Phase::kCheck, "limit=1", options_.list_silence); }

void Reflector::AskForWatch() {
  lost_ = false;
  ++stats_.watches;
  Ask(Phase::kWatch,
      fmt::format("{}&resourceVersion={}", WatchQuery(), Escaped(stats_.resource_version)),
      options_.watch_silence);
}

void Reflector::StopAsking() {
  exchange_.reset();
  phase_ = Phase::kIdle;
  stats_.connected = false;
  list_timer_.Cancel();
}

void Reflector::WaitThenNext(absl::Duration delay) {
  StopAsking();
  timer_.Start(delay);
}

absl::Duration Reflector::lived() const { return Monotonic() - began_; }

// --- Answers ---

void Reflector::OnHead(const ApiResponseHead& head) {
  head_ = head;
  if (head.status != 404) not_found_since_.reset();
  if (head.status == 200) denials_ = 0;
  if (head.status == 200 && phase_ == Phase::kWatch) stats_.connected = true;
}

void Reflector::OnBytes(std::string_view bytes) {
  if (head_.status != 200) {
    refusal_.append(bytes.substr(0, kMaxStatusBytes - refusal_.size()));
    return;
  }
  arrived_ = absl::Now();
  if (phase_ == Phase::kPage) return TakePage(bytes);
  if (phase_ == Phase::kCheck) {
    (void)page_.Take(bytes, [](std::string&) {});
    return;
  }
  if (phase_ == Phase::kStreamedList) list_timer_.Start(options_.list_silence);
  lines_.Take(bytes, [this](std::string& line) { return TakeEvent(line); });
}

void Reflector::OnEnd(const absl::Status& status) {
  const bool answered = head_.status != 0;
  if (answered && head_.status != 200) {
    // A server without its etcd cannot tell, and may yet know what happened since.
    if (phase_ == Phase::kCheck) return AskForWatch();
    return Refused(ReadApiStatus(json_, head_.status, std::move(refusal_)));
  }
  if (phase_ == Phase::kWatch) return EndWatch(status);
  if (!status.ok()) return Fail(Failure::kUnreachable, std::string(Message(status)));
  if (phase_ == Phase::kPage) return EndPage();
  if (phase_ == Phase::kCheck) return EndCheck();
  Fail(Failure::kShort, "a streamed list that ended before it was complete");
}

void Reflector::TakePage(std::string_view bytes) {
  // Of a text that is no list the rest is not wanted; Finish says what is wrong.
  (void)page_.Take(bytes, [this](std::string& item) {
    const auto object = json_.Read(item, resource_.fields);
    if (!object.ok() || (*object)->kind != Value::Kind::kMap) {
      return TakeUnreadable(item, object.ok() ? "is no object" : Message(object.status()));
    }
    listener_.OnObject(**object, arrived_);
  });
}

void Reflector::EndPage() {
  auto head = page_.Finish(json_);
  if (!head.ok()) {
    return Fail(Failure::kUnreadable, "the answer " + std::string(Message(head.status())));
  }
  if (head->kind != resource_.kind + "List") {
    return Fail(Failure::kUnreadable, fmt::format("the answer is a {}", head->kind));
  }
  // All pages show the moment of the first.
  if (continue_token_.empty()) list_version_ = head->resource_version;
  if (head->continue_token == continue_token_ && !continue_token_.empty()) {
    continue_token_.clear();
    return Fail(Failure::kUnreadable, "a page that leads to itself");
  }
  continue_token_ = head->continue_token;
  StopAsking();
  if (!continue_token_.empty()) return AskForPage();
  Listed(list_version_);
  AskForWatch();
}

void Reflector::EndCheck() {
  const auto head = page_.Finish(json_);
  // Numbers, by the API's contract since 1.35; where they are none, nothing can be told.
  uint64_t now = 0, before = 0;
  if (head.ok() && absl::SimpleAtoi(head->resource_version, &now) &&
      absl::SimpleAtoi(stats_.resource_version, &before) && now < before) {
    log::warn("{}: the cluster was set back from resourceVersion {} to {}; listing again",
              resource_.name(), before, now);
    return ListAgain(Listener::Compare::kByContent);
  }
  AskForWatch();
}

bool Reflector::TakeEvent(std::string& line) {
  auto event = ReadEvent(json_, line, event_fields_);
  if (!event.ok()) {
    TakeUnreadable(line, Message(event.status()));
    return true;
  }
  ++stats_.events[static_cast<size_t>(event->type)];
  stats_.last_event = arrived_;
  const bool in_list = phase_ == Phase::kStreamedList;
  switch (event->type) {
    case WatchEvent::Type::kError:
      return TakeError(ReadApiStatus(*event->object));
    case WatchEvent::Type::kBookmark:
      if (in_list && event->ends_initial_events()) return EndStreamedList(*event);
      break;
    case WatchEvent::Type::kDeleted:
      listener_.OnDeleted(*event->object);
      break;
    default:
      listener_.OnObject(*event->object, arrived_);
  }
  Heard();
  // The objects of a list come in no order.
  std::string version = event->resource_version();
  if (!in_list && !version.empty()) stats_.resource_version = std::move(version);
  return true;
}

bool Reflector::EndStreamedList(const WatchEvent& bookmark) {
  std::string version = bookmark.resource_version();
  if (version.empty()) {
    Fail(Failure::kUnreadable, "a streamed list without a resourceVersion");
    return false;
  }
  list_timer_.Cancel();
  phase_ = Phase::kWatch;
  ++stats_.watches;
  Listed(std::move(version));
  stats_.connected = true;
  return true;
}

void Reflector::Heard() {
  heard_ = true;
  silences_ = 0;
  if (must_list_ || !logged_.has_value()) return;
  log::info("{}: followed again", resource_.name());
  logged_.reset();
  stats_.last_failure.clear();
}

bool Reflector::TakeError(const ApiStatus& error) {
  if (error.code == 410) {
    Expired(error.message);
  } else {
    Fail(Failure::kServer, fmt::format("{} in the stream: {}", error.code, error.message));
  }
  return false;
}

void Reflector::TakeUnreadable(std::string_view text, std::string_view why) {
  const std::string name = GuessName(text);
  ++stats_.failures[static_cast<size_t>(Failure::kUnreadable)];
  stats_.last_failure = fmt::format("{} cannot be read: {}",
                                    name.empty() ? "an object without a name" : name.c_str(), why);
  if (unreadable_++ < kMostLogged) {
    log::error("{}: {}; what was known of it stays in force", resource_.name(),
               stats_.last_failure);
  }
  if (unreadable_ == 1) {
    repair_timer_.Start(Jittered(repair_delay_));
    repair_delay_ = std::min(repair_delay_ * 2, options_.max_repair_delay);
  }
  listener_.OnUnreadable(name);
}

// A list makes up for what could not be read. What that was in a streamed list may have been its
// end.
void Reflector::Repair() {
  if (phase_ == Phase::kStreamedList) streams_lists_ = false;
  if (phase_ == Phase::kStreamedList || phase_ == Phase::kWatch) ListAgain(compare_);
}

void Reflector::Listed(std::string resource_version) {
  if (unreadable_ == 0) repair_delay_ = options_.repair_delay;
  ++stats_.lists;
  stats_.listed = true;
  stats_.absent = false;
  stats_.resource_version = std::move(resource_version);
  must_list_ = lost_ = false;
  streams_lists_ = true;
  compare_ = Listener::Compare::kByVersion;
  page_items_ = options_.page_items;
  continue_token_.clear();
  listed_at_ = Monotonic();
  listener_.OnListed();
  Heard();
}

void Reflector::EndWatch(const absl::Status& status) {
  const bool settled = lived() >= options_.settled;
  if (settled && head_.status == 200) failures_ = 0;
  // What lies behind the last line feed was cut off, and comes again.
  if (status.ok()) {
    if (!settled) return Fail(Failure::kShort, "a watch that ended at once");
    StopAsking();
    return AskForWatch();
  }
  if (!absl::IsDeadlineExceeded(status)) {
    return Fail(Failure::kUnreachable, std::string(Message(status)));
  }
  if (!heard_ && ++silences_ >= kSilencesUntilList) {
    silences_ = 0;
    must_list_ = true;
    // The server may have been set back, and gives the same numbers to other objects.
    compare_ = Listener::Compare::kByContent;
  }
  Fail(Failure::kSilent, std::string(Message(status)));
}

// --- What fails ---

bool Reflector::RefusedStreaming(int code) const {
  return phase_ == Phase::kStreamedList &&
         (code == 400 || code == 406 || code == 422 || code == 501);
}

void Reflector::Refused(const ApiStatus& answer) {
  if (RefusedStreaming(answer.code)) {
    log::debug("{}: no streamed list: {}", resource_.name(), answer.message);
    streams_lists_ = false;
    StopAsking();
    return AskForPage();
  }
  const std::string_view verb = phase_ == Phase::kPage ? "list" : "watch";
  CountDenials(answer.code);
  switch (answer.code) {
    case 401:
      return Fail(Failure::kUnauthorized, "401: the API server does not take our credentials");
    case 403:
      if (resource_.optional && denials_ >= kDenialsUntilAbsent) return Absent(answer);
      return Fail(Failure::kForbidden, fmt::format("403: the role lacks {} on {} ({})", verb,
                                                   resource_.name(), answer.message));
    case 404:
      if (resource_.optional) return Absent(answer);
      return Fail(Failure::kNotFound, fmt::format("404: {}", answer.message));
    case 410:
      return Expired(answer.message);
    case 429:
      return Fail(Failure::kThrottled, fmt::format("429: {}", answer.message));
    default:
      Fail(answer.code >= 500 ? Failure::kServer : Failure::kRefused,
           fmt::format("{}: {}", answer.code, answer.message));
  }
}

// A server whose rules of who may see what are not loaded yet denies everything.
void Reflector::CountDenials(int code) {
  const bool counts = code == 403 && (options_.is_let_in == nullptr || options_.is_let_in());
  denials_ = counts ? denials_ + 1 : 0;
}

void Reflector::Expired(const std::string& message) {
  // Pages that took longer than the server remembers: all in one answer next, as client-go does.
  if (phase_ == Phase::kPage) {
    page_items_ = 0;
    streams_lists_ = false;
  }
  must_list_ = true;
  // A server that says so at once of what it has just given is not to be asked without end.
  if (Monotonic() - std::max(listed_at_, relisted_at_) < options_.settled) {
    return Fail(Failure::kExpired, message);
  }
  ++stats_.failures[static_cast<size_t>(Failure::kExpired)];
  log::info("{}: {}; listing again", resource_.name(), message);
  failures_ = 0;
  ListAgain(compare_);
}

void Reflector::ListAgain(Listener::Compare compare) {
  ++stats_.relists;
  StopAsking();
  must_list_ = true;
  continue_token_.clear();
  compare_ = compare;
  relisted_at_ = Monotonic();
  Next();
}

void Reflector::Absent(const ApiStatus& answer) {
  if (!stats_.absent) {
    log::info("{}: not followed, the API server has none ({}: {}); looked for again every {}",
              resource_.name(), answer.code, answer.message,
              absl::FormatDuration(options_.absent_delay));
    stats_.absent = true;
    must_list_ = true;
    listener_.OnAbsent();
  }
  continue_token_.clear();  // a first page may have come, and its kind gone before the second
  if (answer.code == 404) NotFound();
  WaitThenNext(Jittered(options_.absent_delay));
}

// A definition that is made anew is away for a moment; one that was deleted takes all objects
// along, and who was not connected then is not told of each.
void Reflector::NotFound() {
  if (!not_found_since_.has_value()) not_found_since_ = Monotonic();
  const bool is_gone = Monotonic() - *not_found_since_ >= options_.gone_after;
  if (!is_gone || phase_ == Phase::kWatch) return;  // a watch is no list that could end
  if (stats_.listed) {
    log::info("{}: not found for {}; what there was of it is gone", resource_.name(),
              absl::FormatDuration(options_.gone_after));
  }
  not_found_since_ = absl::InfiniteDuration();  // said
  listener_.OnListed();
}

void Reflector::Fail(Failure failure, const std::string& what) {
  not_found_since_.reset();
  ++stats_.failures[static_cast<size_t>(failure)];
  stats_.last_failure = what;
  lost_ |= failure == Failure::kUnreachable;
  if (failure == Failure::kUnreadable || failure == Failure::kRefused ||
      failure == Failure::kExpired) {
    continue_token_.clear();  // the page will be no better the next time
  }
  absl::Duration delay = Jittered(Doubled(options_.first_delay, failures_, options_.max_delay));
  // In the first place a cut watch goes on where it was.
  if (failures_ == 0 && !must_list_) delay = Jittered(delay, 0);
  if (head_.retry_after.has_value()) {
    delay = std::max(delay, Jittered(std::min(*head_.retry_after, options_.max_retry_after), 1) +
                                Jittered(options_.first_delay, 0));
  }
  ++failures_;
  Log(failure, what, delay);
  WaitThenNext(delay);
}

void Reflector::Log(Failure failure, const std::string& what, absl::Duration delay) {
  const absl::Duration now = Monotonic();
  if (logged_ == failure && now - logged_at_ < kLogAgain) return;
  logged_ = failure;
  logged_at_ = now;
  log::warn("{}: {}; trying again in {}", resource_.name(), what,
            absl::FormatDuration(absl::Trunc(delay, absl::Milliseconds(1))));
}

}  // namespace portolan
