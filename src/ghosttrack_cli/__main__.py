"""`python -m ghosttrack_cli` is the program `ghosttrack`."""

from ghosttrack_cli.cli.app import main

main()
