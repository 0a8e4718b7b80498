"""A check that goes down and comes up again is told to the charm, once each time."""

from tests.juju.conftest import Typist, write_charm

CHARMCRAFT = """
name: checked
type: charm
summary: has a check
containers:
  web: {}
actions:
  mend: {description: makes the check succeed}
"""

CHARM = """
import ops

LAYER = {"checks": {"well": {
    "override": "replace", "level": "alive", "period": "30ms", "threshold": 2,
    "exec": {"command": "test -e /srv/well"},
}}}

class Checked(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.web_pebble_ready, self._on_ready)
        framework.observe(self.on.web_pebble_check_failed, self._on_failed)
        framework.observe(self.on.web_pebble_check_recovered, self._on_recovered)
        framework.observe(self.on.mend_action, self._on_mend)

    def _on_ready(self, event):
        event.workload.push("/srv/there", "", make_dirs=True)
        event.workload.add_layer("checks", LAYER, combine=True)
        event.workload.replan()

    def _on_failed(self, event):
        self.unit.status = ops.BlockedStatus(f"{event.info.name} is {event.info.status.value}")

    def _on_recovered(self, event):
        self.unit.status = ops.ActiveStatus(f"{event.info.name} is {event.info.status.value}")

    def _on_mend(self, event):
        self.unit.containers["web"].push("/srv/well", "")
"""


def test_a_charm_hears_of_its_checks(juju: Typist):
    write_charm(juju.folder / "checked", CHARMCRAFT, CHARM)
    juju("deploy ./checked")

    juju.until("status", lambda output: "well is down" in output)
    juju("run checked/0 mend")

    juju.until("status", lambda output: "well is up" in output)
