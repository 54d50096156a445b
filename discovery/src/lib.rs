//! What a site is told by a Kubernetes API server.
