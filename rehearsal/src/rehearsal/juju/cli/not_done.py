"""The commands of a real juju that the rehearsal does not do."""

_NAMES = """
add-cloud add-credential add-k8s add-machine add-secret-backend add-space add-ssh-key
add-storage add-user agree agreements attach-resource attach-storage autoload-credentials bind
bootstrap cancel-task change-user-password charm-resources clouds constraints controller-config
create-backup create-storage-pool credentials dashboard debug-code debug-hook debug-hooks
default-credential default-region destroy-controller detach-storage diff-bundle disable-command
disable-user disabled-commands documentation download download-backup enable-command
enable-destroy-controller enable-ha enable-user export-bundle expose find firewall-rules grant
grant-cloud help-action-commands help-hook-commands import-filesystem import-ssh-key info
kill-controller list-agreements list-charm-resources list-clouds list-credentials
list-disabled-commands list-firewall-rules list-machines list-operations list-regions
list-resources list-secret-backends list-spaces list-ssh-keys list-storage list-storage-pools
list-subnets list-users login logout machines migrate model-default model-defaults
model-secret-backend move-to-space operations regions register reload-spaces remove-cloud
remove-credential remove-k8s remove-machine remove-secret-backend remove-space remove-ssh-key
remove-storage remove-storage-pool remove-user rename-space resources resume-relation
retry-provisioning revoke revoke-cloud secret-backends set-application-base set-constraints
set-credential set-default-credentials set-default-region set-firewall-rule show-action
show-cloud show-controller show-credential show-credentials show-machine show-secret-backend
show-space show-status-log show-storage show-user spaces ssh-keys storage storage-pools subnets
suspend-relation sync-agent-binary unexpose unregister update-cloud update-credential
update-credentials update-k8s update-public-clouds update-secret-backend update-storage-pool
upgrade-controller upgrade-machine upgrade-model users
"""
NOT_DONE = frozenset(_NAMES.split())
"""They are named as such: "not a juju command" would be false of them."""
