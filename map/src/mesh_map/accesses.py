"""Derives the accesses of a map from relations, policies and calls."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from mesh_map.model import Access, Call, Map, Name, Policy, Relation, Snapshot, State

_Pair = tuple[Name, Name]
_MOST = 20
"""The number of observed requests that an access has; a page lists the last calls as well."""
_UNRELATED = (State.ALLOWED, State.OPEN, State.DENIED)
"""The states in which a pair has denied calls of its own; in others they belong to the state."""


def derive(snapshot: Snapshot, calls: Sequence[Call] = ()) -> Map:
    """Return the map of a snapshot, with the calls that were made.

    Args:
        snapshot: the state of the models.
        calls: the last call of each kind.
    """
    related = [*_allowed(snapshot), *_not_allowed(snapshot)]
    accesses = [*related, *_from_calls(snapshot, related, calls)]
    known = snapshot.applications
    shown = [each for each in accesses if each.source in known and each.target in known]
    shown.sort(key=lambda each: (each.source, each.target, each.state.value, each.relations))
    return Map(snapshot.models, tuple(shown))


def find(accesses: Iterable[Access], call: Call) -> Access | None:
    """Return the access to which a call belongs."""
    pair = [each for each in accesses if (each.source, each.target) == (call.source, call.target)]
    denying = [each for each in pair if each.state not in (State.ALLOWED, State.OPEN)]
    if call.is_denied:
        return next(iter(denying), None)
    allowing = [each for each in pair if each not in denying]
    exact = (each for each in allowing if call.request in each.requests)
    return next(exact, next(iter(allowing), None))


def by_access(accesses: Iterable[Access], calls: Iterable[Call]) -> dict[str, list[Call]]:
    """Return the calls that belong to each access, by its key, in their order."""
    accesses, found = list(accesses), defaultdict[str, list[Call]](list)
    for call in calls:
        if access := find(accesses, call):
            found[access.key].append(call)
    return found


def _allowed(snapshot: Snapshot) -> Iterator[Access]:
    """Yield an access for each relation that has policies in force."""
    for pair, policies in _by_pair(p for p in snapshot.policies if not p.refusal).items():
        between = _relations_of(snapshot, pair)
        by_relations: dict[tuple[Relation, ...], list[Policy]] = defaultdict(list)
        for policy in policies:
            by_relations[_granting(policy, between)].append(policy)
        for relations, granted in by_relations.items():
            yield _granted(snapshot, pair, relations, granted)


def _granted(
    snapshot: Snapshot, pair: _Pair, relations: Sequence[Relation], policies: Sequence[Policy]
) -> Access:
    """Return the access that policies grant, unless one of its ends is off the mesh."""
    source, target = pair
    names = tuple(_endpoint(relation, target) for relation in relations)
    requests = tuple(dict.fromkeys(map(str, policies)))
    details = tuple(f"{source} may call {each} of {target.app}" for each in requests)
    if reason := _off_mesh(snapshot, target):
        state, command = State.OPEN, ""
    elif reason := _off_mesh(snapshot, source):
        state, command = State.RELATED, _join(snapshot, source)
    else:
        state, command, reason = State.ALLOWED, _remove(relations), _by(names)
    key = _key("relation", *pair, *names)
    return Access(key, source, target, state, names, requests, reason, details, command)


def _not_allowed(snapshot: Snapshot) -> Iterator[Access]:
    """Yield an access for each pair of applications whose relations allow no call."""
    in_force = {(p.source, p.target) for p in snapshot.policies if not p.refusal}
    pairs: dict[_Pair, list[Relation]] = defaultdict(list)
    for relation in snapshot.relations:
        pair = relation.requirer, relation.provider
        if not in_force & {pair, pair[::-1]}:
            pairs[pair].append(relation)
    for (source, target), relations in pairs.items():
        state, reason, command = _obstacle(snapshot, relations[0])
        names = tuple(relation.provider_endpoint for relation in relations)
        details = tuple(
            p.refusal for p in snapshot.policies if (p.source, p.target) == (source, target)
        )
        key = _key("pair", source, target)
        yield Access(key, source, target, state, names, (), reason, details, command)


def _obstacle(snapshot: Snapshot, relation: Relation) -> tuple[State, str, str]:
    """Return the state of a relation without a policy, the reason, and the command that helps."""
    source, target = relation.requirer, relation.provider
    if reason := _off_mesh(snapshot, target):
        return State.OPEN, reason, ""
    if reason := _off_mesh(snapshot, source):
        return State.RELATED, reason, _join(snapshot, source)
    if source.model == target.model:
        return State.RELATED, f"{target.app} has no policy for {source.app}", ""
    if (source, target) in snapshot.identities or not relation.identity_endpoint:
        return State.WAITING, f"{target.app} does not know its identity yet", ""
    endpoint = f"{relation.remote}:{relation.identity_endpoint}"
    command = f"juju integrate -m {source.model} {source.app} {endpoint}"
    return State.WAITING, f"{target.app} does not know its identity", command


def _from_calls(
    snapshot: Snapshot, related: Sequence[Access], calls: Sequence[Call]
) -> Iterator[Access]:
    """Yield an access for each pair whose calls no relation and no policy explains."""
    states: dict[_Pair, set[State]] = defaultdict(set)
    for access in related:
        states[access.source, access.target].add(access.state)
    pairs: dict[tuple[_Pair, bool], list[Call]] = defaultdict(list)
    for call in calls:
        pairs[(call.source, call.target), call.is_denied].append(call)
    for (pair, is_denied), made in pairs.items():
        if is_denied and states[pair].issubset(_UNRELATED):
            yield _denied(snapshot, pair, made, is_related=bool(states[pair]))
        elif not is_denied and not states[pair]:
            yield _open(snapshot, pair, made)


def _denied(snapshot: Snapshot, pair: _Pair, calls: Sequence[Call], is_related: bool) -> Access:
    requests = _requests(calls)
    reasons = dict.fromkeys(f"{call.request}: {call.reason}" for call in calls if call.reason)
    reason = "no policy allows it" if is_related else "no relation allows it"
    command = "" if is_related else _relate(snapshot, pair, calls)
    key = _key("denied", *pair)
    return Access(key, *pair, State.DENIED, (), requests, reason, tuple(reasons)[:_MOST], command)


def _open(snapshot: Snapshot, pair: _Pair, calls: Sequence[Call]) -> Access:
    requests = _requests(calls)
    reason = _off_mesh(snapshot, pair[1]) or "no policy restricts it"
    return Access(_key("open", *pair), *pair, State.OPEN, (), requests, reason)


def _requests(calls: Sequence[Call]) -> tuple[str, ...]:
    """Return the first requests of calls; the paths of an application may have no end."""
    return tuple(dict.fromkeys(call.request for call in calls))[:_MOST]


def _relate(snapshot: Snapshot, pair: _Pair, calls: Sequence[Call]) -> str:
    """Return the command by which a relation would allow one of the calls.

    The relation of another application with the same charm shows which endpoints fit.
    """
    source, target = pair
    apps = snapshot.applications
    for policy in snapshot.policies:
        if policy.target != target or not any(map(policy.allows, calls)):
            continue
        for relation in _granting(policy, _relations_of(snapshot, (policy.source, target))):
            model = relation.requirer.model
            fits = {apps[n].charm for n in (source, relation.requirer) if n in apps}
            if relation.provider == target and model == source.model and len(fits) == 1:
                theirs, own = relation.endpoints[0], relation.requirer_endpoint
                return f"juju integrate -m {model} {theirs} {source.app}:{own}"
    return ""


def _granting(policy: Policy, relations: Sequence[Relation]) -> tuple[Relation, ...]:
    """Return the relations that grant a policy: those whose data names its port, if some do.

    A mesh does not say over which relation a policy was requested.
    """
    named = [relation for relation in relations if relation.ports & policy.ports]
    return tuple(named or relations)


def _relations_of(snapshot: Snapshot, pair: _Pair) -> list[Relation]:
    pairs = (pair, pair[::-1])
    return [each for each in snapshot.relations if (each.requirer, each.provider) in pairs]


def _endpoint(relation: Relation, target: Name) -> str:
    """Return the endpoint of the application that is called."""
    is_provider = relation.provider == target
    return relation.provider_endpoint if is_provider else relation.requirer_endpoint


def _off_mesh(snapshot: Snapshot, name: Name) -> str:
    """Return the reason why the mesh does not know an application; empty if it does."""
    app = snapshot.applications.get(name)
    return "" if app is None or app.on_mesh else f"{name.app} is off the mesh"


def _by(relations: Sequence[str]) -> str:
    return f"by relation {' or '.join(relations)}" if relations else "by a policy"


def _remove(relations: Sequence[Relation]) -> str:
    if len(relations) != 1:
        return ""
    return (
        f"juju remove-relation -m {relations[0].requirer.model} {' '.join(relations[0].endpoints)}"
    )


def _join(snapshot: Snapshot, name: Name) -> str:
    """Return the command that puts an application on the mesh of its model."""
    meshes = [
        mesh for model in snapshot.models if model.name == name.model for mesh in model.meshes
    ]
    return f"juju integrate -m {name.model} {name.app} {meshes[0].name.app}" if meshes else ""


def _by_pair(policies: Iterable[Policy]) -> Mapping[_Pair, list[Policy]]:
    pairs: dict[_Pair, list[Policy]] = defaultdict(list)
    for policy in policies:
        pairs[policy.source, policy.target].append(policy)
    return pairs


def _key(*parts: object) -> str:
    """Return a key that is safe in every document, also if the names are not."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
