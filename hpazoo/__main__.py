"""`python -m hpazoo` is `hpazoo`."""

from hpazoo.cli import main

main()
