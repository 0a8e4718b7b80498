"""Charms take turns: one that takes its time keeps no other waiting."""

import shutil

from tests.juju.conftest import Typist
from tests.juju.test_commands import STATUS, is_active

WAITING = """
import time
import ops

class Waiting(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.install, self._on_install)

    def _on_install(self, _):
        time.sleep(60)
"""


def test_a_hook_that_takes_long_keeps_no_other_charm_waiting(juju: Typist):
    shutil.copytree(juju.folder / "small", juju.folder / "waiting", dirs_exist_ok=True)
    (juju.folder / "waiting" / "src" / "charm.py").write_text(WAITING)
    juju("deploy ./waiting slow")
    juju.until("status", lambda output: "executing" in output)

    juju("deploy ./small web")

    juju.until(STATUS, is_active("web/0"))
    status = juju("status").stdout
    assert "slow/0*  maintenance  executing" in status
    assert "installing charm software" in status
