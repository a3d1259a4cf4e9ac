"""What was collected, as the report of each feature and layer."""
