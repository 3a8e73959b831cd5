#include "dns/plugins/service_records.h"

#include <algorithm>
#include <utility>

namespace portolan::dns {
namespace {

std::string_view NamespaceOf(std::string_view key) { return key.substr(0, key.find('/')); }

ObjectName NameOf(const std::string& key) {
  const size_t slash = key.find('/');
  return {key.substr(0, slash), key.substr(slash + 1)};
}

// The key that the records before have is kept, so that all who name the Service share one.
std::shared_ptr<const EndpointRecords> Compile(const std::string& key,
                                               const std::shared_ptr<const EndpointRecords>* before,
                                               bool headless, const SliceSet& slices,
                                               SharedValues<EndpointKinds>& kinds) {
  return EndpointRecords::Compile(
      before != nullptr ? (*before)->service_key() : std::make_shared<const std::string>(key),
      headless, slices, kinds);
}

template <typename Edit>
void Put(Edit& endpoints, const std::string& key, std::shared_ptr<const EndpointRecords> records) {
  if (records == nullptr) {
    endpoints.Erase(key);
  } else {
    endpoints.Set(key, std::move(records));
  }
}

// The addresses that one set of records has and the other has not: visit(ip), each once.
template <typename F>
void ForEachMissing(const EndpointRecords* from, const EndpointRecords* in, F&& visit) {
  if (from == nullptr) return;
  const IpAddress* last = nullptr;
  auto other = in == nullptr ? std::span<const EndpointRecords::Entry>() : in->entries();
  for (const EndpointRecords::Entry& entry : from->entries()) {
    if (last != nullptr && *last == entry.ip) continue;
    last = &entry.ip;
    while (!other.empty() && other.front().ip < entry.ip) other = other.subspan(1);
    if (other.empty() || other.front().ip != entry.ip) visit(entry.ip);
  }
}

// Keeps the index of addresses in step with one Service's endpoints.
template <typename Edit>
void Reindex(Edit& services_at, const EndpointRecords* before, const EndpointRecords* after) {
  ForEachMissing(before, after, [&](const IpAddress& ip) {
    ServiceRecords::ServiceKeys keys = *services_at.Find(ip);
    keys.erase(std::remove(keys.begin(), keys.end(), before->service_key()), keys.end());
    if (keys.empty()) {
      services_at.Erase(ip);
    } else {
      services_at.Set(ip, std::move(keys));
    }
  });
  ForEachMissing(after, before, [&](const IpAddress& ip) {
    const auto* held = services_at.Find(ip);
    ServiceRecords::ServiceKeys keys = held == nullptr ? ServiceRecords::ServiceKeys() : *held;
    keys.push_back(after->service_key());
    services_at.Set(ip, std::move(keys));
  });
}

// A secondary takes a lower serial for old news (RFC 1982), so a wall clock that was set back does
// not lower it.
uint32_t NextSerial(uint32_t before, absl::Time now) {
  const auto seconds = static_cast<uint32_t>(absl::ToUnixSeconds(now));
  return seconds < before ? before + 1 : seconds;
}

}  // namespace

std::shared_ptr<const ServiceRecords> ServiceRecordsCompiler::Apply(
    const Directory::Committed& committed, absl::Time now) {
  const DirectoryChanges& changes = committed.changes;
  const bool services = !changes.services.empty() || !changes.endpoints.empty();
  const bool imports = !changes.service_imports.empty() || !changes.imported_endpoints.empty();
  if (services || imports) {
    auto next = std::make_shared<ServiceRecords>(*current_);
    if (services) {
      ApplyServices(committed, *next);
      next->serial_ = NextSerial(next->serial_, now);
    }
    if (imports) {
      ApplyImports(committed, *next);
      next->multicluster_serial_ = NextSerial(next->multicluster_serial_, now);
    }
    current_ = std::move(next);
  }
  before_ = committed.snapshot;
  return current_;
}

void ServiceRecordsCompiler::ApplyServices(const Directory::Committed& committed,
                                           ServiceRecords& next) {
  CountServices(committed, next);
  decltype(next.endpoints_)::Edit endpoints(current_->endpoints_);
  decltype(next.services_at_)::Edit services_at(current_->services_at_);
  ServiceTable::Edit table(current_->table_, ports_);
  auto compile = [&](const std::string& key) {
    const Service* service = committed.snapshot->FindService(key);
    const SliceSet* slices = committed.snapshot->FindSlices(key);
    const auto* before = current_->endpoints_.Find(key);
    std::shared_ptr<const EndpointRecords> records;
    if (service != nullptr && slices != nullptr) {
      records = Compile(key, before, service->headless, *slices, kinds_);
    }
    Reindex(services_at, before == nullptr ? nullptr : before->get(), records.get());
    if (service == nullptr) {
      table.Remove(NameOf(key));
    } else {
      table.Put(*service, service->headless ? records.get() : nullptr,
                committed.snapshot->KnowsSlices(key));
    }
    Put(endpoints, key, std::move(records));
  };
  for (const std::string& key : committed.changes.services) compile(key);
  for (const std::string& key : committed.changes.endpoints) {
    if (!committed.changes.services.contains(key)) compile(key);
  }
  next.endpoints_ = std::move(endpoints).Finish();
  next.services_at_ = std::move(services_at).Finish();
  next.table_ = std::move(table).Finish();
}

void ServiceRecordsCompiler::ApplyImports(const Directory::Committed& committed,
                                          ServiceRecords& next) {
  decltype(next.imported_)::Edit imported(current_->imported_);
  auto compile = [&](const std::string& key) {
    const ServiceImport* import = committed.snapshot->FindServiceImport(key);
    const SliceSet* slices = committed.snapshot->FindImportedSlices(key);
    std::shared_ptr<const EndpointRecords> records;
    if (import != nullptr && slices != nullptr) {
      records = Compile(key, current_->imported_.Find(key), import->headless, *slices, kinds_);
    }
    Put(imported, key, std::move(records));
  };
  for (const std::string& key : committed.changes.service_imports) compile(key);
  for (const std::string& key : committed.changes.imported_endpoints) {
    if (!committed.changes.service_imports.contains(key)) compile(key);
  }
  next.imported_ = std::move(imported).Finish();
}

void ServiceRecordsCompiler::CountServices(const Directory::Committed& committed,
                                           ServiceRecords& next) const {
  decltype(next.services_in_)::Edit counts(current_->services_in_);
  for (const std::string& key : committed.changes.services) {
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
  next.services_in_ = std::move(counts).Finish();
}

}  // namespace portolan::dns
