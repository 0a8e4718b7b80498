"""The mesh: what Istio's ambient mode would enforce, with Envoy, from the Kubernetes API alone."""
