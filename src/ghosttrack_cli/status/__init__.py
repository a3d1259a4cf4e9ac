"""What exists in a workspace and how good it is, read from small manifests only."""
