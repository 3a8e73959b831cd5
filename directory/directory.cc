#include "directory/directory.h"

#include <algorithm>
#include <utility>

namespace portolan {
namespace {

template <typename Map>
auto* Get(const Map& map, std::string_view key) {
  const auto* found = map.Find(key);
  return found == nullptr ? nullptr : found->get();
}

// Of "namespace/name"; neither holds a slash.
NameView Split(std::string_view key) {
  const size_t slash = std::min(key.find('/'), key.size());
  return {key.substr(0, slash), key.substr(std::min(slash + 1, key.size()))};
}

NameView View(const ObjectName& name) { return {name.ns, name.name}; }

}  // namespace

const Namespace* Snapshot::FindNamespace(std::string_view name) const {
  return Get(namespaces_, name);
}
const Service* Snapshot::FindService(std::string_view key) const {
  const NameView name = Split(key);
  return FindService(name.ns, name.name);
}
const Service* Snapshot::FindService(std::string_view ns, std::string_view name) const {
  const auto* found = services_.Find(NameView{ns, name});
  return found == nullptr ? nullptr : found->get();
}
const SliceSet* Snapshot::FindSlices(std::string_view key) const { return Get(slices_, key); }
const ServiceImport* Snapshot::FindServiceImport(std::string_view key) const {
  return Get(imports_, key);
}
const SliceSet* Snapshot::FindImportedSlices(std::string_view key) const {
  return Get(imported_slices_, key);
}
const Pod* Snapshot::FindPod(std::string_view key) const { return Get(pods_, key); }
const Node* Snapshot::FindNode(std::string_view name) const { return Get(nodes_, name); }
const ServiceCidr* Snapshot::FindServiceCidr(std::string_view name) const {
  return Get(service_cidrs_, name);
}
const NetworkPolicy* Snapshot::FindNetworkPolicy(std::string_view key) const {
  return Get(policies_, key);
}
const DnsEgressPolicy* Snapshot::FindDnsEgressPolicy(std::string_view key) const {
  return Get(dns_policies_, key);
}

const Service* Snapshot::FindServiceByAddress(const IpAddress& ip) const {
  const Service* const* found = service_addresses_.Find(ip);
  return found == nullptr ? nullptr : *found;
}

const AddressOwner* Snapshot::FindAddress(const IpAddress& ip) const {
  const auto* found = owners_.Find(ip);
  return found == nullptr ? nullptr : found->get();
}

struct Directory::Edits {
  explicit Edits(const Snapshot& from)
      : namespaces(from.namespaces_),
        services(from.services_),
        slices(from.slices_),
        imports(from.imports_),
        imported_slices(from.imported_slices_),
        pods(from.pods_),
        nodes(from.nodes_),
        service_cidrs(from.service_cidrs_),
        policies(from.policies_),
        dns_policies(from.dns_policies_),
        addresses(from.service_addresses_),
        owners(from.owners_) {}

  Snapshot::ByName<Namespace>::Edit namespaces;
  Snapshot::Services::Edit services;
  Snapshot::ByName<SliceSet>::Edit slices;
  Snapshot::ByName<ServiceImport>::Edit imports;
  Snapshot::ByName<SliceSet>::Edit imported_slices;
  Snapshot::ByName<Pod>::Edit pods;
  Snapshot::ByName<Node>::Edit nodes;
  Snapshot::ByName<ServiceCidr>::Edit service_cidrs;
  Snapshot::ByName<NetworkPolicy>::Edit policies;
  Snapshot::ByName<DnsEgressPolicy>::Edit dns_policies;
  decltype(Snapshot::service_addresses_)::Edit addresses;
  decltype(Snapshot::owners_)::Edit owners;
};

Directory::Directory(Slices slices) {
  auto empty = std::make_shared<Snapshot>();
  empty->holds_all_slices_ = slices == Slices::kOfAll;
  current_ = std::move(empty);
}
Directory::~Directory() = default;

Directory::Edits& Directory::edits() {
  if (edits_ == nullptr) edits_ = std::make_unique<Edits>(*current_);
  return *edits_;
}

void Directory::Put(Namespace ns) {
  pending_.namespaces.insert(ns.name);
  auto shared = std::make_shared<const Namespace>(std::move(ns));
  edits().namespaces.Set(shared->name, shared);
}

void Directory::RemoveNamespace(std::string_view name) {
  if (edits().namespaces.Erase(name)) pending_.namespaces.insert(std::string(name));
}

void Directory::Put(Service service) {
  auto shared = std::make_shared<const Service>(std::move(service));
  const ObjectName& name = shared->name;
  pending_.services.insert(name.ToString());
  const std::vector<IpAddress> claimed = shared->Addresses();
  // Addresses lead to it until they are claimed for the new one.
  std::shared_ptr<const Service> old;
  if (const auto* found = edits().services.Find(View(name))) old = *found;
  if (old != nullptr) {
    for (const IpAddress& ip : old->Addresses()) {
      if (!std::binary_search(claimed.begin(), claimed.end(), ip)) Disclaim(ip, name);
    }
  }
  edits().services.Set(shared);
  for (const IpAddress& ip : claimed) Claim(ip, *shared);
}

// A cluster IP is its Service's, whoever else names it as an external address.
void Directory::Claim(const IpAddress& ip, const Service& service) {
  auto is_cluster_ip = [&](const ObjectName& claimer) {
    const auto& ips = (*edits().services.Find(View(claimer)))->cluster_ips;
    return std::find(ips.begin(), ips.end(), ip) != ips.end();
  };
  const Service* const* holder = edits().addresses.Find(ip);
  const auto contested = address_claims_.find(ip);
  // A holder of the same name may be the Service as it was before.
  const bool alone = holder == nullptr || (*holder)->name == service.name;
  if (alone && contested == address_claims_.end()) return edits().addresses.Set(ip, &service);
  auto& claims = address_claims_[ip];
  if (claims.empty()) claims.push_back((*holder)->name);
  const auto held = std::find(claims.begin(), claims.end(), service.name);
  if (held == claims.end()) claims.push_back(service.name);
  std::stable_partition(claims.begin(), claims.end(), is_cluster_ip);
  edits().addresses.Set(ip, edits().services.Find(View(claims.front()))->get());
}

void Directory::RemoveService(const ObjectName& name) {
  const auto* old = edits().services.Find(View(name));
  if (old == nullptr) return;
  const std::shared_ptr<const Service> service = *old;
  pending_.services.insert(name.ToString());
  for (const IpAddress& ip : service->Addresses()) Disclaim(ip, service->name);
  edits().services.Erase(View(service->name));
}

void Directory::Disclaim(const IpAddress& ip, const ObjectName& service) {
  const auto contested = address_claims_.find(ip);
  if (contested == address_claims_.end()) {
    edits().addresses.Erase(ip);
    return;
  }
  auto& claims = contested->second;
  std::erase(claims, service);
  edits().addresses.Set(ip, edits().services.Find(View(claims.front()))->get());
  if (claims.size() == 1) address_claims_.erase(contested);
}

struct Directory::SliceFile {
  Snapshot::ByName<SliceSet>::Edit& sets;
  StringMap<std::string>& homes;
  absl::btree_set<std::string>& changed;
};

Directory::SliceFile Directory::FileOf(bool imported) {
  if (imported) {
    return {edits().imported_slices, imported_slice_home_, pending_.imported_endpoints};
  }
  return {edits().slices, slice_home_, pending_.endpoints};
}

void Directory::Put(EndpointSlice slice) {
  Put(std::make_shared<const EndpointSlice>(std::move(slice)));
}

void Directory::Put(std::shared_ptr<const EndpointSlice> slice) {
  const SliceFile file = FileOf(slice->imported);
  const ObjectName& name = slice->name;
  const std::string slice_key = name.ToString();
  const std::string home = slice->service.empty() ? std::string() : name.ns + "/" + slice->service;
  const auto at = file.homes.find(slice_key);
  if (at != file.homes.end() && at->second != home) Unfile(name, file);
  if (home.empty()) return;
  file.homes.insert_or_assign(slice_key, home);
  file.changed.insert(home);
  const auto* old = file.sets.Find(home);
  auto next = old == nullptr ? std::make_shared<SliceSet>() : std::make_shared<SliceSet>(**old);
  (*next)[name.name] = std::move(slice);
  file.sets.Set(home, std::move(next));
}

void Directory::RemoveSlice(const ObjectName& name) { Unfile(name, FileOf(false)); }

void Directory::RemoveImportedSlice(const ObjectName& name) { Unfile(name, FileOf(true)); }

void Directory::Unfile(const ObjectName& name, const SliceFile& file) {
  const auto at = file.homes.find(name.ToString());
  if (at == file.homes.end()) return;
  const std::string home = at->second;
  file.homes.erase(at);
  file.changed.insert(home);
  auto next = std::make_shared<SliceSet>(**file.sets.Find(home));
  next->erase(name.name);
  if (next->empty()) {
    file.sets.Erase(home);
  } else {
    file.sets.Set(home, std::move(next));
  }
}

void Directory::PutNoSlices(const std::string& service_key) {
  ForgetSlices(service_key);
  static const auto kNone = std::make_shared<const SliceSet>();
  edits().slices.Set(service_key, kNone);
  pending_.endpoints.insert(service_key);
}

void Directory::ForgetSlices(const std::string& service_key) {
  const auto* held = edits().slices.Find(service_key);
  if (held == nullptr) return;
  for (const auto& [name, slice] : **held) slice_home_.erase(slice->name.ToString());
  edits().slices.Erase(service_key);
  pending_.endpoints.insert(service_key);
}

void Directory::Put(ServiceImport import) {
  auto shared = std::make_shared<const ServiceImport>(std::move(import));
  const std::string key = shared->name.ToString();
  pending_.service_imports.insert(key);
  edits().imports.Set(key, shared);
}

void Directory::RemoveServiceImport(const ObjectName& name) {
  std::string key = name.ToString();
  if (edits().imports.Erase(key)) pending_.service_imports.insert(std::move(key));
}

void Directory::Put(Pod pod) {
  auto shared = std::make_shared<const Pod>(std::move(pod));
  const std::string key = shared->name.ToString();
  pending_.pods.insert(key);
  edits().pods.Set(key, shared);
}

void Directory::RemovePod(const ObjectName& name) {
  std::string key = name.ToString();
  if (edits().pods.Erase(key)) pending_.pods.insert(std::move(key));
}

void Directory::Put(Node node) {
  pending_.nodes.insert(node.name);
  auto shared = std::make_shared<const Node>(std::move(node));
  edits().nodes.Set(shared->name, shared);
}

void Directory::RemoveNode(std::string_view name) {
  if (edits().nodes.Erase(name)) pending_.nodes.insert(std::string(name));
}

void Directory::Put(ServiceCidr range) {
  pending_.service_cidrs.insert(range.name);
  auto shared = std::make_shared<const ServiceCidr>(std::move(range));
  edits().service_cidrs.Set(shared->name, shared);
}

void Directory::RemoveServiceCidr(std::string_view name) {
  if (edits().service_cidrs.Erase(name)) pending_.service_cidrs.insert(std::string(name));
}

void Directory::Put(NetworkPolicy policy) {
  auto shared = std::make_shared<const NetworkPolicy>(std::move(policy));
  const std::string key = shared->name.ToString();
  pending_.network_policies.insert(key);
  edits().policies.Set(key, shared);
}

void Directory::RemoveNetworkPolicy(const ObjectName& name) {
  std::string key = name.ToString();
  if (edits().policies.Erase(key)) pending_.network_policies.insert(std::move(key));
}

void Directory::Put(DnsEgressPolicy policy) {
  auto shared = std::make_shared<const DnsEgressPolicy>(std::move(policy));
  std::string key = shared->Key();
  pending_.dns_egress_policies.insert(key);
  edits().dns_policies.Set(std::move(key), std::move(shared));
}

void Directory::RemoveDnsEgressPolicy(std::string_view key) {
  if (edits().dns_policies.Erase(key)) pending_.dns_egress_policies.emplace(key);
}

void Directory::Put(AddressOwner owner) {
  pending_.addresses.insert(owner.ip);
  const IpAddress ip = owner.ip;
  edits().owners.Set(ip, std::make_shared<const AddressOwner>(std::move(owner)));
}

void Directory::RemoveAddress(const IpAddress& ip) {
  if (edits().owners.Erase(ip)) pending_.addresses.insert(ip);
}

Directory::Committed Directory::Commit() {
  if (pending_.empty()) {
    edits_.reset();
    return {current_, {}};
  }
  auto next = std::make_shared<Snapshot>();
  next->generation_ = current_->generation_ + 1;
  next->holds_all_slices_ = current_->holds_all_slices_;
  Edits& edited = edits();
  next->namespaces_ = std::move(edited.namespaces).Finish();
  next->services_ = std::move(edited.services).Finish();
  next->slices_ = std::move(edited.slices).Finish();
  next->imports_ = std::move(edited.imports).Finish();
  next->imported_slices_ = std::move(edited.imported_slices).Finish();
  next->pods_ = std::move(edited.pods).Finish();
  next->nodes_ = std::move(edited.nodes).Finish();
  next->service_cidrs_ = std::move(edited.service_cidrs).Finish();
  next->policies_ = std::move(edited.policies).Finish();
  next->dns_policies_ = std::move(edited.dns_policies).Finish();
  next->service_addresses_ = std::move(edited.addresses).Finish();
  next->owners_ = std::move(edited.owners).Finish();
  edits_.reset();
  current_ = std::move(next);
  return {current_, std::exchange(pending_, {})};
}

}  // namespace portolan
