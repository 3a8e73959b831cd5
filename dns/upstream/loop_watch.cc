#include "dns/upstream/loop_watch.h"

#include <algorithm>
#include <utility>

#include "common/log.h"
#include "dns/upstream/server.h"

namespace portolan::dns::upstream {
namespace {

constexpr uint16_t kHinfo = 13;
constexpr std::string_view kHexDigits = "0123456789abcdef";

void AppendLabel(uint64_t number, size_t digits, std::string& name) {
  name.push_back(static_cast<char>(digits));
  for (size_t i = digits; i > 0; --i) name.push_back(kHexDigits[number >> 4 * (i - 1) & 15]);
}

// False if the label is not a number so written.
bool ReadLabel(std::span<const uint8_t> label, uint64_t& number) {
  number = 0;
  for (const uint8_t digit : label) {
    const size_t value = kHexDigits.find(static_cast<char>(digit));
    if (value == std::string_view::npos) return false;
    number = number << 4 | value;
  }
  return true;
}

std::string RoomFor(const std::string& zone, size_t labels) {
  return zone.size() + labels <= wire::kMaxNameBytes ? zone : std::string(1, '\0');
}

}  // namespace

LoopWatch::LoopWatch(const wire::Zone& zone, LoopTiming timing, const RandomSource& random)
    : zone_(RoomFor(zone.wire, 2 * (1 + kDigits))), timing_(timing) {
  std::array<uint8_t, 7> bytes;
  random(bytes);
  for (const uint8_t byte : bytes) secret_ = (secret_ | byte) << 8;
}

LoopWatch::Seen LoopWatch::Recognise(const wire::Query& query) {
  if (query.type != kHinfo || query.labels < 2 || query.name[0] != kDigits ||
      query.name[1 + kDigits] != kDigits) {
    return Seen::kNotOurs;
  }
  uint64_t number;
  if (!ReadLabel(query.lower_name().subspan(2 + kDigits, kDigits), number)) return Seen::kNotOurs;
  const size_t place = number & 0xff;
  if ((number ^ secret_) > 0xff || place >= servers_.size()) return Seen::kNotOurs;
  State& server = servers_[place];
  server.seen_at = Clock::now().time_since_epoch().count();
  if (server.leads_back.exchange(true)) return Seen::kKnown;
  server.news = true;
  return Seen::kNew;
}

bool LoopWatch::ClaimProbe(size_t place, absl::Duration gap) {
  std::atomic<Clock::rep>& sent_at = servers_[place].sent_at;
  Clock::rep last = sent_at;
  const Clock::time_point now = Clock::now();
  const Clock::time_point then{Clock::duration(last)};
  if (last != 0 && absl::FromChrono(now - then) < gap * 0.9) return false;
  return sent_at.compare_exchange_strong(last, now.time_since_epoch().count());
}

void LoopWatch::WriteProbe(size_t place, Random& random, Request& out) const {
  uint64_t nonce = 0;
  for (int i = 0; i < 4; ++i) nonce = nonce << 16 | random.Next16();
  std::string name;
  AppendLabel(nonce, kDigits, name);
  AppendLabel(secret_ | place, kDigits, name);
  name += zone_;
  WriteQuestion({reinterpret_cast<const uint8_t*>(name.data()), name.size()}, kHinfo,
                wire::flag::kRecursionDesired, out);
}

bool LoopWatch::OnProbeEnded(size_t place, Clock::time_point sent) {
  State& server = servers_[place];
  if (server.seen_at >= sent.time_since_epoch().count()) return false;
  return server.leads_back.exchange(false);
}

LoopProbe::LoopProbe(Context& context, std::shared_ptr<LoopWatch> watch, size_t place,
                     Server& server)
    : context_(context),
      watch_(std::move(watch)),
      place_(place),
      server_(server),
      attempt_(context, *this),
      timer_(context.loop.AddTimer([this] { Probe(); })) {
  timer_.Start(absl::ZeroDuration());
}

void LoopProbe::OnUnanswered() {
  if (soon_) return;
  soon_ = true;
  timer_.Start(absl::ZeroDuration());
}

void LoopProbe::Probe() {
  if (sent_ != Clock::time_point()) End();
  const LoopTiming& timing = watch_->timing();
  const absl::Duration gap = soon_ || leads_back() ? timing.often : timing.every;
  timer_.Start(gap);
  if (!watch_->ClaimProbe(place_, gap)) return;
  soon_ = false;
  watch_->WriteProbe(place_, context_.random, question_);
  sent_ = Clock::now();
  const std::span<const uint8_t> request = question_.bytes();
  server_.SendProbe(attempt_, {request, QuestionOf(request)});
}

void LoopProbe::End() {
  attempt_.Stop();
  const bool cleared = watch_->OnProbeEnded(place_, sent_);
  if (watch_->TakeNews(place_)) {
    log::warn("loop: {} leads back to this sidecar; it is not asked until it no longer does",
              server_.address().ToString());
  }
  if (cleared) {
    log::info("loop: {} no longer leads back to this sidecar", server_.address().ToString());
  }
  if (leads_back()) timer_.Start(watch_->timing().often);
}

void LoopProbe::OnReply(Attempt&, const Reply&) { End(); }
void LoopProbe::OnFailure(Attempt&, AttemptError) { End(); }

}  // namespace portolan::dns::upstream
