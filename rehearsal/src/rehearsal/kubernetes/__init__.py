"""The Kubernetes API of the rehearsal: objects in memory, served over HTTP."""
