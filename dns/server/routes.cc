#include "dns/server/routes.h"

#include <algorithm>

#include "dns/wire/mnemonics.h"

namespace portolan::dns {
namespace {

struct TypeName {
  uint16_t type;
  std::string_view name;
};
// CoreDNS's list; everything else is "other".
constexpr std::array<TypeName, ZoneCounters::kTypes - 1> kTypeNames = {{{1, "A"},
                                                                        {28, "AAAA"},
                                                                        {2, "NS"},
                                                                        {5, "CNAME"},
                                                                        {6, "SOA"},
                                                                        {12, "PTR"},
                                                                        {15, "MX"},
                                                                        {16, "TXT"},
                                                                        {33, "SRV"},
                                                                        {43, "DS"},
                                                                        {46, "RRSIG"},
                                                                        {47, "NSEC"},
                                                                        {48, "DNSKEY"},
                                                                        {50, "NSEC3"},
                                                                        {65, "HTTPS"}}};
constexpr std::array<std::string_view, 2> kTransports = {"udp", "tcp"};
constexpr std::array<std::string_view, 2> kFamilies = {"1", "2"};  // as CoreDNS: IPv4, IPv6

// By type, up to the largest in the list; the places between are "other".
constexpr auto kTypeIndex = [] {
  std::array<uint8_t, 66> index;
  index.fill(kTypeNames.size());
  for (size_t i = 0; i < kTypeNames.size(); ++i) {
    index[kTypeNames[i].type] = static_cast<uint8_t>(i);
  }
  return index;
}();

size_t TypeIndex(uint16_t qtype) {
  return qtype < kTypeIndex.size() ? kTypeIndex[qtype] : kTypeNames.size();
}

}  // namespace

void ZoneCounters::CountRequest(Transport transport, IpFamily family, const wire::Query& query) {
  const auto proto = static_cast<size_t>(transport);
  requests_[proto][static_cast<size_t>(family)][TypeIndex(query.type)].Add();
  request_bytes_[proto].Observe(static_cast<double>(query.message.size()));
  if (query.dnssec_ok) dnssec_ok_.Add();
}

void Route::CountReply(Exchange& exchange) const {
  const std::span<const uint8_t> reply = exchange.reply();
  const size_t rcode = reply.size() > 3 ? reply[3] & 15 : 2;
  ZoneCounters::ByRcode& by_rcode = *responses[exchange.answered_at()];
  by_rcode[std::min(rcode, ZoneCounters::kRcodes - 1)].Add();
  counters->ObserveReply(exchange.transport(), reply.size());
  if (observer != nullptr) observer->Tell(exchange);
}

ZoneCounters::ByRcode& ZoneCounters::Responses(std::string_view plugin) {
  return responses_.With([&](auto& all) -> ByRcode& {
    for (const auto& known : all) {
      if (known->plugin == plugin) return known->by_rcode;
    }
    auto& added = all.emplace_back(std::make_unique<OfPlugin>());
    added->plugin = plugin;
    return added->by_rcode;
  });
}

void ZoneCounters::Collect(MetricFamilies& families) const {
  for (size_t proto = 0; proto < 2; ++proto) {
    for (size_t family = 0; family < 2; ++family) {
      for (size_t t = 0; t < kTypes; ++t) {
        const uint64_t count = requests_[proto][family][t].value();
        if (count == 0) continue;
        AddCounterSample(families, "coredns_dns_requests_total", "Counter of DNS requests made.",
                         {{"server", server_},
                          {"zone", zone_},
                          {"view", ""},
                          {"proto", kTransports[proto]},
                          {"family", kFamilies[family]},
                          {"type", t < kTypeNames.size() ? kTypeNames[t].name : "other"}},
                         static_cast<double>(count));
      }
    }
  }
  for (size_t proto = 0; proto < 2; ++proto) {
    const auto add = [&](std::string_view name, std::string_view help, const Histogram& bytes) {
      AddHistogramSample(
          families, name, help,
          {{"server", server_}, {"zone", zone_}, {"view", ""}, {"proto", kTransports[proto]}},
          bytes);
    };
    add("coredns_dns_request_size_bytes", "Size of requests in bytes.", request_bytes_[proto]);
    add("coredns_dns_response_size_bytes", "Size of responses in bytes.", reply_bytes_[proto]);
  }
  const Labels labels = {{"server", server_}, {"zone", zone_}, {"view", ""}};
  AddHistogramSample(families, "coredns_dns_request_duration_seconds",
                     "Time that each request took.", labels, seconds_);
  AddCounterSample(families, "coredns_dns_do_requests_total", "Requests with the DO bit set.",
                   labels, static_cast<double>(dnssec_ok_.value()));
  responses_.With([&](const auto& all) {
    for (const auto& of : all) {
      for (size_t rcode = 0; rcode < kRcodes; ++rcode) {
        const uint64_t count = of->by_rcode[rcode].value();
        if (count == 0) continue;
        AddCounterSample(
            families, "coredns_dns_responses_total", "Counter of response status codes.",
            {{"server", server_},
             {"zone", zone_},
             {"view", ""},
             {"rcode",
              rcode + 1 < kRcodes ? wire::RcodeWord(static_cast<uint16_t>(rcode)) : "other"},
             {"plugin", of->plugin}},
            static_cast<double>(count));
      }
    }
  });
}

ZoneCounters& ZoneCounterTable::Of(const ZoneChain& zone) {
  return zones_.With([&](auto& zones) -> ZoneCounters& {
    for (const auto& known : zones) {
      if (known->zone() == zone.zone.text && known->server() == zone.server) return *known;
    }
    return *zones.emplace_back(std::make_unique<ZoneCounters>(zone.server, zone.zone.text));
  });
}

void ZoneCounterTable::Collect(MetricFamilies& families) const {
  zones_.With([&](const auto& zones) {
    for (const auto& zone : zones) zone->Collect(families);
  });
}

Routes::Routes(std::vector<ZoneChain> zones, ZoneCounterTable& counters, const Told& told)
    : gate_(told.gate) {
  std::stable_sort(zones.begin(), zones.end(),
                   [](const auto& a, const auto& b) { return a.zone.labels > b.zone.labels; });
  for (ZoneChain& zone : zones) {
    Route route;
    route.to = std::move(zone);
    route.counters = &counters.Of(route.to);
    route.observer = told.observer;
    route.responses.push_back(&route.counters->Responses(""));
    for (const auto& link : route.to.chain->links()) {
      route.responses.push_back(&route.counters->Responses(link->name()));
    }
    routes_.push_back(std::move(route));
  }
}

}  // namespace portolan::dns
