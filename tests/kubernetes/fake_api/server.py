"""The server: from requests to the store, and from the store to watches."""

import asyncio
import json
import random
import time
from typing import Optional

from .faults import Faults
from .http import Reply, Request
from .kinds import Kind, discovery
from .patches import UnknownPatch, Unprocessable, patched
from .store import Conflict, Event, Gone, Store, bookmark_line, encode, event_line, now

# What a watch may lag behind before it is cut, as the real server does with a client that reads too slowly.
MOST_BUFFERED = 64 << 20


def status(code: int, reason: str, message: str, **more) -> bytes:
    return encode({"kind": "Status", "apiVersion": "v1", "metadata": more.pop("metadata", {}), "status": "Failure",
                   "message": message, "reason": reason, **more, "code": code}) + b"\n"


class Watch:
    """One watch: what it was asked for, and where its events go."""

    def __init__(self, kind: Kind, reply: Reply, selected):
        self.kind, self.reply, self.selected = kind, reply, selected
        self.sent = 0  # resourceVersion
        self.backlog: Optional[list[Event]] = None  # what happens while all there is is being told
        self.over = asyncio.Event()


class Server:
    def __init__(self, store: Store, bookmark_interval: float):
        self.store = store
        self.faults = Faults()
        self.bookmark_interval = bookmark_interval
        self.watches: set[Watch] = set()
        self.requests: dict[str, int] = {}  # "list services": how many
        # User-Agent, verb, resource, namespace, name: what an authorizer would have been asked.
        self.asked: set[tuple[str, str, str, str, str]] = set()
        self.tokens: dict[str, dict] = {}   # of TokenReviews: {"user": {...}, "audiences": [...]}
        self.reviews = 0
        # Of SubjectAccessReviews of URL paths: by user, the verbs and paths that a ClusterRole gives, a path with a
        # star at its end for all that begin so.
        self.access: dict[str, list[list[str]]] = {}
        for table in store.tables.values():
            table.followers.append(lambda event, kind=table.kind: self._spread(kind, event))

    async def handle(self, request: Request, reply: Reply) -> None:
        if request.path.startswith("/fake/"):
            return await self._fake(request, reply)
        reply.slow = self.faults.slow
        try:
            await self._route(request, reply)
        except Gone as gone:
            metadata = {"continue": gone.token} if gone.token else {}
            await reply.send(410, status(410, "Expired", gone.message, metadata=metadata))
        except Conflict as conflict:
            reason = "AlreadyExists" if "already exists" in str(conflict) else "Conflict"
            await reply.send(409, status(409, reason, str(conflict)))
        except Unprocessable as error:
            await reply.send(422, status(422, "Invalid", str(error), details={}))
        except UnknownPatch:
            await reply.send(415, status(415, "UnsupportedMediaType", "415: Unsupported Media Type", details={}))
        except (KeyError, TypeError, ValueError) as error:
            await reply.send(400, status(400, "BadRequest", f"{type(error).__name__}: {error}"))

    async def _route(self, request: Request, reply: Reply) -> None:
        if request.path in ("/readyz", "/livez", "/healthz"):
            return await reply.send(200, b"ok", "text/plain")
        if request.path == "/apis/authentication.k8s.io/v1/tokenreviews":
            self._note(request, "create", "tokenreviews.authentication.k8s.io")
            return await self._review(request, reply)
        if request.path == "/apis/authorization.k8s.io/v1/subjectaccessreviews":
            self._note(request, "create", "subjectaccessreviews.authorization.k8s.io")
            return await self._access_review(request, reply)
        found = discovery(list(self.store.tables), request.path)
        if found is not None:
            return await reply.send(200, encode(found) + b"\n")
        place = self._place(request.path)
        if place is None:
            if any(request.path.startswith(kind.prefix + "/") for kind in self.store.tables):
                return await reply.send(404, status(404, "NotFound", "the server could not find the requested resource",
                                                    details={}))
            return await reply.send(404, b"404 page not found\n", "text/plain; charset=utf-8")
        kind, namespace, name, subresource = place
        verb = self._verb(request, name)
        self.requests[f"{verb} {kind.plural}"] = self.requests.get(f"{verb} {kind.plural}", 0) + 1
        resource = kind.resource if not subresource else kind.resource.replace(kind.plural, f"{kind.plural}/{subresource}")
        self._note(request, verb, resource, namespace, name or _name_selected(request.query))
        if await self._refused(request, reply, kind, verb):
            return
        if verb == "list":
            await self._list(request, reply, kind, namespace)
        elif verb == "watch":
            await self._watch(request, reply, kind, namespace)
        else:
            await self._object(request, reply, kind, namespace, name, subresource)

    def _note(self, request: Request, verb: str, resource: str, namespace: str = "", name: str = "") -> None:
        self.asked.add((request.headers.get("user-agent", ""), verb, resource, namespace, name))

    @staticmethod
    def _verb(request: Request, name: str) -> str:
        if request.method != "GET" or name:
            return {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}.get(
                request.method, "other")
        return "watch" if request.query.get("watch") in ("true", "1") else "list"

    def _place(self, path: str) -> Optional[tuple[Kind, str, str, str]]:
        """The kind, namespace, name and subresource that a path is about."""
        for kind in self.store.tables:
            if not path.startswith(kind.prefix + "/"):
                continue
            rest = path[len(kind.prefix) + 1:].split("/")
            namespace = ""
            if kind.namespaced and rest[0] == "namespaces" and len(rest) > 2:
                namespace, rest = rest[1], rest[2:]
            if rest[0] == kind.plural and len(rest) <= 3 and rest[2:] in ([], ["status"]):
                subresource = rest[2] if len(rest) > 2 and kind.has_status else ""
                return kind, namespace, rest[1] if len(rest) > 1 else "", subresource
        return None

    async def _refused(self, request: Request, reply: Reply, kind: Kind, verb: str) -> bool:
        if self.faults.starting() and verb in ("list", "watch"):
            group = f'API group "{kind.group}"'
            await reply.send(403, status(403, "Forbidden", f'{kind.resource} is forbidden: User "system:serviceaccount:'
                                         f'portolan-system:portolan-control" cannot {verb} resource "{kind.plural}" in '
                                         f"{group} at the cluster scope", details={"kind": kind.plural}))
            return True
        refusal = self.faults.refusal(request.path, verb)
        if refusal is None:
            return False
        content_type = "application/json" if refusal.body.startswith("{") else "text/plain; charset=utf-8"
        await reply.send(refusal.status, refusal.body.encode(), content_type, refusal.headers)
        return True

    # --- Objects ---

    async def _object(self, request: Request, reply: Reply, kind: Kind, namespace: str, name: str,
                      subresource: str) -> None:
        key = f"{namespace}/{name}" if kind.namespaced else name
        if "protobuf" in request.headers.get("content-type", "") and request.body:
            return await reply.send(415, status(415, "UnsupportedMediaType", "this server takes JSON: use kubectl apply"))
        if subresource and request.method not in ("GET", "PUT", "PATCH"):
            return await reply.send(405, status(405, "MethodNotAllowed", "the server does not allow this method"))
        if request.method == "POST":
            obj = request.json()
            if namespace:
                obj.setdefault("metadata", {})["namespace"] = namespace
            return await self._answer(reply, 201, kind, self.store.create(kind, obj))
        old = self.store.get(kind, key)
        if old is None and not subresource and request.method == "PATCH" and "apply" in request.headers.get("content-type", ""):
            return await self._answer(reply, 201, kind, self.store.create(kind, request.json()))
        if old is None:
            return await reply.send(404, status(404, "NotFound", f'{kind.resource} "{name}" not found'))
        if request.method == "GET":
            await self._answer(reply, 200, kind, self.store.tables[kind].items[key])
        elif request.method == "DELETE":
            await self._answer(reply, 200, kind, self.store.delete(kind, key))
        elif request.method in ("PUT", "PATCH"):
            sent = request.json()
            obj = sent if request.method == "PUT" else patched(request.headers.get("content-type", ""), old, sent)
            await self._answer(reply, 200, kind, self.store.update(kind, obj, subresource))
        else:
            await reply.send(405, status(405, "MethodNotAllowed", "the server does not allow this method"))

    async def _answer(self, reply: Reply, code: int, kind: Kind, item: bytes) -> None:
        head = encode({"kind": kind.name, "apiVersion": kind.api_version})[:-1]
        await reply.send(code, head + b"," + item[1:] + b"\n")

    async def _review(self, request: Request, reply: Reply) -> None:
        self.reviews += 1
        refusal = self.faults.refusal(request.path, "create")
        if refusal is not None:
            return await reply.send(refusal.status, refusal.body.encode(), headers=refusal.headers)
        review = request.json()
        known = self.tokens.get(review["spec"].get("token", ""))
        wanted = review["spec"].get("audiences") or ["https://kubernetes.default.svc"]
        audiences = [one for one in wanted if known is not None and one in known["audiences"]]
        review["status"] = ({"authenticated": True, "user": known["user"], "audiences": audiences} if audiences else
                            {"user": {}, "error": "[invalid bearer token, token audiences do not match]"})
        await reply.send(201, encode(review) + b"\n")

    async def _access_review(self, request: Request, reply: Reply) -> None:
        self.reviews += 1
        refusal = self.faults.refusal(request.path, "create")
        if refusal is not None:
            return await reply.send(refusal.status, refusal.body.encode(), headers=refusal.headers)
        review = request.json()
        asked = review["spec"].get("nonResourceAttributes", {})
        verb, path = asked.get("verb", ""), asked.get("path", "")
        allowed = any(verb == given and (path == of or of.endswith("*") and path.startswith(of[:-1]))
                      for given, of in self.access.get(review["spec"].get("user", ""), []))
        review["status"] = ({"allowed": True, "reason": "RBAC: allowed by ClusterRoleBinding"} if allowed else
                            {"allowed": False})
        await reply.send(201, encode(review) + b"\n")

    # --- Lists ---

    async def _list(self, request: Request, reply: Reply, kind: Kind, namespace: str) -> None:
        query = request.query
        version = query.get("resourceVersion", "")
        if version and not version.isdigit():
            return await self._bad_version(reply, version)
        if version and int(version) > self.store.version:
            await asyncio.sleep(3)
            return await reply.send(504, status(
                504, "Timeout", f"Timeout: Too large resource version: {version}, current: {self.store.version}",
                details={"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                         "retryAfterSeconds": 1}), headers=[("Retry-After", "1")])
        limit = 0 if version == "0" else int(query.get("limit", 0))
        items, shown, token, left = self.store.page(kind, limit, query.get("continue", ""), namespace)
        selected = _selector(query)
        if selected is not None:
            items = [item for item in items if selected(item)]
        metadata = {"resourceVersion": str(shown)}
        if token:
            metadata.update({"continue": token, "remainingItemCount": left})
        head = encode({"kind": kind.name + "List", "apiVersion": kind.api_version, "metadata": metadata})[:-1]
        await reply.send(200, head + b',"items":[' + b",".join(items) + b"]}\n")

    @staticmethod
    async def _bad_version(reply: Reply, version: str) -> None:
        message = (f'resourceVersion: Invalid value: "{version}": strconv.ParseUint: parsing "{version}": invalid '
                   "syntax")
        await reply.send(500, encode({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                                      "message": message, "code": 500}) + b"\n")

    # --- Watches ---

    async def _watch(self, request: Request, reply: Reply, kind: Kind, namespace: str) -> None:
        query = request.query
        version = query.get("resourceVersion", "")
        if version and not version.isdigit():
            return await self._bad_version(reply, version)
        streamed = query.get("sendInitialEvents") == "true"
        if streamed and (self.faults.refuse_streaming or query.get("resourceVersionMatch") != "NotOlderThan"):
            message = ("Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
                       if self.faults.refuse_streaming else
                       "Forbidden: sendInitialEvents requires setting resourceVersionMatch to NotOlderThan")
            return await reply.send(422, status(
                422, "Invalid", f'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: {message}'))
        watch = Watch(kind, reply, _selector(query, namespace))
        await reply.begin_stream()
        try:
            past = None if streamed or version in ("", "0") else self.store.since(kind, int(version))
        except Gone as gone:
            reply.chunk(b'{"type":"ERROR","object":%s}\n' % status(410, "Expired", gone.message).strip())
            return await reply.end_stream()
        await self._follow(watch, past, query)

    async def _follow(self, watch: Watch, past: Optional[list[Event]], query: dict[str, str]) -> None:
        """past: what is to be told first; None: all that there is."""
        bookmarks = query.get("allowWatchBookmarks") in ("true", "1")
        if past is None:
            await self._tell_all(watch, bookmarks)
        else:
            # Of a version that the server has not reached nothing is said until it has.
            watch.sent = int(query["resourceVersion"])
            for event in past:
                self._tell(watch, event)
            self.watches.add(watch)
        try:
            await self._until_over(watch, bookmarks,
                                   float(query.get("timeoutSeconds", 0)) or random.uniform(1800, 3600))
        finally:
            self.watches.discard(watch)

    async def _tell_all(self, watch: Watch, bookmarks: bool) -> None:
        table = self.store.tables[watch.kind]
        watch.sent = self.store.version
        items = [table.items[key] for key in table.keys]
        watch.backlog = []
        self.watches.add(watch)
        for at in range(0, len(items), 100):
            lines = [event_line(b"ADDED", watch.kind, item) for item in items[at:at + 100]
                     if watch.selected is None or watch.selected(item)]
            if lines:
                watch.reply.chunk(b"".join(lines))
                await watch.reply.writer.drain()
            if self.faults.slow:
                await asyncio.sleep(sum(map(len, lines)) / self.faults.slow)
        if bookmarks:
            watch.reply.chunk(bookmark_line(watch.kind, watch.sent, True))
        backlog, watch.backlog = watch.backlog, None
        for event in backlog:
            self._tell(watch, event)

    async def _until_over(self, watch: Watch, bookmarks: bool, seconds: float) -> None:
        end = time.monotonic() + seconds
        last_bookmark = time.monotonic()
        while not watch.over.is_set() and not watch.reply.writer.transport.is_closing():
            left = end - time.monotonic()
            if left <= 0:
                return await watch.reply.end_stream()
            try:
                await asyncio.wait_for(watch.over.wait(), min(left, 0.5))
            except asyncio.TimeoutError:
                pass
            since = time.monotonic() - last_bookmark
            due = since >= self.bookmark_interval or left <= 1.0 < since
            if bookmarks and due and watch.sent <= self.store.version:
                last_bookmark = time.monotonic()
                watch.reply.chunk(bookmark_line(watch.kind, self.store.version, False))
        if watch.over.is_set():
            await watch.reply.end_stream()

    def _spread(self, kind: Kind, event: Event) -> None:
        watches = [watch for watch in self.watches if watch.kind is kind]
        for watch in watches:
            self._tell(watch, event)
        if watches:
            self.faults.told(kind)

    def _tell(self, watch: Watch, event: Event) -> None:
        if watch.backlog is not None:
            watch.backlog.append(event)
            return
        transport = watch.reply.writer.transport
        if event.version <= watch.sent or transport.is_closing():
            return
        watch.sent = event.version
        line = _seen_through(watch, event)
        if line is None:
            return
        if transport.get_write_buffer_size() > MOST_BUFFERED:
            return transport.abort()
        watch.reply.chunk(self.faults.distort(watch.kind, line))

    # --- /fake/... ---

    async def _fake(self, request: Request, reply: Reply) -> None:
        action = request.path[len("/fake/"):]
        value = request.json() if request.body else {}
        answer: object = {}
        if action == "faults":
            self.faults.set(value)
        elif action == "tokens":
            self.tokens = value if request.body else self.tokens
            answer = self.tokens
        elif action == "access":
            self.access = value
        elif action == "compact":
            self.store.compact()
        elif action == "rewind":
            self.store.rewind(int(value["version"]))
        elif action == "drop":  # every watch, without the zero chunk
            for watch in list(self.watches):
                watch.reply.abort()
        elif action == "end":  # every watch, as timeoutSeconds does
            for watch in list(self.watches):
                watch.over.set()
        elif action == "bookmark":
            for watch in list(self.watches):
                watch.reply.chunk(bookmark_line(watch.kind, self.store.version, False))
        elif action == "churn":
            answer = await self._churn(float(value["per_second"]), float(value["seconds"]))
        elif action == "asked":
            answer = sorted(self.asked)
        elif action == "state":
            answer = self._state()
        else:
            return await reply.send(404, b"no such thing\n", "text/plain")
        await reply.send(200, encode(answer) + b"\n")

    def _state(self) -> dict:
        watches: dict[str, int] = {}
        for watch in self.watches:
            watches[watch.kind.plural] = watches.get(watch.kind.plural, 0) + 1
        return {"resourceVersion": self.store.version, "watches": watches, "requests": self.requests,
                "reviews": self.reviews,
                "objects": {kind.plural: len(table.items) for kind, table in self.store.tables.items()}}

    async def _churn(self, per_second: float, seconds: float) -> dict:
        """One endpoint of one EndpointSlice at a time is ready no more, or again. When each was told, as seconds
        since the epoch, beside the slice and the version."""
        kind = next(kind for kind in self.store.tables if kind.plural == "endpointslices")
        keys = list(self.store.tables[kind].keys)
        begin, changes = time.monotonic(), []
        for number in range(int(per_second * seconds)):
            await asyncio.sleep(max(0.0, begin + number / per_second - time.monotonic()))
            key = random.choice(keys)
            obj = self.store.get(kind, key)
            if not obj or not obj.get("endpoints"):
                continue
            conditions = random.choice(obj["endpoints"])["conditions"]
            conditions["ready"] = conditions["serving"] = not conditions["ready"]
            obj["metadata"].setdefault("annotations", {})["endpoints.kubernetes.io/last-change-trigger-time"] = now()
            at = time.time()
            self.store.update(kind, obj)
            changes.append([at, key, self.store.version])
        return {"changes": changes}


def _seen_through(watch: Watch, event: Event) -> Optional[bytes]:
    """What an event is to a watch that selects: an object that fits no more is gone."""
    if watch.selected is None or event.type == b"DELETED" and watch.selected(event.item):
        return event.line(watch.kind)
    fits = event.type != b"DELETED" and watch.selected(event.item)
    did = event.before is not None and watch.selected(event.before)
    if not fits and not did:
        return None
    event_type = b"MODIFIED" if fits and did else b"ADDED" if fits else b"DELETED"
    return event_line(event_type, watch.kind, event.item)


def _name_selected(query: dict[str, str]) -> str:
    """A list or watch of a single name is one of that name to the authorizer."""
    for term in query.get("fieldSelector", "").split(","):
        if term.startswith("metadata.name="):
            return term.partition("=")[2].lstrip("=")
    return ""


def _selector(query: dict[str, str], namespace: str = ""):
    """A function of an item's bytes; None where all are wanted. Equality only, which is what kubectl's own
    questions need."""
    terms = [("label", term) for term in query.get("labelSelector", "").split(",") if term]
    terms += [("field", term) for term in query.get("fieldSelector", "").split(",") if term]
    if not terms and not namespace:
        return None

    def selected(item: bytes) -> bool:
        obj = json.loads(item)
        if namespace and obj["metadata"].get("namespace") != namespace:
            return False
        for where, term in terms:
            name, _, value = term.replace("==", "=").partition("=")
            if where == "label":
                has = obj["metadata"].get("labels", {}).get(name)
            else:
                has = obj
                for part in name.split("."):
                    has = has.get(part, "") if isinstance(has, dict) else ""
            if has != value:
                return False
        return True

    return selected
