"""What PATCH does to an object."""


import base64
import binascii


class Unprocessable(Exception):
    """422."""


class UnknownPatch(Exception):
    """415."""


def patched(content_type: str, target, patch):
    """What becomes of an object."""
    if content_type == "application/json-patch+json":
        return json_patch(target, patch)
    if content_type == "application/merge-patch+json":
        return merge(target, patch)
    if content_type in ("application/strategic-merge-patch+json", "application/apply-patch+yaml"):
        return strategic(target, patch)
    raise UnknownPatch


def check_bytes(kind: str, obj: dict) -> None:
    """Fields of type []byte are base64. What the bytes are, nobody asks: rubbish is a caBundle too."""
    fields = list((obj.get("data") or {}).values()) if kind == "Secret" else []
    if kind.endswith("WebhookConfiguration"):
        fields = [webhook.get("clientConfig", {}).get("caBundle", "") for webhook in obj.get("webhooks") or []]
    for text in fields:
        try:
            base64.b64decode(text, validate=True)
        except (binascii.Error, TypeError) as error:
            raise Unprocessable(f"illegal base64 data: {error}") from error


def merge(target, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def strategic(target, patch):
    """As merge, but for lists of objects that all have a port or a name: those merge by it, and "$patch": "delete"
    takes one away. Lists of anything else are replaced, as with most fields of the real thing."""
    if isinstance(patch, list) and isinstance(target, list):
        key = next((key for key in ("port", "name") if patch and all(
            isinstance(item, dict) and key in item for item in patch + target)), None)
        return patch if key is None else _by_key(target, patch, key)
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if name.startswith("$"):
            continue
        if value is None:
            result.pop(name, None)
        else:
            result[name] = strategic(result.get(name), value)
    return result


def _by_key(target: list, patch: list, key: str) -> list:
    result = {item[key]: item for item in target}
    for item in patch:
        if item.get("$patch") == "delete":
            result.pop(item[key], None)
        else:
            result[item[key]] = strategic(result.get(item[key], {}), item)
    return list(result.values())


def json_patch(target, operations):
    """RFC 6902: add, remove, replace, test."""
    for operation in operations:
        *way, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
        try:
            place = target
            for part in way:
                place = place[int(part)] if isinstance(place, list) else place[part]
            if isinstance(place, list):
                last = len(place) if last == "-" else int(last)
            _apply(operation, place, last)
        except (KeyError, IndexError, ValueError, TypeError) as error:
            raise Unprocessable("the server rejected our request due to an error in our request") from error
    return target


def _apply(operation, place, last) -> None:
    verb = operation["op"]
    if verb == "test":
        if place[last] != operation["value"]:
            raise ValueError("test failed")
    elif verb == "remove":
        del place[last]
    elif verb == "add" and isinstance(place, list):
        place.insert(last, operation["value"])
    else:
        if verb == "replace":
            place[last]  # pylint: disable=pointless-statement  # an error if it is not there
        place[last] = operation["value"]
