"""What a service account may do, by the roles that are bound to it.

https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from typing import NamedTuple

from objects import Objects


class Request(NamedTuple):
    """What an authorizer is asked. Of a create the name is not known; a list or watch of one name has it."""
    verb: str
    resource: str   # plural, with the group behind a dot
    namespace: str  # empty: the whole cluster
    name: str


class Right(NamedTuple):
    """The smallest piece of a role: one verb on one resource."""
    verb: str
    resource: str
    namespace: str  # empty: all of them
    name: str       # empty: any

    def allows(self, request: Request) -> bool:
        return ((self.verb, self.resource) == (request.verb, request.resource)
                and self.namespace in ("", request.namespace) and self.name in ("", request.name))


def rights_of(objects: Objects, account: str) -> set[Right]:
    """Of a service account, "NAMESPACE/NAME"."""
    found: set[Right] = set()
    for binding in objects.values():
        if not binding["kind"].endswith("RoleBinding"):
            continue
        subjects = {f"{subject['namespace']}/{subject['name']}" for subject in binding["subjects"]
                    if subject["kind"] == "ServiceAccount"}
        if account not in subjects:
            continue
        namespace = binding["metadata"].get("namespace", "")
        of = binding["roleRef"]
        role = objects[f"{of['kind']} {namespace if of['kind'] == 'Role' else ''}/{of['name']}"]
        for rule in role["rules"]:
            found |= {Right(verb, f"{resource}.{group}" if group else resource, namespace, name)
                      for group in rule["apiGroups"] for resource in rule["resources"] for verb in rule["verbs"]
                      for name in rule.get("resourceNames", [""])}
    return found
