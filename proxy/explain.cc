#include "proxy/explain.h"

#include <fmt/format.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <random>
#include <span>
#include <utility>

#include "common/fd.h"
#include "common/nearest.h"
#include "common/status.h"
#include "common/text.h"
#include "directory/listing.h"
#include "dns/wire/ldns.h"
#include "dns/wire/mnemonics.h"
#include "dns/wire/name.h"
#include "proxy/reporting/service_of_name.h"

namespace portolan::proxy {
namespace {

using nlohmann::json;

// What a reply may hold over UDP; more is cut and shown as truncated.
constexpr uint16_t kUdpPayload = 4096;

struct FreePacket {
  void operator()(ldns_pkt* packet) const { ldns_pkt_free(packet); }
};
using Packet = std::unique_ptr<ldns_pkt, FreePacket>;

struct FreeMalloced {
  void operator()(void* bytes) const { std::free(bytes); }
};

absl::StatusOr<uint16_t> ParseType(const std::string& word) {
  if (word.empty()) return dns::wire::type::kA;
  std::string upper = word;
  for (char& c : upper) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  }
  if (const auto type = dns::wire::FindType(upper)) return *type;
  std::vector<std::string_view> known;
  for (const auto& type : dns::wire::AllTypes()) known.push_back(type.word);
  return InvalidArgument("type '{}' is no record type{}", word, DidYouMean(upper, known));
}

std::vector<uint8_t> MakeQuery(const std::string& name, uint16_t type, uint16_t id) {
  const Packet packet(ldns_pkt_query_new(ldns_dname_new_frm_str(name.c_str()),
                                         static_cast<ldns_rr_type>(type), LDNS_RR_CLASS_IN,
                                         LDNS_RD));
  if (packet == nullptr) return {};
  ldns_pkt_set_id(packet.get(), id);
  ldns_pkt_set_edns_udp_size(packet.get(), kUdpPayload);
  uint8_t* wire = nullptr;
  size_t size = 0;
  if (ldns_pkt2wire(&wire, packet.get(), &size) != LDNS_STATUS_OK) return {};
  const std::unique_ptr<uint8_t, FreeMalloced> owned(wire);
  return {wire, wire + size};
}

// "backend.default.svc.cluster.local. 30 IN A 10.43.0.123"
std::string RecordText(const ldns_rr* record) {
  const std::unique_ptr<char, FreeMalloced> text(ldns_rr2str(record));
  if (text == nullptr) return "(a record that cannot be shown)";
  std::string line(text.get());
  std::replace(line.begin(), line.end(), '\t', ' ');
  while (line.ends_with('\n')) line.pop_back();
  return line;
}

// Null: not the reply to the query with that id.
Packet ReadReply(std::span<const uint8_t> bytes, uint16_t id) {
  ldns_pkt* parsed = nullptr;
  if (ldns_wire2pkt(&parsed, bytes.data(), bytes.size()) != LDNS_STATUS_OK) return nullptr;
  Packet packet(parsed);
  return ldns_pkt_qr(parsed) != 0 && ldns_pkt_id(parsed) == id ? std::move(packet) : nullptr;
}

json ReplyJson(const std::string& name, const ldns_pkt* reply) {
  const auto rcode = static_cast<uint16_t>(ldns_pkt_get_rcode(reply));
  const std::string_view word = dns::wire::RcodeWord(rcode);
  json answers = json::array();
  const ldns_rr_list* records = ldns_pkt_answer(reply);
  for (size_t i = 0; i < ldns_rr_list_rr_count(records); ++i) {
    answers.push_back(RecordText(ldns_rr_list_rr(records, i)));
  }
  json out = {{"name", name},
              {"rcode", word.empty() ? fmt::format("RCODE{}", rcode) : std::string(word)},
              {"answers", std::move(answers)}};
  if (ldns_pkt_tc(reply) != 0) out["truncated"] = true;
  return out;
}

}  // namespace

std::vector<std::string> NamesAskedFor(std::string_view name, const ResolvConf& resolv_conf) {
  if (name.ends_with('.')) return {std::string(name)};
  const std::string as_it_is = fmt::format("{}.", name);
  const auto dots = std::count(name.begin(), name.end(), '.');
  std::vector<std::string> names;
  if (dots >= resolv_conf.ndots) names.push_back(as_it_is);
  for (const std::string& domain : resolv_conf.search) {
    std::string joined = fmt::format("{}.{}", name, domain);
    if (!joined.ends_with('.')) joined.push_back('.');
    names.push_back(std::move(joined));
  }
  if (dots < resolv_conf.ndots) names.push_back(as_it_is);
  return names;
}

class Explainer::Running {
 public:
  Running(EventLoop& loop, const SocketAddress& dns, std::vector<std::string> names, uint16_t type,
          std::function<void(Running*, json)> done)
      : names_(std::move(names)),
        type_(type),
        done_(std::move(done)),
        patience_(loop.AddTimer([this] { Fail("no answer in time"); })) {
    sockaddr_storage to{};
    const socklen_t size = dns.ToSockaddr(&to);
    socket_ = Fd(socket(to.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!socket_.valid() || connect(socket_.get(), reinterpret_cast<sockaddr*>(&to), size) != 0) {
      fault_ = std::string(Message(ErrnoError(errno, "asking " + dns.ToString())));
      return;
    }
    watch_ = loop.AddWatch(socket_.get(), EventLoop::Interest::kRead, [this] { OnReadable(); });
  }

  void Start(absl::Duration patience) {
    patience_.Start(patience);
    Ask();
  }

 private:
  void Ask() {
    if (!fault_.empty()) return Fail(fault_);
    id_ = static_cast<uint16_t>(random_());
    const std::vector<uint8_t> query = MakeQuery(names_[at_], type_, id_);
    if (query.empty()) return Skip("this is no name that can be asked for");
    if (send(socket_.get(), query.data(), query.size(), 0) < 0) {
      Fail(std::string(Message(ErrnoError(errno, "asking"))));
    }
  }

  void OnReadable() {
    std::array<uint8_t, 65536> bytes;
    const ssize_t size = recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (size < 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      return Fail(std::string(Message(ErrnoError(errno, "asking"))));
    }
    const Packet reply = ReadReply({bytes.data(), static_cast<size_t>(size)}, id_);
    if (reply == nullptr) return;
    lookups_.push_back(ReplyJson(names_[at_], reply.get()));
    const bool answered = ldns_pkt_get_rcode(reply.get()) == LDNS_RCODE_NOERROR &&
                          !lookups_.back()["answers"].empty();
    if (answered || ++at_ == names_.size()) return Finish();
    Ask();
  }

  // A domain of the search list may make a name too long.
  void Skip(const char* why) {
    lookups_.push_back({{"name", names_[at_]}, {"error", why}});
    if (++at_ == names_.size()) return Finish();
    Ask();
  }

  void Fail(const std::string& why) {
    lookups_.push_back({{"name", names_[at_]}, {"error", why}});
    Finish();
  }

  void Finish() {
    patience_.Cancel();
    watch_.Disable();
    done_(this, std::move(lookups_));
  }

  const std::vector<std::string> names_;
  const uint16_t type_;
  const std::function<void(Running*, json)> done_;
  std::random_device random_;
  std::string fault_;
  Fd socket_;
  size_t at_ = 0;
  uint16_t id_ = 0;
  json lookups_ = json::array();
  EventLoop::Watch watch_;
  EventLoop::Timer patience_;
};

Explainer::Explainer(EventLoop& loop, const SocketAddress& dns, absl::Duration patience)
    : loop_(loop), dns_(dns), patience_(patience) {
  if (dns_.ip.is_unspecified()) {
    dns_.ip = *IpAddress::Parse(dns_.ip.is_v4() ? "127.0.0.1" : "::1");
  }
}

Explainer::~Explainer() = default;

void Explainer::LookUp(const std::string& name, const std::string& type,
                       const ResolvConf& resolv_conf, Done done) {
  if (name.empty()) return done(InvalidArgument("name: what is to be looked up?"));
  const auto wire = dns::wire::NameToWire(name);
  if (!wire.ok()) return done(InvalidArgument("name: {}", Message(wire.status())));
  const auto parsed_type = ParseType(type);
  if (!parsed_type.ok()) return done(parsed_type.status());
  if (running_.size() >= kMostAtOnce) {
    return done(absl::ResourceExhaustedError("too many names are being explained"));
  }
  json explained = {{"name", name},
                    {"type", dns::wire::TypeWord(*parsed_type)},
                    {"search", resolv_conf.search},
                    {"ndots", resolv_conf.ndots}};
  running_.push_back(std::make_unique<Running>(
      loop_, dns_, NamesAskedFor(name, resolv_conf), *parsed_type,
      [this, explained = std::move(explained), done = std::move(done)](Running* running,
                                                                       json lookups) {
        json whole = explained;
        whole["lookups"] = std::move(lookups);
        // After this event, which is one of its own.
        loop_.Post([this, running, done, whole = std::move(whole)] {
          std::erase_if(running_, [&](const auto& one) { return one.get() == running; });
          done(whole);
        });
      }));
  running_.back()->Start(patience_);
}

void AddServices(AdminSource& source, std::string_view cluster_domain, json& explained) {
  const auto snapshot = source.snapshot();
  for (json& lookup : explained["lookups"]) {
    const std::string key = ServiceKeyOf(lookup["name"].get<std::string>(), cluster_domain);
    const Service* service = key.empty() ? nullptr : snapshot->FindService(key);
    if (service == nullptr) continue;
    lookup["service"] = ServiceDetailJson(*snapshot, *service, cluster_domain);
    lookup["service"]["endpointsState"] = EndpointsState(source, *service);
  }
}

}  // namespace portolan::proxy
