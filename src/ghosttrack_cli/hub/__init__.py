"""What a hub of models and data sets answers when it does not give what was requested."""
