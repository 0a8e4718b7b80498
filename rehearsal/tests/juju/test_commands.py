"""`juju` as it is typed: its effect on a model, its output, and its exit status."""

import json
import shutil
from typing import Any

import jubilant
import lightkube
import pytest
from lightkube.models.core_v1 import Container, PodSpec
from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.apps_v1 import StatefulSet
from lightkube.resources.core_v1 import Pod

from rehearsal.rehearsal import Rehearsal
from tests.juju.conftest import Typist


def is_active(*units: str):
    """Return a check of status in JSON: whether these units are active and idle."""

    def check(output: str) -> bool:
        apps: dict[str, Any] = json.loads(output)["applications"]
        found = {n: u for app in apps.values() for n, u in app.get("units", {}).items()}
        return all(
            unit in found
            and found[unit]["workload-status"]["current"] == "active"
            and found[unit]["juju-status"]["current"] == "idle"
            for unit in units
        )

    return check


STATUS = "status --format json"


def test_a_charm_is_deployed_and_becomes_active(juju: Typist):
    done = juju("deploy ./small web --config port=8080")

    assert done.returncode == 0
    assert done.stderr.splitlines()[0] == 'Located local charm "small", revision 0'
    status = json.loads(juju.until(STATUS, is_active("web/0")))
    assert status["applications"]["web"]["charm"] == "local:small-0"
    assert status["applications"]["web"]["units"]["web/0"]["leader"] is True
    assert status["applications"]["web"]["application-status"]["message"] == "port 8080"


def test_status_is_the_table_that_people_know(juju: Typist):
    juju("deploy ./small web")
    juju.until(STATUS, is_active("web/0"))

    lines = juju("status").stdout.splitlines()

    assert lines[0].endswith("  Controller  Cloud/Region   Version  SLA          Timestamp")
    assert lines[3].startswith("App  Version  Status  Scale  Charm  Channel  Rev  Address")
    assert lines[6].startswith("Unit    Workload  Agent  Address")
    assert lines[7].startswith("web/0*  active    idle")


def test_an_empty_model_says_so_beside_its_table(juju: Typist):
    done = juju("status")

    assert done.stdout.startswith("Model ")
    assert done.stderr.endswith(" is empty.\n")


def test_relation_data_arrives(juju: Typist):
    juju("deploy ./small web")
    juju("deploy ./small db")

    assert juju("integrate web:db db:server").returncode == 0

    juju.until(STATUS, lambda output: '"message":"secret"' in output)
    shown = json.loads(juju("show-unit web/0 --format json").stdout)["web/0"]
    [relation] = [r for r in shown["relation-info"] if r["endpoint"] == "db"]
    assert relation["application-data"] == {"password": "secret"}
    assert list(relation["related-units"]) == ["db/0"]


def test_a_relation_is_made_once(juju: Typist):
    juju("deploy ./small web")
    juju("deploy ./small db")
    juju("integrate web:db db:server")

    done = juju("integrate web:db db:server")

    assert done.returncode == 1
    assert done.stderr.startswith('ERROR cannot add relation "web:db db:server"')
    assert "already exists" in done.stderr


def test_a_removed_relation_can_be_made_again(juju: Typist):
    juju("deploy ./small web")
    juju("deploy ./small db")
    juju("integrate web:db db:server")
    juju.until(STATUS, lambda output: '"message":"secret"' in output)

    assert juju("remove-relation web db").returncode == 0

    juju.until("status --relations", lambda output: "web:db" not in output)
    assert juju("integrate web:db db:server").returncode == 0


def test_a_hook_that_raises_is_an_error_until_it_is_put_right(juju: Typist):
    juju("deploy ./small web --config fail=true")
    juju.until("status", lambda output: 'hook failed: "config-changed"' in output)

    assert "told to fail" in juju("debug-log --replay").stdout
    juju("config web fail=false")

    juju.until(STATUS, is_active("web/0"))


def test_scale_goes_up_and_down_by_the_highest_number(juju: Typist):
    juju("deploy ./small web")
    up = juju("scale-application web 3")
    juju.until(STATUS, is_active("web/0", "web/1", "web/2"))

    down = juju("remove-unit web --num-units 2")

    assert (up.stderr, down.stderr) == ("web scaled to 3 units\n", "scaling down to 1 units\n")
    juju.until("status", lambda output: "web/0*" in output and "web/1" not in output)


def test_a_new_revision_of_the_charm_goes_to_every_unit(juju: Typist):
    juju("deploy ./small web --num-units 2")
    juju.until(STATUS, is_active("web/0", "web/1"))
    newer = juju.folder / "newer"
    shutil.copytree(juju.folder / "small", newer)
    charm = newer / "src" / "charm.py"
    charm.write_text(charm.read_text().replace('f"port {', 'f"new port {'))

    done = juju("refresh web --path ./newer")

    assert done.stderr == 'Added local charm "small", revision 1, to the model\n'
    output = juju.until(STATUS, lambda output: output.count('"message":"new port 80"') == 3)
    assert json.loads(output)["applications"]["web"]["charm-rev"] == 1


def test_a_unit_in_error_is_resolved_without_its_hook(juju: Typist):
    juju("deploy ./small web --config fail=true")
    juju.until("status", lambda output: 'hook failed: "config-changed"' in output)

    assert juju("resolved web/0 --no-retry").returncode == 0

    juju.until("status", lambda output: "hook failed" not in output)
    assert juju("resolved web/0").stderr == 'ERROR unit "web/0" is not in an error state\n'


def test_a_unit_in_error_that_is_resolved_runs_its_hook_again(juju: Typist):
    juju("deploy ./small web --config fail=true")
    juju.until("status", lambda output: 'hook failed: "config-changed"' in output)
    failures = juju("debug-log --replay").stdout.count("told to fail")

    assert juju("resolved web/0").returncode == 0

    juju.until("debug-log --replay", lambda output: output.count("told to fail") > failures)


def test_status_shows_what_is_asked_for(juju: Typist):
    juju("deploy ./small web")
    juju("deploy ./small db")

    web, nothing = juju("status web"), juju("status nope")

    assert "web/0" in web.stdout
    assert "db/0" not in web.stdout
    assert nothing.stderr == "Nothing matched specified filter.\n"


def test_a_relation_that_is_one_of_several_is_not_guessed(juju: Typist):
    juju("deploy ./small web")
    juju("deploy ./small db")
    juju("integrate web:db db:server")
    juju("integrate db:db web:server")

    done = juju("remove-relation web db")

    assert done.stderr == (
        'ERROR ambiguous relation: "web db" could refer to "db:db web:server"; "web:db db:server"\n'
    )
    assert juju("remove-relation web:db db:server").returncode == 0


def test_a_charm_that_cannot_be_read_is_named(juju: Typist):
    broken = juju.folder / "broken"
    broken.mkdir(exist_ok=True)
    (broken / "charmcraft.yaml").write_text("name: broken\nprovides")

    done = juju("deploy ./broken")

    assert done.returncode == 1
    assert done.stderr.startswith(f"ERROR cannot read {broken / 'charmcraft.yaml'}: ")


def test_units_removed_and_added_at_once_exist_in_the_end(juju: Typist):
    juju("deploy ./small web --num-units 2")
    juju.until(STATUS, is_active("web/0", "web/1"))

    juju("scale-application web 0")
    juju("scale-application web 2")

    juju.until(STATUS, is_active("web/0", "web/1"))


def test_a_relation_made_and_removed_at_once_is_gone_in_the_end(juju: Typist):
    juju("deploy ./small web")
    juju("deploy ./small db")
    juju.until(STATUS, is_active("web/0", "db/0"))

    for _ in range(4):
        juju("integrate web:db db:server")
        juju("remove-relation web:db db:server")
        juju.until("status --relations", lambda output: "web:db" not in output)

    juju("integrate web:db db:server")
    juju.until(STATUS, lambda output: '"message":"secret"' in output)


@pytest.mark.parametrize("gone", [[Pod], [StatefulSet, Pod]])
def test_a_pod_that_somebody_deleted_is_replaced(
    juju: Typist, rehearsal: Rehearsal, gone: list[type[Pod | StatefulSet]]
):
    juju("deploy ./small web")
    before = json.loads(juju.until(STATUS, is_active("web/0")))
    model = before["model"]["name"]
    config = lightkube.KubeConfig.from_file(rehearsal.directory / "kubeconfig")

    with lightkube.Client(config) as client:
        for kind in gone:
            client.delete(kind, "web-0" if kind is Pod else "web", namespace=model)

    def is_replaced(output: str) -> bool:
        after = json.loads(output)
        units = [d["applications"]["web"]["units"]["web/0"] for d in (before, after)]
        return units[0]["address"] != units[1]["address"] and is_active("web/0")(output)

    juju.until(STATUS, is_replaced)


def test_a_pod_that_is_nobodys_comes_and_goes(juju: Typist, rehearsal: Rehearsal):
    juju("deploy ./small web")
    model = json.loads(juju.until(STATUS, is_active("web/0")))["model"]["name"]
    config = lightkube.KubeConfig.from_file(rehearsal.directory / "kubeconfig")
    spec = PodSpec(containers=[Container(name="main", image="any")])
    pod = Pod(metadata=ObjectMeta(name="guest", namespace=model), spec=spec)

    with lightkube.Client(config) as client:
        client.create(pod)
        client.delete(Pod, "guest", namespace=model)

    juju("config web port=81")
    juju.until("status", lambda output: "port 81" in output)


def test_a_charm_whose_process_died_runs_again(juju: Typist):
    juju("deploy ./small web --config mode=die")
    juju("deploy ./small bystander")
    juju.until("status", lambda output: 'hook failed: "config-changed"' in output)

    juju("config web --reset mode")
    juju("resolved web/0")

    juju.until(STATUS, is_active("web/0", "bystander/0"))


def test_a_unit_in_error_still_runs_actions(juju: Typist):
    juju("deploy ./small web --config fail=true")
    juju.until("status", lambda output: 'hook failed: "config-changed"' in output)

    done = juju("run web/0 greet name=you times=3 --wait=4s")

    assert "hello you" in done.stdout
    assert "hook failed" in juju("status").stdout


def test_two_charms_in_folders_of_one_name_are_two(juju: Typist):
    for name in ("one", "two"):
        folder = juju.folder / name / "charm"
        shutil.copytree(juju.folder / "small", folder)
        text = (folder / "charmcraft.yaml").read_text()
        (folder / "charmcraft.yaml").write_text(text.replace("name: small", f"name: {name}"))

    assert juju("deploy ./one/charm").returncode == 0
    assert juju("deploy ./two/charm").returncode == 0

    juju.until(STATUS, is_active("one/0", "two/0"))


def test_a_model_is_shown_as_jubilant_reads_it(juju: Typist):
    shown = jubilant.Juju(cli_binary=str(juju.program)).show_model()

    assert (shown.name, shown.controller_name) == (f"admin/{shown.short_name}", "rehearsal")
    assert shown.short_name in juju("models").stdout


def test_config_is_read_and_set(juju: Typist):
    juju("deploy ./small web")

    assert juju("config web port").stdout == "80\n"
    assert juju("config web port=81").returncode == 0
    assert juju("config web port").stdout == "81\n"
    assert juju("config web --reset port").returncode == 0
    assert juju("config web port").stdout == "80\n"


def test_an_action_answers_in_both_forms(juju: Typist):
    juju("deploy ./small web")
    juju.until(STATUS, is_active("web/0"))

    plain = juju("run web/0 greet name=you")
    task = json.loads(juju("run web/leader greet name=you --format json").stdout)["web/0"]

    assert plain.stdout == "message: hello you\nby:\n  unit: web/0\n"
    assert "Running operation 1 with 1 task" in plain.stderr
    assert task["status"] == "completed"
    assert task["results"] == {"message": "hello you", "by": {"unit": "web/0"}, "return-code": 0}
    assert task["log"][0].endswith("about to greet")


def test_an_action_that_gives_up_has_failed(juju: Typist):
    juju("deploy ./small web")
    juju.until(STATUS, is_active("web/0"))

    done = juju("run web/0 give-up --format json")

    assert done.returncode == 0
    assert json.loads(done.stdout)["web/0"]["status"] == "failed"
    assert json.loads(done.stdout)["web/0"]["message"] == "no more"


def test_an_action_that_raises_leaves_the_unit_alone(juju: Typist):
    juju("deploy ./small web")
    juju.until(STATUS, is_active("web/0"))

    done = juju("run web/0 crash --format json")

    assert done.returncode == 1
    assert "task failed" in done.stderr
    assert json.loads(done.stdout)["web/0"]["results"]["return-code"] == 1
    assert is_active("web/0")(juju(STATUS).stdout)


def test_a_unit_in_error_is_removed_by_force_alone(juju: Typist):
    juju("deploy ./small web --config fail=true")
    juju.until("status", lambda output: 'hook failed: "config-changed"' in output)

    juju("remove-application web --no-prompt")
    assert "web/0*" in juju("status").stdout

    juju("remove-application web --no-prompt --force")
    juju.until(STATUS, lambda output: json.loads(output)["applications"] == {})


def test_an_application_is_removed_with_its_units_and_relations(juju: Typist):
    juju("deploy ./small web")
    juju("deploy ./small db")
    juju("integrate web:db db:server")
    juju.until(STATUS, lambda output: '"message":"secret"' in output)

    done = juju("remove-application web --no-prompt")

    assert done.stdout == "will remove application web\n- will remove unit web/0\n"
    juju.until(STATUS, lambda output: list(json.loads(output)["applications"]) == ["db"])


@pytest.mark.parametrize(
    ("line", "status", "message"),
    [
        ("stauts", 1, 'ERROR juju: "stauts" is not a juju command. See "juju --help".'),
        ("statsu", 1, "Did you mean:\n\tstatus"),
        ("integrate web admin/nope.db", 1, 'ERROR model "admin/nope" not found'),
        ("status --what", 2, "ERROR option provided but not defined: --what"),
        ("status --format xml", 2, 'ERROR invalid value "xml" for option --format'),
        ("status -m nope", 1, "ERROR model rehearsal:admin/nope not found"),
        ("deploy", 2, "ERROR no charm or bundle specified"),
        ("deploy ./nope.charm", 1, 'ERROR no charm was found at "./nope.charm"'),
        ("deploy nginx", 1, 'ERROR "nginx" is from Charmhub, which is not rehearsed'),
        ("deploy ./small Web", 2, 'ERROR invalid application name "Web"'),
        ("deploy ./small web --config nope=1", 1, 'ERROR unknown option "nope"'),
        ("deploy ./small web --config port=x", 1, 'ERROR option "port" expected int, got "x"'),
        ("integrate web", 2, "ERROR an integration must involve two applications"),
        ("integrate web db", 1, 'ERROR application "web" not found (not found)'),
        ("remove-application web --no-prompt", 1, "ERROR removing application web failed"),
        ("config nope port=1", 1, 'ERROR application "nope" not found'),
        ("trust web", 1, "ERROR 'juju trust' currently grants full access"),
        ("deploy ./small --num-units x", 2, 'ERROR invalid value "x" for option --num-units'),
        ("deploy ./noname", 1, "ERROR attempting to deploy"),
        ("add-model A_b", 2, 'ERROR "A_b" is not a valid name'),
        ("run web/0 greet --wait=abc", 2, 'ERROR invalid value "abc" for option --wait'),
        ("run web/0 greet name={", 2, 'ERROR argument "name={" cannot be read'),
        ("scale-application web x", 2, 'ERROR invalid scale "x"'),
        ("run Web greet", 2, 'ERROR invalid unit or action name "Web"'),
        ("run web/0 greet", 0, "Operation 1 failed to schedule any tasks:"),
        ("switch nope", 1, 'ERROR "nope" is not the name of a model or controller'),
        ("show-unit web", 2, "ERROR unit name web not valid"),
        ("offer web", 1, "ERROR endpoints must conform to format"),
    ],
)
def test_what_is_wrong_is_said_in_jujus_words(juju: Typist, line: str, status: int, message: str):
    done = juju(line)

    assert done.returncode == status
    assert message in done.stderr


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ("", '(root) : "name" property is missing and required'),
        ("name=5", "(root).name : must be of type string, given 5"),
        ("name=x other=y", 'additional property "other" is not allowed'),
        ("name=x times=0", "(root).times : must be greater than or equal to 1, given 0"),
        ("name=x times=4", "(root).times : must be less than or equal to 3, given 4"),
    ],
)
def test_parameters_of_an_action_are_checked(juju: Typist, parameters: str, message: str):
    juju("deploy ./small web")

    done = juju(f"run web/0 greet {parameters}")

    assert (done.returncode, done.stdout) == (0, "")
    assert message in done.stderr


def test_a_bundle_is_deployed_and_deployed_again_changes_nothing(juju: Typist):
    (juju.folder / "bundle.yaml").write_text(
        """
bundle: kubernetes
applications:
  web: {charm: ./small, scale: 1}
  db: {charm: ./small, scale: 2}
relations: [[web:db, db:server]]
"""
    )

    first, second = juju("deploy ./bundle.yaml"), juju("deploy ./bundle.yaml")

    assert first.stdout.splitlines() == [
        "Executing changes:",
        "- upload charm ./small with architecture=amd64",
        "- deploy application db with 2 units",
        "- deploy application web with 1 unit",
        "- add relation web:db - db:server",
    ]
    assert first.stderr == "Deploy of bundle completed.\n"
    assert (second.stdout, second.stderr) == ("", "No changes to apply.\n")
    juju.until(STATUS, is_active("web/0", "db/0", "db/1"))


def test_a_bundle_deployed_again_sets_what_has_changed(juju: Typist):
    bundle = (
        "bundle: kubernetes\napplications: {web: {charm: ./small, options: {port: PORT}, scale: 1}}"
    )
    path = juju.folder / "changed.yaml"
    path.write_text(bundle.replace("PORT", "80"))
    juju("deploy ./changed.yaml")
    path.write_text(bundle.replace("PORT", "81"))

    done = juju("deploy ./changed.yaml")

    assert done.stdout.splitlines() == ["Executing changes:", "- set application options for web"]
    assert juju("config web port").stdout == "81\n"


@pytest.mark.parametrize(
    "text",
    [
        "[1]",
        "applications: [web]",
        "applications: {web: small}",
        "applications: {web: {charm: 5}}",
        "applications: {web: {charm: ./small, scale: 1.5}}",
        "applications: {web: {charm: ./small, options: [1]}}",
        "applications: {web: {charm: ./small, offers: {o: }}}",
        "applications: {web: {charm: ./small}}\nrelations: [web]",
        "applications: {",
    ],
)
def test_a_bundle_that_cannot_be_read_says_where(juju: Typist, text: str):
    (juju.folder / "unreadable.yaml").write_text(text)

    done = juju("deploy ./unreadable.yaml")

    assert done.returncode == 1
    assert done.stderr.startswith("ERROR cannot deploy bundle: cannot unmarshal bundle contents: ")


def test_an_offer_of_an_endpoint_that_is_not_there_is_refused(juju: Typist):
    (juju.folder / "offering.yaml").write_text(
        "bundle: kubernetes\n"
        "applications: {web: {charm: ./small, scale: 1, offers: {o: {endpoints: [nope]}}}}"
    )

    done = juju("deploy ./offering.yaml")

    assert 'application "web" has no "nope" relation' in done.stderr
    assert juju("status").returncode == 0


def test_a_bundle_that_trusts_wants_it_said(juju: Typist):
    (juju.folder / "trusting.yaml").write_text(
        "bundle: kubernetes\napplications: {web: {charm: ./small, scale: 1, trust: true}}"
    )

    refused, deployed = juju("deploy ./trusting.yaml"), juju("deploy ./trusting.yaml --trust")

    assert refused.returncode == 1
    assert refused.stderr.endswith("trust the following application(s):\n  - web\n")
    assert deployed.returncode == 0


def test_a_relation_that_cannot_be_is_named_with_the_bundle(juju: Typist):
    (juju.folder / "unrelated.yaml").write_text(
        """
bundle: kubernetes
applications: {web: {charm: ./small, scale: 1}, db: {charm: ./small, scale: 1}}
relations: [[web:nope, db:server]]
"""
    )

    done = juju("deploy ./unrelated.yaml")

    assert done.returncode == 1
    assert done.stderr == (
        'ERROR cannot deploy bundle: cannot add relation between "web:nope" and "db:server": '
        'application "web" has no "nope" relation\n'
    )
