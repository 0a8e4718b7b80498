"""Authorization by the Roles and bindings in the store, as Kubernetes evaluates them.

Source: https://kubernetes.io/docs/reference/access-authn-authz/rbac/
"""

from collections.abc import Iterator

from rehearsal.kubernetes.resources import Target
from rehearsal.kubernetes.store import Object, Store

ADMIN = "admin"
"""The user with all rights, as a member of `system:masters`."""


def allowed(store: Store, user: str, verb: str, target: Target) -> bool:
    """Return whether a user may use a verb on a target."""
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
    return subject["name"] in (_groups(user) if subject["kind"] == "Group" else (user,))


def _groups(user: str) -> tuple[str, ...]:
    """Return the groups of a user. Only service accounts have more than the group of all users."""
    everybody, accounts = "system:authenticated", "system:serviceaccounts"
    account = user.startswith("system:serviceaccount:")
    return (everybody, accounts, f"{accounts}:{user.split(':')[2]}") if account else (everybody,)


def impersonated(user: str) -> Target:
    """Return the target on which a client needs the verb `impersonate` to act as a user."""
    if user.startswith("system:serviceaccount:") and user.count(":") == 3:
        namespace, name = user.split(":")[2:]
        return Target("", "v1", "serviceaccounts", namespace, name)
    return Target("", "v1", "users", None, user)


def _grants(rule: Object, verb: str, target: Target) -> bool:
    resources = {"*", target.resource}
    if target.subresource:
        resources.add(f"*/{target.subresource}")
    names = rule.get("resourceNames")
    return (
        not {"*", verb}.isdisjoint(rule["verbs"])
        and not {"*", target.group}.isdisjoint(rule.get("apiGroups", ()))
        and not resources.isdisjoint(rule.get("resources", ()))
        and (not names or (target.name or target.selected) in names)
    )
