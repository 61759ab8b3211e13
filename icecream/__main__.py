"""`python -m icecream` is the `icecream` command."""

from icecream.cli import main

main()
