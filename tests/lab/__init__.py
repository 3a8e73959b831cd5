"""The lab: a small Kubernetes-like cluster on one machine, made of network namespaces.

The demo and the lab tests share it. docs/lab.md says how to use it; every
module here plays one part of a cluster (kubelet, endpoints controller,
cluster DNS, image registry) and names that part in its first line.
"""
