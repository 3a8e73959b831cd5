#include "xds/dashboard/peers.h"

#include <algorithm>
#include <optional>
#include <thread>
#include <tuple>
#include <utility>

#include "common/kubernetes/access.h"
#include "common/kubernetes/curl_client.h"
#include "common/log.h"
#include "common/monotonic.h"
#include "common/status.h"
#include "common/tls_files.h"
#include "common/token_file.h"
#include "xds/dashboard/page.h"

namespace portolan::xds {
namespace {

using nlohmann::json;

constexpr absl::Duration kLookUpAtMostEvery = absl::Seconds(1);
// So much earlier than a question a request is given up, so that its connection, which is dead
// then, is not used again.
constexpr absl::Duration kMargin = absl::Milliseconds(50);

std::string Local(std::string target) {
  target += target.find('?') == std::string::npos ? "?scope=local" : "&scope=local";
  return target;
}

absl::Status Unavailable(const std::string& why) { return absl::UnavailableError(why); }

absl::Status NoAnswer(absl::Duration patience) {
  return absl::DeadlineExceededError(
      fmt::format("no answer within {} s", absl::ToDoubleSeconds(patience)));
}

// The words of {"error": "..."}, or the status alone.
absl::Status ErrorOf(int status, const json& body) {
  const auto found = body.is_object() ? body.find("error") : body.end();
  const bool told = body.is_object() && found != body.end() && found->is_string();
  const std::string words = told ? found->get<std::string>() : "no such page: an older version?";
  if (status == 404) return absl::NotFoundError(words);
  if (status == 502 && told) return absl::FailedPreconditionError(words);
  if (status == 504 && told) return absl::DeadlineExceededError(words);
  return Unavailable(fmt::format("answers {}{}", status, told ? ": " + words : ""));
}

class PeerAccessSource : public AccessSource {
 public:
  PeerAccessSource(PeerTls tls, const SocketAddress& address)
      : tls_(std::move(tls)), server_("https://" + address.ToString()) {}

  void Get(Take take) override { take(Read()); }
  void OnUnauthorized(const Access&) override {}

 private:
  absl::StatusOr<AccessPtr> Read() const {
    auto ca = LoadTlsRoots(tls_.ca_file);
    if (!ca.ok()) return ca.status();
    auto token = ReadToken(tls_.token_file);
    if (!token.ok()) return token.status();
    Access access;
    access.server = server_;
    access.ca = *std::move(ca);
    access.ca_origin = tls_.ca_file;
    access.tls_server_name = tls_.server_name;
    access.authorization = "Bearer " + *token;
    return std::make_shared<const Access>(std::move(access));
  }

  const PeerTls tls_;
  const std::string server_;
};

}  // namespace

// One request to one peer.
class Peers::Call : public ApiClient::Listener {
 public:
  using Done = std::function<void(absl::StatusOr<json>)>;

  // `patience` is what it is said to have been given.
  Call(ApiClient& client, ApiRequest request, absl::Duration patience, Done done)
      : done_(std::move(done)), patience_(patience) {
    exchange_ = client.Start(std::move(request), *this);
  }

 private:
  void OnHead(const ApiResponseHead& head) override { status_ = head.status; }
  void OnBytes(std::string_view bytes) override {
    // One byte more says that there were too many.
    body_.append(bytes.substr(0, kMaxAnswerBytes + 1 - body_.size()));
  }
  void OnEnd(const absl::Status& status) override {
    absl::StatusOr<json> result = Result(status);
    const Done done = std::move(done_);
    done(std::move(result));
  }
  absl::StatusOr<json> Result(const absl::Status& status) const {
    if (absl::IsDeadlineExceeded(status)) return NoAnswer(patience_);
    if (!status.ok()) return absl::UnavailableError(status.message());
    if (body_.size() > kMaxAnswerBytes) {
      return Unavailable(fmt::format("its answer is larger than {} MB", kMaxAnswerBytes >> 20));
    }
    json body = ParseUntrusted(body_);
    if (status_ != 200) return ErrorOf(status_, body);
    if (!body.is_object()) return Unavailable("what it answers is no JSON object");
    return body;
  }

  Done done_;
  const absl::Duration patience_;
  int status_ = 0;
  std::string body_;
  std::unique_ptr<ApiClient::Exchange> exchange_;
};

// One question to all peers. A replica with two addresses (of IPv4 and IPv6) is asked at one; at
// the other where it cannot be asked there.
class Peers::Question {
 public:
  Question(Peers& owner, uint64_t id, What what, Done done)
      : owner_(owner),
        id_(id),
        what_(std::move(what)),
        done_(std::move(done)),
        began_(Monotonic()),
        end_(owner.loop_.AddTimer([this] { owner_.OnAnswered(id_); })) {
    end_.Start(what_.patience);
  }

  // REQUIRES: at least one. Never ends within.
  void Start(const std::vector<PeerPtr>& peers) {
    for (const PeerPtr& peer : peers) asked_.push_back({.peer = peer});
    std::stable_sort(asked_.begin(), asked_.end(), [](const Asked& a, const Asked& b) {
      return a.peer->failed_last < b.peer->failed_last;
    });
    for (Asked& each : asked_) {
      if (each.peer->name.empty()) {
        AskName(each);
      } else {
        AskIt(each);
      }
    }
  }

  // What came so far counts.
  void End() {
    std::vector<ReplicaAnswer> answers;
    for (Asked& each : asked_) {
      if (each.peer->name == owner_.self() || each.step == Step::kSpare) continue;
      if (!each.answer) each.answer = NoAnswer(what_.patience);
      Count(*each.peer, each.answer->status());
      const bool named = !each.peer->name.empty();
      answers.push_back(
          {named ? each.peer->name : each.peer->address.ToString(), *std::move(each.answer)});
    }
    KeepOneOfEach(answers);
    const Done done = std::move(done_);
    asked_.clear();
    done(std::move(answers));
  }

 private:
  enum class Step : uint8_t {
    kName,  // which replica it is
    kAsked,
    kSpare,  // not asked, as its replica is at another address
  };
  struct Asked {
    PeerPtr peer;
    std::unique_ptr<Call> call = nullptr;
    std::optional<absl::StatusOr<json>> answer = {};
    Step step = Step::kName;

    // With what was asked, not only which replica it is.
    bool MayAnswer() const {
      return step == Step::kAsked && (!answer || !absl::IsUnavailable(answer->status()));
    }
  };

  // By name; of two of one replica, what it said rather than that it could not be asked.
  static void KeepOneOfEach(std::vector<ReplicaAnswer>& answers) {
    const auto place = [](const ReplicaAnswer& each) {
      return std::tuple<std::string_view, bool>(each.name,
                                                absl::IsUnavailable(each.answer.status()));
    };
    std::stable_sort(answers.begin(), answers.end(),
                     [&place](const auto& a, const auto& b) { return place(a) < place(b); });
    const auto end = std::unique(answers.begin(), answers.end(),
                                 [](const auto& a, const auto& b) { return a.name == b.name; });
    answers.erase(end, answers.end());
  }

  void Count(Peer& peer, const absl::Status& status) {
    // What it says of a sidecar is an answer of its own.
    const bool answered =
        status.ok() || absl::IsNotFound(status) || absl::IsFailedPrecondition(status);
    peer.failed_last = !answered;
    (answered ? owner_.answers_ : owner_.failures_).Add();
    if (!answered) owner_.LookUpSoon();
  }

  ApiRequest Request(std::string method, std::string target) const {
    return {.method = std::move(method),
            .target = std::move(target),
            .timeout = began_ + what_.patience - kMargin - Monotonic()};
  }

  void AskName(Asked& asked) {
    asked.call = std::make_unique<Call>(
        *asked.peer->client, Request("GET", Local("/api/v1/status")), what_.patience,
        [this, &asked](absl::StatusOr<json> status) {
          if (!status.ok()) return Answer(asked, std::move(status));
          const auto name = status->find("replica");
          if (name == status->end() || !name->is_string()) {
            return Answer(asked, Unavailable("it does not say which replica it is"));
          }
          asked.peer->name = name->get<std::string>();
          AskIt(asked);
        });
  }

  void AskIt(Asked& asked) {
    if (asked.peer->name == owner_.self()) return Answer(asked, json::object());
    const bool is_asked = std::any_of(asked_.begin(), asked_.end(), [&asked](const Asked& other) {
      return &other != &asked && other.peer->name == asked.peer->name && other.MayAnswer();
    });
    asked.step = is_asked ? Step::kSpare : Step::kAsked;
    if (is_asked) return EndIfAllAnswered();
    asked.call = std::make_unique<Call>(
        *asked.peer->client, Request(what_.method, what_.target), what_.patience,
        [this, &asked](absl::StatusOr<json> answer) { Answer(asked, std::move(answer)); });
  }

  void Answer(Asked& asked, absl::StatusOr<json> answer) {
    asked.answer = std::move(answer);
    if (absl::IsUnavailable(asked.answer->status())) AskAtAnotherAddress(asked.peer->name);
    EndIfAllAnswered();
  }

  void AskAtAnotherAddress(const std::string& name) {
    for (Asked& each : asked_) {
      if (each.step == Step::kSpare && each.peer->name == name) return AskIt(each);
    }
  }

  void EndIfAllAnswered() {
    const bool all = std::all_of(asked_.begin(), asked_.end(), [](const Asked& each) {
      return each.answer.has_value() || each.step == Step::kSpare;
    });
    // From the loop: a peer that is ourselves answers at once.
    if (all) end_.Start(absl::ZeroDuration());
  }

  Peers& owner_;
  const uint64_t id_;
  const What what_;
  Done done_;
  const absl::Duration began_;
  EventLoop::Timer end_;
  std::vector<Asked> asked_;
};

Peers::Peers(EventLoop& loop, Options options)
    : loop_(loop),
      options_(std::move(options)),
      looked_up_(absl::UnavailableError("its name is still being looked up")),
      told_on_(std::make_shared<Loop>(&loop)) {
  look_up_ = loop.AddTimer([this] { LookUp(); });
  bury_ = loop.AddTimer([this] { answered_.clear(); });
  LookUp();
}

Peers::~Peers() {
  told_on_->With([](EventLoop*& to) { to = nullptr; });
}

void Peers::Ask(std::string target, absl::Duration patience, Done done) {
  AskAll({"GET", Local(std::move(target)), patience}, std::move(done));
}

void Peers::Post(std::string target, absl::Duration patience, Done done) {
  AskAll({"POST", Local(std::move(target)), patience}, std::move(done));
}

void Peers::AskAll(What what, Done done) {
  const auto no_answer = [&](const absl::Status& why) {
    done({{.name = options_.where.ToString(), .answer = why}});
  };
  if (peers_.empty()) return no_answer(looked_up_);
  if (questions_.size() == kMostQuestions) {
    return no_answer(Unavailable("too many ask the other replicas at once; ask again"));
  }
  const uint64_t id = ++last_question_;
  const auto question = questions_.emplace(
      id, std::make_unique<Question>(*this, id, std::move(what), std::move(done)));
  question.first->second->Start(peers_);
}

void Peers::OnAnswered(uint64_t question) {
  const auto found = questions_.find(question);
  answered_.push_back(std::move(found->second));
  questions_.erase(found);
  bury_.Start(absl::ZeroDuration());
  answered_.back()->End();
}

void Peers::LookUp() {
  if (std::exchange(looking_up_, true)) return;
  last_look_up_ = Monotonic();
  std::thread([this, told_on = told_on_, where = options_.where, look_up = options_.look_up] {
    const Addresses found = look_up(where);
    told_on->With([&](EventLoop* loop) {
      if (loop == nullptr) return;
      loop->Post([this, told_on, found] {
        if (told_on->With([](EventLoop* still) { return still != nullptr; })) OnLookedUp(found);
      });
    });
  }).detach();
}

void Peers::OnLookedUp(const Addresses& found) {
  looking_up_ = false;
  look_up_.Start(kLookUpEvery);
  if (!found.ok()) {
    look_ups_failed_.Add();
    if (looked_up_ != found.status()) {
      log::warn("other replicas cannot be found: {}", Message(found.status()));
    }
    looked_up_ = found.status();
    return;  // those of before are still asked
  }
  looked_up_ = absl::OkStatus();
  std::vector<PeerPtr> peers;
  for (const SocketAddress& address : *found) {
    const auto same = [&](const PeerPtr& peer) { return peer->address == address; };
    if (peers.size() == kMaxPeers) break;
    if (std::any_of(peers.begin(), peers.end(), same)) continue;
    const auto known = std::find_if(peers_.begin(), peers_.end(), same);
    peers.push_back(known != peers_.end() ? *known
                                          : std::make_shared<Peer>(Peer{
                                                address, options_.connect(address), {}, false}));
  }
  peers_ = std::move(peers);
}

void Peers::LookUpSoon() {
  if (looking_up_) return;
  look_up_.Start(std::max(absl::ZeroDuration(), last_look_up_ + kLookUpAtMostEvery - Monotonic()));
}

void Peers::AddMetrics(MetricFamilies& families) const {
  const auto add = [&](std::string_view result, const Counter& counter) {
    AddCounterSample(families, "portolan_peer_requests_total",
                     "Questions to other replicas, by whether they answered in time.",
                     {{"result", result}}, static_cast<double>(counter.value()));
  };
  add("answered", answers_);
  add("failed", failures_);
  AddCounterSample(families, "portolan_peer_lookup_failures_total",
                   "Times that the name of the other replicas led nowhere.", {},
                   static_cast<double>(look_ups_failed_.value()));
  AddGaugeSample(families, "portolan_peers", "Addresses of replicas, our own among them.", {},
                 static_cast<double>(peers_.size()));
}

std::unique_ptr<ApiClient> ConnectToPeer(EventLoop& loop, const PeerTls& tls,
                                         const SocketAddress& address) {
  return std::make_unique<CurlClient>(loop, std::make_unique<PeerAccessSource>(tls, address),
                                      "portolan-control");
}

}  // namespace portolan::xds
