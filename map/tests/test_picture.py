"""The picture of a map: its nodes, edges and words, wherever they come from."""

import re
from collections.abc import Iterator
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from mesh_map.accesses import derive
from mesh_map.drawing import picture
from mesh_map.model import Map, Name, Policy, Relation, Snapshot
from tests.example import MODELS, SNAPSHOT, application, example, model

HOSTILE = '"><script>alert(1)</script>&\x00'


def parsed(text: str) -> ET.Element:
    """Parse a picture, without its namespace."""
    return ET.fromstring(text.replace(' xmlns="http://www.w3.org/2000/svg"', ""))  # noqa: S314 - our own


def words(group: ET.Element) -> str:
    return " ".join(filter(None, (text.text for text in group.iter("text"))))


def groups(root: ET.Element, name: str) -> list[ET.Element]:
    """Return the groups with a class."""
    return [each for each in root.iter("g") if name in each.get("class", "").split()]


def rectangles(root: ET.Element) -> Iterator[tuple[float, float, float, float]]:
    """Yield the edges of each box: left, top, right, bottom."""
    for each in root.iter("rect"):
        if each.get("class") == "box":
            x, y, width, height = (float(each.get(n, 0)) for n in ("x", "y", "width", "height"))
            yield x, y, x + width, y + height


@pytest.mark.parametrize("narrow", [False, True])
def test_every_application_is_a_node(narrow: bool):
    found = groups(parsed(picture.draw(example(), narrow=narrow)), "application")

    assert {each.get("data-app") for each in found} == {
        "demo/outsider",
        "demo/producer",
        "demo/scraper",
        "demo-remote/scraper",
    }
    assert all("on the mesh" in words(each) for each in found)


def test_every_access_says_its_state_and_reason():
    root = parsed(picture.draw(example()))

    found = sorted(words(each) for each in groups(root, "access") if each.get("role"))

    assert found == [
        "allowed by relation data GET :8080 /data",
        "allowed by relation metrics GET :9090 /metrics :9090 on units",
        "denied: no policy allows it POST :8080 /data GET :8080 /admin",
        "denied: no relation allows it GET :8080 /data",
        "waiting: producer does not know its identity relation data relation metrics",
    ]


def test_only_an_allowed_edge_ends_in_an_arrow():
    for edge in groups(parsed(picture.draw(example())), "access"):
        if not edge.get("role"):
            is_allowed = "allowed" in edge.get("class", "").split()
            assert (edge.find("polygon") is not None) is is_allowed


def test_each_access_leads_from_its_caller_to_its_target():
    found = groups(parsed(picture.draw(example())), "access")

    assert {(each.get("data-from"), each.get("data-to")) for each in found} == {
        ("demo/outsider", "demo/producer"),
        ("demo/scraper", "demo/producer"),
        ("demo-remote/scraper", "demo/producer"),
    }


def test_trouble_is_written_in_the_application():
    blocked = application(Name("demo", "app"), on_mesh=False, status="blocked", message="no trust")
    drawn = Map((model("demo", blocked),), ())

    (node,) = groups(parsed(picture.draw(drawn)), "application")

    assert words(node) == "app off the mesh, 1 unit blocked: no trust"


def test_a_picture_is_the_same_each_time():
    assert picture.draw_file(example()) == picture.draw_file(example())


def test_an_empty_map_is_a_picture():
    assert parsed(picture.draw_file(Map((), ()))).tag == "svg"


def test_a_file_has_colours_for_light_and_dark_screens():
    assert "prefers-color-scheme: dark" in picture.draw_file(example())


def test_names_cannot_add_elements():
    name = Name("demo", HOSTILE)
    drawn = Map((model(HOSTILE, application(name, status="blocked", message=HOSTILE)),), ())

    root = parsed(picture.draw_file(drawn))

    assert list(root.iter("script")) == []
    assert {each.get("data-app") for each in groups(root, "application")} == {
        f"demo/{HOSTILE[:-1]}\N{REPLACEMENT CHARACTER}"
    }


def many(count: int) -> Map:
    """Return a map of many applications in four models, which call in chains and across models."""
    models = [f"team-{number}" for number in range(4)]
    names = [Name(models[n % 4], f"app-{n}") for n in range(count)]
    pairs = [(names[n], names[(n * 7 + 4) % count]) for n in range(count)]
    pairs = [pair for pair in pairs if pair[0] != pair[1]]
    relations = tuple(Relation(a, "use", b, "api", b.app, "http") for a, b in pairs)
    policies = tuple(Policy(a, b, "GET :80 /") for a, b in pairs[::2])
    found = tuple(
        model(name, *(application(each) for each in names if each.model == name)) for name in models
    )
    return derive(Snapshot(found, relations, frozenset(), policies))


@pytest.mark.parametrize("count", [4, 24, 100])
@pytest.mark.parametrize("narrow", [False, True])
def test_boxes_do_not_overlap(count: int, narrow: bool):
    found = sorted(rectangles(parsed(picture.draw(many(count), narrow=narrow))))

    assert len(found) > count
    for number, (_, top, right, bottom) in enumerate(found):
        for other in found[number + 1 :]:
            beside, above, below = other[0] >= right, other[3] <= top, other[1] >= bottom
            assert beside or above or below


def test_an_application_that_calls_itself_has_an_edge():
    name = Name("demo", "ring")
    policies = (Policy(name, name, "GET :80 /"),)
    drawn = derive(Snapshot((model("demo", application(name)),), (), frozenset(), policies))

    assert len(groups(parsed(picture.draw(drawn)), "access")) == 2


def test_calls_in_both_directions_have_an_edge_each():
    one, two = Name("demo", "one"), Name("demo", "two")
    policies = (Policy(one, two, "GET :80 /"), Policy(two, one, "GET :81 /"))
    apps = model("demo", application(one), application(two))
    root = parsed(picture.draw(derive(Snapshot((apps,), (), frozenset(), policies))))

    tips = [float(re.split("[ ,]", each.get("points", ""))[0]) for each in root.iter("polygon")]

    assert len(tips) == 2
    assert tips[0] != tips[1]


def test_limits_of_the_enforcement_are_written_in_the_model():
    limited = replace(MODELS[0], note="methods and paths are not enforced")
    root = parsed(picture.draw(derive(replace(SNAPSHOT, models=(limited, MODELS[1])))))

    assert "methods and paths are not enforced" in words(root)
