"""`python -m pnnlab`: the command line."""

from pnnlab.cli import main

main()
