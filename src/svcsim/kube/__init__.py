"""
From Kubernetes objects to data planes: what each mode of kube-proxy programs into a node.
"""
