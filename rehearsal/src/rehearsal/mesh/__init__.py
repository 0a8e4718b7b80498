"""The mesh: it enforces the policies of the Kubernetes API with Envoy, as Istio's ambient mode."""
