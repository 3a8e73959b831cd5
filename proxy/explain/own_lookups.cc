#include "proxy/explain/own_lookups.h"

#include <utility>

#include "common/status.h"
#include "dns/wire/name.h"
#include "proxy/explain/question.h"
#include "proxy/policy/name_gate.h"

namespace portolan::proxy {

using nlohmann::json;

std::string NameLearned(const json& lookup) {
  return lookup.value("completed", lookup["name"].get<std::string>());
}

OwnLookups::OwnLookups(EventLoop& loop, AskOwn ask, std::vector<std::string> names, uint16_t type,
                       absl::Duration patience, Done done)
    : ask_(std::move(ask)),
      names_(std::move(names)),
      type_(type),
      done_(std::move(done)),
      patience_(loop.AddTimer([this] {
        lookups_.push_back({{"name", names_[at_]}, {"error", "no answer in time"}});
        Finish();
      })) {
  patience_.Start(patience);
  Ask();
}

OwnLookups::~OwnLookups() = default;

void OwnLookups::Ask() {
  const auto id = static_cast<uint16_t>(random_());
  std::vector<uint8_t> query = MakeQuery(names_[at_], type_, id);
  if (query.empty()) {
    // A domain of the search list may make a name too long.
    lookups_.push_back({{"name", names_[at_]}, {"error", "this is no name that can be asked for"}});
    return Next();
  }
  ask_(std::move(query), [this, id, alive = std::weak_ptr<Alive>(alive_)](const OwnAnswer& answer) {
    if (!alive.expired()) OnAnswer(id, answer);
  });
}

void OwnLookups::OnAnswer(uint16_t id, const OwnAnswer& answer) {
  const dns::Trace& trace = answer.trace;
  json lookup = {{"name", names_[at_]},    {"server", trace.server},  {"zone", trace.zone},
                 {"plugin", trace.plugin}, {"tookMs", trace.took_ms}, {"steps", trace.steps}};
  absl::StatusOr<json> reply = answer.reply.empty()
                                   ? absl::NotFoundError("no reply: it was dropped")
                                   : ReadReply(answer.reply, id);
  if (reply.ok()) {
    lookup.update(*reply);
  } else {
    lookup["error"] = Message(reply.status());
  }
  dns::wire::NameBuffer completed;
  if (reply.ok() && trace.completed && FindCompletedName(answer.reply, completed)) {
    lookup["completed"] = dns::wire::NameToText(completed.view());
  }
  const bool answered = reply.ok() && HasAnswer(lookup);
  lookups_.push_back(std::move(lookup));
  if (answered) return Finish();
  Next();
}

void OwnLookups::Next() {
  if (++at_ == names_.size()) return Finish();
  Ask();
}

void OwnLookups::Finish() {
  patience_.Cancel();
  alive_.reset();
  done_(std::move(lookups_));
}

}  // namespace portolan::proxy
