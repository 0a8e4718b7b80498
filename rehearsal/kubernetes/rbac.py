"""Who may do what, from the Roles and bindings in the store, as Kubernetes evaluates them.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from collections.abc import Iterator

from rehearsal.kubernetes.resources import Target
from rehearsal.kubernetes.store import Object, Store

ADMIN = "admin"
"""The user who may do all, as a member of `system:masters`."""


def allowed(store: Store, user: str, verb: str, target: Target) -> bool:
    """Tell whether the admin, or `system:serviceaccount:<namespace>:<name>`, may do something."""
    return user == ADMIN or any(
        _grants(rule, verb, target) for rule in _rules(store, user, target.scope)
    )


def _rules(store: Store, user: str, namespace: str | None) -> Iterator[Object]:
    bindings = store.list("ClusterRoleBinding")
    if namespace:
        bindings += store.list("RoleBinding", namespace)
    for binding in bindings:
        if any(_is(subject, user) for subject in binding.get("subjects") or ()):
            role = binding["roleRef"]
            where = namespace if role["kind"] == "Role" else None
            yield from (store.get(role["kind"], where, role["name"]) or {}).get("rules") or ()


def _is(subject: Object, user: str) -> bool:
    if subject["kind"] == "ServiceAccount":
        return user == f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
    every = "system:serviceaccounts"
    groups = ("system:authenticated", every, f"{every}:{user.split(':')[2]}")
    return subject["name"] in (groups if subject["kind"] == "Group" else (user,))


def _grants(rule: Object, verb: str, target: Target) -> bool:
    resources = {"*", target.resource}
    if target.subresource:
        resources.add(f"*/{target.subresource}")
    names = rule.get("resourceNames")
    return (
        not {"*", verb}.isdisjoint(rule["verbs"])
        and not {"*", target.group}.isdisjoint(rule.get("apiGroups", ()))
        and not resources.isdisjoint(rule.get("resources", ()))
        and (not names or target.name in names)
    )
