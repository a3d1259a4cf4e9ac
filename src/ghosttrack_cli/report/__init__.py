"""What an interpretation leaves on disk: schema, files, search."""
