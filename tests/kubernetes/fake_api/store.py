"""What the cluster holds and what happened to it: objects, resourceVersions, the window that watches look back to.

Objects are kept as the bytes that lists and events are made of: 100,000 of them are listed as fast as bytes are
joined. An item of a list has no kind and apiVersion, an object in an event has.
"""

import base64
import bisect
import datetime
import json
import time
import uuid
from collections import deque
from typing import Callable, NamedTuple, Optional

from .kinds import Kind
from .patches import check_bytes


def encode(value) -> bytes:
    # As Go's encoder: no blanks, and these three escaped.
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026").encode()


class Gone(Exception):
    """410. `token`: a continue token that goes on with the newest state."""

    def __init__(self, message: str, token: str = ""):
        super().__init__(message)
        self.message = message
        self.token = token


class Conflict(Exception):
    """409."""


class Event(NamedTuple):
    version: int
    type: bytes
    key: str
    item: bytes  # after the event
    before: Optional[bytes]

    def line(self, kind: Kind) -> bytes:
        return event_line(self.type, kind, self.item)


def event_line(event_type: bytes, kind: Kind, item: bytes) -> bytes:
    head = b'{"type":"%s","object":{"kind":"%s","apiVersion":"%s",' % (
        event_type, kind.name.encode(), kind.api_version.encode())
    return head + item[1:] + b"}\n"


def bookmark_line(kind: Kind, version: int, ends_initial_events: bool) -> bytes:
    metadata = {"resourceVersion": str(version)}
    if ends_initial_events:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    value = {"type": "BOOKMARK", "object": {"kind": kind.name, "apiVersion": kind.api_version, "metadata": metadata}}
    # A bookmark is no object, and yet carries what is required of one.
    value["object"].update({"Service": {"spec": {}, "status": {"loadBalancer": {}}},
                            "Pod": {"spec": {"containers": None}, "status": {}},
                            "Node": {"spec": {}, "status": {}}, "Namespace": {"spec": {}, "status": {}},
                            "EndpointSlice": {"addressType": "", "endpoints": None, "ports": None},
                            }.get(kind.name, {}))
    return encode(value) + b"\n"


class Table:
    """All objects of a kind."""

    def __init__(self, kind: Kind, window: int, version: int):
        self.kind = kind
        self.items: dict[str, bytes] = {}  # "namespace/name" or "name"
        self.keys: list[str] = []          # sorted, as etcd has them
        self.window: deque[Event] = deque(maxlen=window)
        self.oldest = version              # watches can go on from here
        self.snapshots: dict[int, list[tuple[str, bytes]]] = {}
        self.followers: list[Callable[[Event], None]] = []

    def record(self, event: Event) -> None:
        if len(self.window) == self.window.maxlen:
            self.oldest = self.window[0].version
        self.window.append(event)
        for follower in list(self.followers):
            follower(event)


class Store:
    def __init__(self, kinds: list[Kind], window: int):
        self.version = 100
        self.tables = {kind: Table(kind, window, self.version) for kind in kinds}
        self._next_ip = 1000

    # --- Writing ---

    def key(self, kind: Kind, obj: dict) -> str:
        metadata = obj["metadata"]
        return f"{metadata['namespace']}/{metadata['name']}" if kind.namespaced else metadata["name"]

    def create(self, kind: Kind, obj: dict) -> bytes:
        metadata = obj.setdefault("metadata", {})
        if "name" not in metadata and "generateName" in metadata:
            metadata["name"] = metadata["generateName"] + uuid.uuid4().hex[:5]
        key = self.key(kind, obj)
        if key in self.tables[kind].items:
            raise Conflict(f'{kind.resource} "{metadata["name"]}" already exists')
        metadata.setdefault("uid", str(uuid.uuid4()))
        metadata.setdefault("creationTimestamp", now())
        if kind.has_status:
            obj.pop("status", None)
            metadata["generation"] = 1
        self._default(kind, obj)
        return self._put(kind, key, obj, b"ADDED")

    def update(self, kind: Kind, obj: dict, subresource: str = "") -> bytes:
        key = self.key(kind, obj)
        old = self.get(kind, key)
        assert old is not None
        sent = obj["metadata"].pop("resourceVersion", None)
        if sent and sent != old["metadata"]["resourceVersion"]:
            raise Conflict(f'Operation cannot be fulfilled on {kind.resource} "{obj["metadata"]["name"]}": the object '
                           "has been modified; please apply your changes to the latest version and try again")
        if kind.has_status:
            obj = _either_half(obj, old, subresource)
        for kept in ("uid", "creationTimestamp"):
            obj["metadata"][kept] = old["metadata"][kept]
        self._default(kind, obj)
        del old["metadata"]["resourceVersion"]
        obj.pop("kind", None)
        obj.pop("apiVersion", None)
        if obj == old:  # nothing happens, and nobody is told
            return self.tables[kind].items[key]
        return self._put(kind, key, obj, b"MODIFIED")

    def delete(self, kind: Kind, key: str) -> Optional[bytes]:
        table = self.tables[kind]
        before = table.items.pop(key, None)
        if before is None:
            return None
        table.keys.pop(bisect.bisect_left(table.keys, key))
        self.version += 1
        obj = json.loads(before)
        obj["metadata"]["resourceVersion"] = str(self.version)
        event = Event(self.version, b"DELETED", key, encode(obj), before)
        table.record(event)
        if kind.plural == "namespaces":
            self._empty(key)
        return event.item

    def _empty(self, namespace: str) -> None:
        for kind, table in self.tables.items():
            if kind.namespaced:
                for key in [key for key in table.keys if key.startswith(namespace + "/")]:
                    self.delete(kind, key)

    def _put(self, kind: Kind, key: str, obj: dict, event_type: bytes) -> bytes:
        obj.pop("kind", None)
        obj.pop("apiVersion", None)
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        item = encode(obj)
        self.put_item(kind, key, item, event_type)
        return item

    def put_item(self, kind: Kind, key: str, item: bytes, event_type: bytes) -> None:
        """Bytes that already carry the version that this is."""
        table = self.tables[kind]
        before = table.items.get(key)
        if before is None:
            bisect.insort(table.keys, key)
        table.items[key] = item
        table.record(Event(self.version, event_type, key, item, before))

    def _default(self, kind: Kind, obj: dict) -> None:
        check_bytes(kind.name, obj)
        if kind.name == "Namespace":
            obj["metadata"].setdefault("labels", {})["kubernetes.io/metadata.name"] = obj["metadata"]["name"]
            obj.setdefault("status", {"phase": "Active"})
        if kind.name != "Service":
            return
        spec = obj.setdefault("spec", {})
        spec.setdefault("type", "ClusterIP")
        if spec["type"] != "ExternalName" and not spec.get("clusterIP"):
            self._next_ip += 1
            spec["clusterIP"] = f"10.96.{self._next_ip // 250 % 250}.{self._next_ip % 250 + 1}"
        if spec.get("clusterIP"):
            spec.setdefault("clusterIPs", [spec["clusterIP"]])

    # --- Reading ---

    def get(self, kind: Kind, key: str) -> Optional[dict]:
        item = self.tables[kind].items.get(key)
        return None if item is None else json.loads(item)

    def page(self, kind: Kind, limit: int, token: str, namespace: str = "") -> tuple[list[bytes], int, str, int]:
        """Items, their version, the token for what follows, and how many that are. Gone if the token is too old."""
        table = self.tables[kind]
        version, start = self.version, ""
        if token:
            # ValueError where it is none.
            asked = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
            version, start = int(asked["rv"]), asked["start"].lstrip("/").rstrip("\0")
        if version == -1:
            version = self.version
        if version != self.version and version not in table.snapshots:
            raise Gone("The provided continue parameter is too old to display a consistent list result. You can start "
                       "a new list without the continue parameter, or use the continue token in this response to "
                       "retrieve the remainder of the results. Continuing with the provided token results in an "
                       "inconsistent list - objects that were created, modified, or deleted between the time the first "
                       "chunk was returned and now may show up in the list.", make_token(-1, start))
        entries = table.snapshots.get(version)
        if entries is None:
            entries = [(key, table.items[key]) for key in table.keys]
        if namespace:
            entries = [entry for entry in entries if entry[0].startswith(namespace + "/")]
        begin = bisect.bisect_left(entries, (start,)) if start else 0
        end = min(begin + limit, len(entries)) if limit else len(entries)
        items = [item for _, item in entries[begin:end]]
        if end == len(entries):
            return items, version, "", 0
        table.snapshots.setdefault(version, entries)
        return items, version, make_token(version, entries[end][0]), len(entries) - end

    def since(self, kind: Kind, version: int) -> list[Event]:
        """What happened after `version`. Gone if that is no longer known."""
        table = self.tables[kind]
        if version < table.oldest:
            raise Gone(f"too old resource version: {version} ({table.oldest})")
        return [event for event in table.window if event.version > version]

    # --- What befalls a server ---

    def compact(self) -> None:
        """etcd forgets all but the present; so does a server that comes up."""
        for table in self.tables.values():
            table.snapshots.clear()
            table.window.clear()
            table.oldest = self.version

    def rewind(self, version: int) -> None:
        """The cluster was set back to a backup: the same numbers come again."""
        self.version = version
        self.compact()


def _either_half(obj: dict, old: dict, subresource: str) -> dict:
    """Of a kind whose status is a subresource: a write there changes the status alone, one of the object all but that,
    and its generation counts what is changed beside metadata and status."""
    if subresource:
        kept = {key: value for key, value in old.items() if key != "status"}
        kept["metadata"] = {key: value for key, value in old["metadata"].items() if key != "resourceVersion"}
        return {**kept, **({"status": obj["status"]} if "status" in obj else {})}
    result = {key: value for key, value in obj.items() if key != "status"}
    if "status" in old:
        result["status"] = old["status"]

    def counts(one: dict) -> dict:
        return {key: value for key, value in one.items() if key not in ("metadata", "status", "kind", "apiVersion")}
    generation = old["metadata"].get("generation", 1)
    result["metadata"] = {**obj["metadata"], "generation": generation + (counts(obj) != counts(old))}
    return result


def make_token(version: int, start: str) -> str:
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": f"/{start}\0"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def now() -> str:
    return datetime.datetime.fromtimestamp(time.time(), datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
