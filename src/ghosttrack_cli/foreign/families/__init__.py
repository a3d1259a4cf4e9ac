"""One module for each program or collection whose SAEs are read."""
