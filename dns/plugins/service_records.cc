#include "dns/plugins/service_records.h"

#include <algorithm>

namespace portolan::dns {
namespace {

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c | 0x20);
  }
  return lower;
}

void SortUnique(auto& values) {
  std::sort(values.begin(), values.end());
  values.erase(std::unique(values.begin(), values.end()), values.end());
}

void Append(std::vector<uint8_t>& out, const IpAddress& address) {
  out.insert(out.end(), address.bytes().begin(), address.bytes().end());
}

// Null if nothing is published.
std::shared_ptr<const EndpointRecords> Compile(const Service& service, const SliceSet& slices) {
  std::vector<IpAddress> addresses;
  auto records = std::make_shared<EndpointRecords>();
  for (const auto& [name, slice] : slices) {
    for (const Endpoint& endpoint : slice->endpoints) {
      if (!endpoint.conditions.ready || endpoint.addresses.empty()) continue;
      const IpAddress& address = endpoint.addresses.front();
      if (service.headless) addresses.push_back(address);
      records->names.push_back(
          {endpoint.hostname.empty() ? DashedAddress(address) : Lower(endpoint.hostname), address});
    }
  }
  if (records->names.empty()) return nullptr;
  SortUnique(records->names);
  SortUnique(addresses);
  for (const IpAddress& address : addresses) {
    Append(address.is_v4() ? records->ipv4 : records->ipv6, address);
  }
  return records;
}

ClusterIpTable WithClusterIps(const ClusterIpTable& before, const Directory::Committed& committed) {
  ClusterIpTable::Edit edit(before);
  for (const std::string& key : committed.changes.services) {
    if (const Service* service = committed.snapshot->FindService(key)) {
      edit.Put(*service);
    } else {
      const size_t slash = key.find('/');
      edit.Remove({key.substr(0, slash), key.substr(slash + 1)});
    }
  }
  return std::move(edit).Finish();
}

std::string_view NamespaceOf(std::string_view key) { return key.substr(0, key.find('/')); }

}  // namespace

std::span<const EndpointName> EndpointRecords::Named(std::string_view label) const {
  struct ByLabel {
    bool operator()(const EndpointName& a, std::string_view b) const { return a.label < b; }
    bool operator()(std::string_view a, const EndpointName& b) const { return a < b.label; }
  };
  const auto [first, last] = std::equal_range(names.begin(), names.end(), label, ByLabel());
  return {first, last};
}

std::string DashedAddress(const IpAddress& address) {
  std::string text = address.ToString();
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '.' || c == ':'; }, '-');
  if (text.back() == '-') text += '0';
  return text;
}

std::shared_ptr<const ServiceRecords> ServiceRecordsCompiler::Apply(
    const Directory::Committed& committed, absl::Time now) {
  const DirectoryChanges& changes = committed.changes;
  if (changes.services.empty() && changes.endpoints.empty()) {
    before_ = committed.snapshot;
    return current_;
  }
  auto next = std::make_shared<ServiceRecords>();
  next->cluster_ips_ = WithClusterIps(current_->cluster_ips_, committed);
  next->serial_ = static_cast<uint32_t>(absl::ToUnixSeconds(now));

  decltype(next->services_in_)::Edit counts(current_->services_in_);
  for (const std::string& key : changes.services) {
    const bool was = before_->FindService(key) != nullptr;
    const bool is = committed.snapshot->FindService(key) != nullptr;
    if (was == is) continue;
    const std::string ns(NamespaceOf(key));
    const uint32_t* count = counts.Find(ns);
    const uint32_t now_in = (count == nullptr ? 0 : *count) + (is ? 1 : 0) - (was ? 1 : 0);
    if (now_in == 0) {
      counts.Erase(ns);
    } else {
      counts.Set(ns, now_in);
    }
  }
  next->services_in_ = std::move(counts).Finish();

  decltype(next->endpoints_)::Edit endpoints(current_->endpoints_);
  auto compile = [&](const std::string& key) {
    const Service* service = committed.snapshot->FindService(key);
    const SliceSet* slices = committed.snapshot->FindSlices(key);
    auto records = service == nullptr || slices == nullptr ? nullptr : Compile(*service, *slices);
    if (records == nullptr) {
      endpoints.Erase(key);
    } else {
      endpoints.Set(key, std::move(records));
    }
  };
  for (const std::string& key : changes.services) compile(key);
  for (const std::string& key : changes.endpoints) {
    if (!changes.services.contains(key)) compile(key);
  }
  next->endpoints_ = std::move(endpoints).Finish();

  before_ = committed.snapshot;
  current_ = std::move(next);
  return current_;
}

}  // namespace portolan::dns
